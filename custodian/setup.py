"""Makes a custodian's home: keys, joining the hub, taking its share and pinning the trust root."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from custodian.ceremony import PUBLIC_FILE_BYTES_MAX, Ceremony, Recipient, hold_ceremony
from custodian.configuration import TRUST_ROOT_BYTES_MAX, CustodianSettings, Home
from custodian.share import SHARE_FILE_BYTES_MAX, KeyShare, Purpose, RestingShare, open_from_ceremony
from privacy import keys, trust
from privacy.sealing import KEY_BYTES, SealingKey
from privacy.trust import TrustRoot
from protos.problems import Conflict, Malformed, Refused, Unverified
from protos.v1.problem_pb2 import (
    REASON_ALREADY_EXISTS,
    REASON_CERTIFICATE_INVALID,
    REASON_CONFIGURATION_INVALID,
    REASON_ROLE_NOT_ALLOWED,
    REASON_TRUST_ROOT_INVALID,
    REASON_WRONG_ORIGIN,
)
from runtime.addresses import chosen_addresses
from runtime.configuration import format_toml, parse_settings
from runtime.files import open_home, read_bounded, write_atomic, write_private
from runtime.identity import Identity, Role, certificate_pem, fingerprint
from runtime.joining import Joined, JoinToken, join

TOKEN_HINT = "Ask the hub's operator for a token of role custodian (cgsp-hub invite)."  # noqa: S105 (advice, no token)


@dataclass(frozen=True, slots=True)
class Opened:
    """A home's settings and secrets, read and checked."""

    home: Home
    settings: CustodianSettings

    @classmethod
    def load(cls, folder: Path) -> Opened:
        """Read the home folder; raises Malformed or Unavailable naming the file."""
        home = Home(open_home(folder))
        return cls(home, home.settings())

    def resting(self, purpose: Purpose) -> RestingShare:
        """Give a share's place and what opens it."""
        return RestingShare(
            self.home.share(purpose),
            self.settings.id,
            self.home.sealing_key(),
            self.settings.passphrase_file,
            purpose,
        )

    def waiting(self, purpose: Purpose) -> RestingShare:
        """Give the place of the share that waits for the trust root to name it."""
        return replace(self.resting(purpose), path=self.home.next_share(purpose))

    @property
    def resting_share(self) -> RestingShare:
        """Give the place of the pseudonym key's share."""
        return self.resting(Purpose.PSEUDONYM)

    @property
    def next_share(self) -> RestingShare:
        """Give the place of the pseudonym key's share that waits."""
        return self.waiting(Purpose.PSEUDONYM)

    def identity(self) -> Identity:
        """Read the TLS identity as it is now."""
        return Identity.load(self.home.folder)

    def pinned_trust_root(self) -> bytes:
        """Read the first trust root's envelope; raises Unavailable before import-share."""
        return read_bounded(self.home.trust_root, TRUST_ROOT_BYTES_MAX)

    def check_registered_key(self, root: TrustRoot) -> None:
        """Refuse a trust root that registers another signing key under this custodian's id."""
        registered = root.custodian_by_id(self.settings.id).key.public
        if registered != self.home.signing_key().verify_key.public:
            raise Unverified(
                REASON_TRUST_ROOT_INVALID,
                f"The trust root registers another signing key for {self.settings.id} than this home's.",
                remedy="Do not serve before its signers explain it: somebody may stand in your place.",
            )


def init_home(folder: Path, token_text: str, *, listen: str) -> Opened:
    """Make the keys, join, write the settings; in a home that has joined it renews the certificate."""
    token = JoinToken.decode(token_text)
    if token.role is not Role.CUSTODIAN:
        raise Refused(REASON_ROLE_NOT_ALLOWED, f"The token is for a {token.role.value}.", remedy=TOKEN_HINT)
    home = Home(open_home(folder, create=True))
    with home.locked():
        known = home.settings() if home.configuration.exists() else None
        if known is not None:
            _check_same(known, token)
        address = known.listen if known is not None else chosen_addresses(listen)[0]
        if not home.has_keys():
            home.write_keys(
                keys.generate(secrets.token_bytes, token.id), SealingKey(secrets.token_bytes(KEY_BYTES))
            )
        signing, sealing = home.signing_key(), home.sealing_key()
        joined = join(token, signing, address=address, sealing_key=sealing.public)
        joined.identity.save(home.folder)
        write_atomic(home.public, Recipient.of(token.id, signing, sealing).encode())
        settings = known or _settings(token, joined, address)
        # Last: a home without custodian.toml is one whose making was interrupted, and init goes on with it.
        _write_settings(home, settings)
    return Opened(home, settings)


def import_share(
    folder: Path, share_file: Path, trust_root_file: Path | None = None, *, passphrase_file: str = ""
) -> tuple[KeyShare, TrustRoot]:
    """Open the ceremony's share, hold it against the trust root, pin that, seal the share at rest.

    Where this home has a share already, the new one waits beside it until the trust root names it.
    """
    before = Opened.load(folder)
    opened = _with_passphrase(before, passphrase_file)
    with opened.home.locked():
        sealed = read_bounded(share_file, SHARE_FILE_BYTES_MAX)
        share = open_from_ceremony(sealed, opened.home.sealing_key(), custodian_id=opened.settings.id)
        resting = before.resting(share.purpose)
        held = resting.read() if resting.path.exists() else None
        is_next = held is not None and held != share
        pinned = _pinned(opened, trust_root_file)
        root = trust.verify_first(pinned)
        _check_root(root, opened, None if is_next else share)
        if is_next:
            opened.waiting(share.purpose).write(share, secrets.token_bytes)
        _seal_anew(before, opened)
        opened.resting(share.purpose).write(held or share, secrets.token_bytes)
        write_private(opened.home.trust_root, pinned)
        _write_settings(opened.home, opened.settings)
    return share, root


def _seal_anew(before: Opened, after: Opened) -> None:
    """Seal the shares of both keys as the settings say now: a passphrase may have come."""
    if before.settings.passphrase_file == after.settings.passphrase_file:
        return
    for purpose in Purpose:
        if after.home.share(purpose).exists():
            after.resting(purpose).write(before.resting(purpose).read(), secrets.token_bytes)


def deal_key(
    threshold: int, recipients: dict[str, Path], folder: Path, purpose: Purpose = Purpose.PSEUDONYM
) -> Ceremony:
    """Hold the ceremony and write its files into a folder, which must not hold any yet."""
    found = read_recipients(recipients)
    target = open_home(folder, create=True)
    if any(target.iterdir()):
        raise Conflict(
            REASON_ALREADY_EXISTS,
            f"{target} is not empty.",
            remedy="Choose a new folder: a ceremony never overwrites shares.",
        )
    ceremony = hold_ceremony(threshold, found, secrets.token_bytes, purpose)
    for custodian_id, sealed in ceremony.sealed_shares.items():
        write_private(target / f"{custodian_id}.share", sealed)
    write_atomic(target / purpose.key_file, ceremony.key_file)
    return ceremony


def read_recipients(files: Mapping[str, Path]) -> list[Recipient]:
    """Read custodian.pub files by the ids given for them; raises Malformed if one is somebody else's."""
    found = []
    for custodian_id, path in files.items():
        recipient = Recipient.decode(read_bounded(path, PUBLIC_FILE_BYTES_MAX))
        if recipient.id != custodian_id:
            raise Malformed(
                REASON_CONFIGURATION_INVALID,
                f"{path} is {recipient.id}'s file, not {custodian_id}'s.",
                remedy="Write --recipient ID=FILE with the id in the file.",
            )
        found.append(recipient)
    return found


def _check_same(known: CustodianSettings, token: JoinToken) -> None:
    if (known.id, known.origin) != (token.id, token.origin):
        raise Conflict(
            REASON_ALREADY_EXISTS,
            f"This home is {known.id} of {known.origin}; the token is for {token.id} of {token.origin}.",
            remedy="Choose another folder, or ask for a token of the same id.",
        )


def _with_passphrase(opened: Opened, passphrase_file: str) -> Opened:
    if not passphrase_file:
        return opened
    path = str(Path(passphrase_file).absolute())
    return replace(opened, settings=opened.settings.model_copy(update={"passphrase_file": path}))


def _pinned(opened: Opened, trust_root_file: Path | None) -> bytes:
    """Give the trust root to pin: the file's, which must be the one pinned before if there is one."""
    if trust_root_file is None:
        return opened.pinned_trust_root()
    pinned = read_bounded(trust_root_file, TRUST_ROOT_BYTES_MAX)
    if opened.home.trust_root.exists() and opened.pinned_trust_root() != pinned:
        raise Conflict(
            REASON_ALREADY_EXISTS,
            "This home has pinned another first trust root.",
            remedy="A log keeps its first trust root for ever; compare the fingerprints.",
        )
    return pinned


def _check_root(root: TrustRoot, opened: Opened, share: KeyShare | None) -> None:
    """Refuse a trust root of another log or hub, or one that names another key for this custodian's share."""
    if root.origin != opened.settings.origin:
        raise Refused(REASON_WRONG_ORIGIN, f"The trust root is of {root.origin}.", remedy=TOKEN_HINT)
    if fingerprint(certificate_pem(root.hub_ca)) != fingerprint(opened.identity().ca_pem):
        raise Unverified(
            REASON_CERTIFICATE_INVALID,
            "The trust root names another hub authority than the one this custodian joined.",
            remedy="Do not go on before the operator has explained it.",
        )
    if share is None:
        return
    named = root.pseudonym_key if share.purpose is Purpose.PSEUDONYM else root.beacon_key
    if named is not None:
        share.check_against(root)
        opened.check_registered_key(root)


def _settings(token: JoinToken, joined: Joined, address: str) -> CustodianSettings:
    values = {
        "id": token.id,
        "origin": token.origin,
        "listen": address,
        "hub_grpc": joined.grpc_address,
        "hub_https": joined.https_address,
    }
    return parse_settings(format_toml(values).encode(), CustodianSettings, name="custodian.toml")


def _write_settings(home: Home, settings: CustodianSettings) -> None:
    write_private(home.configuration, format_toml(settings.model_dump(exclude_defaults=True)).encode())
