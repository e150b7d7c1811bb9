"""The steps of a ceremony without a dealer: begin once, exchange at every custodian twice, finish at each.

Whatever this custodian says in a session it keeps first and says again if asked again: two contributions or
two certificates of one custodian in one session are a cheat's, never a crash's.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from custodian import exchange as files
from custodian.ceremony import Recipient
from custodian.exchange import Party, Plan, Shown
from custodian.setup import Opened, read_recipients
from custodian.share import KeyFile, KeyShare, Purpose
from custodian.status import trust_root_known
from protos.problems import Conflict, Malformed, Refused, Unavailable, Unverified
from protos.v1.problem_pb2 import (
    REASON_ALREADY_EXISTS,
    REASON_CONFIGURATION_INVALID,
    REASON_NOT_FOUND,
    REASON_NOT_REGISTERED,
    REASON_TRUST_ROOT_INVALID,
)
from runtime.files import read_bounded, read_private, write_atomic, write_private

PLAN_FILE = "session.json"


@dataclass(frozen=True, slots=True)
class Exchanged:
    """Where a session stands: its fingerprint, and whose contributions and certificates are not there yet."""

    session: str
    contributions_missing: list[str]
    certificates_missing: list[str]


@dataclass(frozen=True, slots=True)
class Finished:
    """What a session ended in at one custodian."""

    share: KeyShare
    share_file: Path
    key_file: Path


def begin(
    recipients: Mapping[str, Path], folder: Path, *, threshold: int, purpose: Purpose = Purpose.PSEUDONYM
) -> Plan:
    """Plan a new key in a folder that all custodians will reach; indices are from 1 in the order given."""
    found = dict(enumerate(read_recipients(recipients), start=1))
    return _begun(folder, files.plan(threshold, found, secrets.token_bytes, purpose=purpose))


def begin_refresh(recipients: Mapping[str, Path], folder: Path, *, key_file: Path) -> Plan:
    """Plan fresh shares of a key for these of its custodians; whoever is left out keeps a useless share."""
    known = KeyFile.decode(read_bounded(key_file, files.FILE_BYTES_MAX))
    found: dict[int, Recipient] = {}
    for recipient in read_recipients(recipients):
        if recipient.id not in known.custodians:
            raise Refused(
                REASON_NOT_REGISTERED,
                f"{recipient.id} holds no share of this key.",
                remedy="A refresh is among its custodians; others take part in a new key.",
            )
        found[known.custodians[recipient.id]] = recipient
    key = known.key
    data = files.plan(
        key.threshold, found, secrets.token_bytes, refreshed=key.commitments, purpose=known.purpose
    )
    return _begun(folder, data)


def exchange(home: Path, folder: Path) -> Exchanged:
    """Do what this custodian can do now: contribute, and certify once everybody has contributed."""
    opened, agreed, party = _taking_part(home, folder)
    with opened.home.locked():
        name = party.recipient.id
        _say(
            opened,
            folder,
            agreed,
            f"{name}.contribution",
            lambda: files.contribute(agreed, party, secrets.token_bytes),
        )
        shown, missing = _contributions(agreed, folder)
        if not missing:
            _say(opened, folder, agreed, f"{name}.certificate", lambda: files.certify(agreed, party, shown))
    certified = {one.id for one in agreed.recipients.values() if (folder / f"{one.id}.certificate").exists()}
    uncertified = [one.id for one in agreed.recipients.values() if one.id not in certified]
    return Exchanged(agreed.context.hex(), missing, uncertified)


def finish(home: Path, folder: Path) -> Finished:
    """Hold all certificates against what was seen here; write this custodian's share and the key file."""
    opened, agreed, party = _taking_part(home, folder)
    with opened.home.locked():
        shown, missing = _contributions(agreed, folder)
        if missing:
            raise Unavailable(
                REASON_NOT_FOUND,
                f"These have not contributed yet: {', '.join(missing)}.",
                remedy="Let them run cgsp-custodian ceremony exchange.",
            )
        for index, recipient in agreed.recipients.items():
            data = files.read_file(folder, f"{recipient.id}.certificate")
            files.check_certificate(agreed, index, data, shown)
        share, sealed, described = files.finish(agreed, party, shown)
        share_file, key_file = folder / f"{party.recipient.id}.share", folder / agreed.purpose.key_file
        _write_key_file(key_file, described)
        write_private(share_file, sealed)
    return Finished(share, share_file, key_file)


def _write_key_file(path: Path, described: bytes) -> None:
    """Write what every custodian writes; raises Conflict if it is there and says something else."""
    if not path.exists():
        write_atomic(path, described)
    elif read_bounded(path, files.FILE_BYTES_MAX) != described:
        raise Conflict(
            REASON_ALREADY_EXISTS,
            f"{path} describes another key than this session's.",
            remedy="Find out who wrote it; every custodian writes the same bytes.",
        )


def _begun(folder: Path, data: bytes) -> Plan:
    # Custodians of several users share it; nothing in it is secret.
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise Conflict(
            REASON_ALREADY_EXISTS, f"{folder} is not empty.", remedy="Choose a new folder for each session."
        )
    write_atomic(folder / PLAN_FILE, data)
    return files.read_plan(data)


def _taking_part(home: Path, folder: Path) -> tuple[Opened, Plan, Party]:
    opened = Opened.load(home)
    agreed = files.read_plan(files.read_file(folder, PLAN_FILE))
    signing, sealing = opened.home.signing_key(), opened.home.sealing_key()
    recipient = Recipient.of(opened.settings.id, signing, sealing)
    agreed.index_of(recipient)
    held = None
    if agreed.session.is_refresh:
        held = opened.resting(agreed.purpose).read()
        _check_registered(opened, agreed)
    return opened, agreed, Party(recipient, signing, sealing, held)


def _check_registered(opened: Opened, agreed: Plan) -> None:
    """Refuse to refresh with anybody but the trust root's own custodians at their own indices."""
    root = trust_root_known(opened)
    for index, recipient in agreed.recipients.items():
        registered = root.custodian_by_id(recipient.id)
        if (registered.index, registered.key.public) != (index, recipient.key.public):
            raise Unverified(
                REASON_TRUST_ROOT_INVALID,
                f"The session names {recipient.id} with another key or index than the trust root.",
                remedy="Begin the session with the files of the registered custodians.",
            )


def _contributions(agreed: Plan, folder: Path) -> tuple[dict[int, Shown], list[str]]:
    """Read the contributions that are there; name whose are not."""
    shown: dict[int, Shown] = {}
    missing = []
    for index, recipient in sorted(agreed.recipients.items()):
        path = folder / f"{recipient.id}.contribution"
        if path.exists():
            shown[index] = files.read_contribution(agreed, index, files.read_file(folder, path.name))
        else:
            missing.append(recipient.id)
    return shown, missing


def _say(opened: Opened, folder: Path, agreed: Plan, name: str, make: Callable[[], bytes]) -> None:
    """Write a file of this custodian's, the one it wrote before if there is one."""
    kept = opened.home.said / f"{agreed.context.hex()}.{name.rpartition('.')[2]}"
    if not kept.exists():
        opened.home.said.mkdir(mode=0o700, exist_ok=True)
        write_private(kept, make())
    data = read_private(kept, files.FILE_BYTES_MAX)
    there = folder / name
    if not there.exists():
        write_atomic(there, data)
    elif read_bounded(there, files.FILE_BYTES_MAX) != data:
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            f"{there} is not what this custodian wrote.",
            remedy="Remove it, find out who changed it, and run the step again.",
        )
