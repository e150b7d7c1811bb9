"""The ceremony without a dealer, as files in one folder that all custodians reach; no secret lies open in it.

session.json          who takes part, with which keys; its SHA-256 is what everything else is bound to
ID.contribution       round one, signed: commitments, proof, and for each custodian a scalar sealed to it
ID.certificate        round three, signed: the transcript this custodian saw and checked
ID.share              the outcome for one custodian, sealed to it, as a dealer would have sealed it
*-key.json            the outcome for everybody, named after what the key is for
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from custodian.ceremony import Recipient, check_distinct
from custodian.share import KeyShare, Purpose, describe_key, seal_for
from privacy import generation, sealing
from privacy.generation import Contribution, Generated, Received, Session
from privacy.keys import SigningKey, VerifyKey
from privacy.pseudonyms import PseudonymKeyView
from privacy.ristretto import Random
from privacy.sealing import SealingKey
from privacy.shares import Share
from protos.json_text import parse_json
from protos.problems import Malformed, Refused, Unavailable, Unverified
from protos.v1.problem_pb2 import (
    REASON_BODY_MISMATCH,
    REASON_CONFIGURATION_INVALID,
    REASON_HISTORY_INCONSISTENT,
    REASON_NOT_FOUND,
    REASON_NOT_REGISTERED,
    REASON_PROOF_INVALID,
    REASON_SIGNATURE_INVALID,
)
from runtime.files import read_bounded

T = TypeVar("T")

FILE_BYTES_MAX = 1 << 20
NONCE_BYTES = 32

_CONTRIBUTION = b"cgsp-ceremony-contribution-v1\x00"
_CERTIFICATE = b"cgsp-ceremony-certificate-v1\x00"


@dataclass(frozen=True, slots=True)
class Plan:
    """session.json, read and checked."""

    data: bytes
    session: Session
    recipients: Mapping[int, Recipient]
    purpose: Purpose = Purpose.PSEUDONYM

    @property
    def context(self) -> bytes:
        """Give the hash of session.json, which custodians compare before they take part."""
        return self.session.context

    def index_of(self, recipient: Recipient) -> int:
        """Find a custodian by its id and keys; raises Refused if the session is not with exactly these."""
        for index, found in self.recipients.items():
            if found.id == recipient.id and (found.key.public, found.sealing_key) == (
                recipient.key.public,
                recipient.sealing_key,
            ):
                return index
        raise Refused(
            REASON_NOT_REGISTERED,
            f"The session does not name {recipient.id} with the keys of this home.",
            remedy="Begin a new session with this custodian's own custodian.pub.",
        )


@dataclass(frozen=True, slots=True)
class Shown:
    """A contribution as its file holds it: what all see, and what is sealed to each index."""

    contribution: Contribution
    sealed: Mapping[int, bytes]
    file_hash: bytes


@dataclass(frozen=True, slots=True)
class Party:
    """One custodian at the ceremony: what it signs with, opens with, and holds so far."""

    recipient: Recipient
    signing: SigningKey
    sealing: SealingKey
    held: KeyShare | None = None


def plan(
    threshold: int,
    recipients: Mapping[int, Recipient],
    random: Random,
    *,
    refreshed: Sequence[bytes] = (),
    purpose: Purpose = Purpose.PSEUDONYM,
) -> bytes:
    """Write session.json for custodians by index; `refreshed` are the commitments of the key to renew."""
    check_distinct(list(recipients.values()))
    described = {
        "nonce": random(NONCE_BYTES).hex(),
        "threshold": threshold,
        "purpose": purpose.value,
        "refreshed": [commitment.hex() for commitment in refreshed],
        "custodians": {
            str(index): parse_json(recipient.encode()) for index, recipient in sorted(recipients.items())
        },
    }
    data = json.dumps(described, indent=2).encode() + b"\n"
    read_plan(data)
    return data


def read_plan(data: bytes) -> Plan:
    """Read session.json; raises Malformed, or Unverified if a custodian's keys do not belong together."""
    found = _json(data, "session.json")
    recipients = {
        int(index): Recipient.decode(json.dumps(one).encode())
        for index, one in _field(lambda: found["custodians"].items(), "session.json")
    }
    check_distinct(list(recipients.values()))
    threshold, refreshed, purpose = _field(
        lambda: (
            int(found["threshold"]),
            tuple(bytes.fromhex(one) for one in found["refreshed"]),
            Purpose(found.get("purpose", Purpose.PSEUDONYM)),
        ),
        "session.json",
    )
    names = {index: recipient.id for index, recipient in recipients.items()}
    session = Session(hashlib.sha256(data).digest(), threshold, names, refreshed)
    return Plan(data, session, recipients, purpose)


def contribute(agreed: Plan, party: Party, random: Random) -> bytes:
    """Deal to all, each part sealed to its custodian: the bytes of this custodian's contribution file."""
    index = agreed.index_of(party.recipient)
    dealt = generation.contribute(agreed.session, index, random)
    sealed = {
        str(to): sealing.seal_to(_place(agreed, index, to) + dealt.secrets[to], recipient.sealing_key).hex()
        for to, recipient in agreed.recipients.items()
    }
    body = {
        "session": agreed.context.hex(),
        "commitments": [one.hex() for one in dealt.contribution.commitments],
        "proof": dealt.contribution.proof.hex(),
        "sealed": sealed,
    }
    return _signed(_CONTRIBUTION, body, party.signing)


def read_contribution(agreed: Plan, index: int, data: bytes) -> Shown:
    """Read a contribution file; raises Unverified naming its custodian unless that one signed it here."""
    recipient = agreed.recipients[index]
    what = f"The contribution of custodian {recipient.id}"
    body = _verified(_CONTRIBUTION, data, recipient.key, what)
    if body.get("session") != agreed.context.hex():
        raise Unverified(REASON_BODY_MISMATCH, f"{what} is for another session.")
    contribution, sealed = _field(
        lambda: (
            Contribution(
                tuple(bytes.fromhex(one) for one in body["commitments"]), bytes.fromhex(body["proof"])
            ),
            {int(to): bytes.fromhex(one) for to, one in body["sealed"].items()},
        ),
        what,
    )
    return Shown(contribution, sealed, hashlib.sha256(data).digest())


def settle(agreed: Plan, party: Party, shown: Mapping[int, Shown]) -> Generated:
    """Open and check what everybody dealt to this custodian, and add it up; a cheat is named."""
    index = agreed.index_of(party.recipient)
    received = {
        dealer: Received(one.contribution, _opened(agreed, party, dealer, index, one))
        for dealer, one in shown.items()
    }
    return generation.join(agreed.session, index, received, held=_held(agreed, party))


def certify(agreed: Plan, party: Party, shown: Mapping[int, Shown]) -> bytes:
    """Sign what was seen, once it has been checked: the bytes of this custodian's certificate file."""
    settle(agreed, party, shown)
    body = {
        "session": agreed.context.hex(),
        "transcript": _transcript(agreed, shown).hex(),
        "contributions": {str(index): one.file_hash.hex() for index, one in shown.items()},
    }
    return _signed(_CERTIFICATE, body, party.signing)


def check_certificate(agreed: Plan, index: int, data: bytes, shown: Mapping[int, Shown]) -> None:
    """Refuse a certificate of another transcript, Unverified, naming whose contributions differ."""
    recipient = agreed.recipients[index]
    what = f"The certificate of custodian {recipient.id}"
    body = _verified(_CERTIFICATE, data, recipient.key, what)
    if body.get("session") != agreed.context.hex():
        raise Unverified(REASON_BODY_MISMATCH, f"{what} is for another session.")
    seen = _field(lambda: {int(at): str(one) for at, one in body["contributions"].items()}, what)
    differing = [
        agreed.session.name_of(at) for at, one in shown.items() if seen.get(at) != one.file_hash.hex()
    ]
    if differing:
        raise Unverified(
            REASON_HISTORY_INCONSISTENT,
            f"{recipient.id} saw another contribution of {', '.join(differing)} than lies here.",
            remedy=f"Compare both files: if {differing[0]} signed both, it cheated, else {recipient.id} did.",
        )
    if body.get("transcript") != _transcript(agreed, shown).hex():
        raise Unverified(REASON_PROOF_INVALID, f"{what} does not fit the contributions it names.")


def finish(agreed: Plan, party: Party, shown: Mapping[int, Shown]) -> tuple[KeyShare, bytes, bytes]:
    """Give this custodian's share, its sealed file, and the key's file, the same at every custodian."""
    ended = settle(agreed, party, shown)
    key = PseudonymKeyView(len(ended.commitments), ended.commitments)
    share = KeyShare(party.recipient.id, key, ended.share, agreed.purpose)
    indices = {name: index for index, name in sorted(agreed.session.participants.items())}
    return share, seal_for(party.recipient.sealing_key, share), describe_key(key, indices, agreed.purpose)


def read_file(folder: Path, name: str) -> bytes:
    """Read one of the folder's files; raises Unavailable naming it while it is not there."""
    if not (folder / name).exists():
        raise Unavailable(
            REASON_NOT_FOUND,
            f"{name} is not in {folder} yet.",
            remedy="Wait for the other custodians, and bring their files here.",
        )
    return read_bounded(folder / name, FILE_BYTES_MAX)


def _held(agreed: Plan, party: Party) -> Share | None:
    """Give the share to be renewed; none for a new key."""
    if not agreed.session.is_refresh:
        return None
    if party.held is None or party.held.key.commitments != agreed.session.refreshed:
        raise Refused(
            REASON_NOT_REGISTERED,
            f"{party.recipient.id} holds no share of the commitments that the session refreshes.",
            remedy="Begin the session from the key file of the trust root in force.",
        )
    return party.held.share


def _opened(agreed: Plan, party: Party, dealer: int, index: int, shown: Shown) -> bytes:
    place = _place(agreed, dealer, index)
    try:
        opened = sealing.open_box(shown.sealed.get(index, b""), party.sealing)
    except Unverified:
        opened = b""
    if not opened.startswith(place):
        name = agreed.session.name_of(dealer)
        raise Unverified(
            REASON_PROOF_INVALID,
            f"The contribution of custodian {name} does not hold. "
            f"What it sealed to {party.recipient.id} does not open, or was meant for another place.",
            remedy=f"Stop here, ask {name} for an explanation, and begin a new ceremony.",
        )
    return opened[len(place) :]


def _place(agreed: Plan, dealer: int, recipient: int) -> bytes:
    return agreed.context + bytes([dealer, recipient])


def _transcript(agreed: Plan, shown: Mapping[int, Shown]) -> bytes:
    return generation.transcript(agreed.session, {index: one.contribution for index, one in shown.items()})


def _signed(tag: bytes, body: Mapping[str, Any], key: SigningKey) -> bytes:
    text = json.dumps(body, sort_keys=True)
    signature = key.sign(tag + text.encode())
    return json.dumps({"body": text, "signature": signature.hex()}, indent=2).encode() + b"\n"


def _verified(tag: bytes, data: bytes, key: VerifyKey, what: str) -> dict[str, Any]:
    outer = _json(data, what)
    text, signature = _field(lambda: (str(outer["body"]), bytes.fromhex(outer["signature"])), what)
    if not key.is_signature(tag + text.encode(), signature):
        raise Unverified(
            REASON_SIGNATURE_INVALID,
            f"{what} is not signed by its key.",
            remedy="Bring the file again, by another way.",
        )
    return _json(text.encode(), what)


def _json(data: bytes, what: str) -> dict[str, Any]:
    found = _field(lambda: parse_json(data), what)
    if not isinstance(found, dict):
        raise _malformed(what)
    return found


def _field(read: Callable[[], T], what: str) -> T:
    try:
        return read()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _malformed(what) from None


def _malformed(what: str) -> Malformed:
    return Malformed(REASON_CONFIGURATION_INVALID, f"{what} is damaged.", remedy="Bring the file again.")
