"""A key share on its way from the ceremony and at rest; it is in the clear only in a custodian's memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from privacy import beacon, sealing, shares
from privacy.pseudonyms import PseudonymKeyView
from privacy.ristretto import Random
from privacy.sealing import SealingKey
from privacy.shares import Share
from privacy.trust import TrustRoot
from protos.json_text import parse_json
from protos.problems import Malformed, Problem, Refused, Unavailable, Unverified
from protos.v1.problem_pb2 import (
    REASON_CONFIGURATION_INVALID,
    REASON_KEY_UNKNOWN,
    REASON_NOT_FOUND,
    REASON_NOT_REGISTERED,
    REASON_SIGNATURE_INVALID,
    REASON_TRUST_ROOT_INVALID,
)
from runtime.files import read_bounded, read_private, write_private

SHARE_FILE_BYTES_MAX = 65_536

_MAGIC = b"cgsp-share-1\n"


class Purpose(StrEnum):
    """What a shared key evaluates; its own key each, so that none can stand in for the other."""

    PSEUDONYM = "pseudonym"
    BEACON = "beacon"

    @property
    def key_file(self) -> str:
        """Name the file a ceremony leaves for everybody."""
        return f"{self.value}-key.json"

    @property
    def at_rest(self) -> str:
        """Name what a share of such a key is sealed for."""
        kind = "" if self is Purpose.PSEUDONYM else f"{self.value} "
        return f"cgsp custodian {kind}share at rest v1"

    def key_id(self, key: PseudonymKeyView) -> bytes:
        """Name a key of this purpose."""
        return key.key_id if self is Purpose.PSEUDONYM else beacon.key_id(key.commitments[0])

    @classmethod
    def of(cls, key_id: bytes, key: PseudonymKeyView) -> Purpose:
        """Say what a key is for by its name; raises Malformed where it is neither's."""
        for purpose in cls:
            if purpose.key_id(key) == key_id:
                return purpose
        raise Malformed(REASON_CONFIGURATION_INVALID, "The key's id is not that of its commitments.")


@dataclass(frozen=True, slots=True)
class KeyShare:
    """One custodian's share of a shared key, with what everybody knows of that key."""

    custodian_id: str
    key: PseudonymKeyView
    share: Share
    purpose: Purpose = Purpose.PSEUDONYM

    @property
    def key_id(self) -> bytes:
        """Name the key."""
        return self.purpose.key_id(self.key)

    def encode(self) -> bytes:
        """Write it as JSON, secret included: seal what comes out."""
        return json.dumps(
            {
                "custodian_id": self.custodian_id,
                "threshold": self.key.threshold,
                "commitments": [commitment.hex() for commitment in self.key.commitments],
                "index": self.share.index,
                "secret": self.share.secret.hex(),
                "purpose": self.purpose.value,
            }
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> KeyShare:
        """Read what `encode` wrote, check the share against the commitments; raises Malformed, Unverified."""
        try:
            found = parse_json(data)
            key = PseudonymKeyView(
                int(found["threshold"]), tuple(bytes.fromhex(item) for item in found["commitments"])
            )
            share = Share(int(found["index"]), bytes.fromhex(found["secret"]))
            custodian_id = str(found["custodian_id"])
            purpose = Purpose(found.get("purpose", Purpose.PSEUDONYM))
        except (ValueError, KeyError, TypeError, Malformed):
            raise Malformed(
                REASON_CONFIGURATION_INVALID,
                "The sealed bytes are not a key share.",
                remedy="Use the file that the ceremony wrote for this custodian.",
            ) from None
        shares.verify_share(share, key.commitments)
        return cls(custodian_id, key, share, purpose)

    def check_against(self, root: TrustRoot) -> None:
        """Refuse to use a share that is not this custodian's of the key in the trust root."""
        key = root.pseudonym_key if self.purpose is Purpose.PSEUDONYM else root.beacon_key
        if key is None or key.key_id != self.key_id or key.commitments != self.key.commitments:
            raise Unverified(
                REASON_KEY_UNKNOWN,
                f"The trust root (version {root.version}) does not name the key of this share.",
                remedy="Wait until a trust root with this key is published, or import the share of its key.",
            )
        if root.custodian_by_id(self.custodian_id).index != self.share.index:
            raise Refused(
                REASON_NOT_REGISTERED,
                f"The trust root gives {self.custodian_id} another index than {self.share.index}.",
                remedy="Let the trust root name the indices that the ceremony wrote.",
            )


def seal_for(recipient_sealing_key: bytes, share: KeyShare) -> bytes:
    """Seal a share so that only its custodian opens it."""
    return sealing.seal_to(share.encode(), recipient_sealing_key)


def open_from_ceremony(sealed: bytes, key: SealingKey, *, custodian_id: str) -> KeyShare:
    """Open the ceremony's file; raises Unverified if it is for somebody else."""
    try:
        opened = sealing.open_box(sealed, key)
    except Unverified:
        raise Unverified(
            REASON_SIGNATURE_INVALID,
            f"The share does not open with {custodian_id}'s key: it is for another custodian, or damaged.",
            remedy="Import the file named after this custodian, of a ceremony that had this custodian.pub.",
        ) from None
    share = KeyShare.decode(opened)
    if share.custodian_id != custodian_id:
        raise Unverified(
            REASON_TRUST_ROOT_INVALID,
            f"The share is for {share.custodian_id}, this home is {custodian_id}'s.",
            remedy="Import the file named after this custodian.",
        )
    return share


@dataclass(frozen=True, slots=True)
class RestingShare:
    """Where a share rests, and what opens it: a passphrase if there is one, else the sealing key."""

    path: Path
    custodian_id: str
    sealing_key: SealingKey
    passphrase_file: str = ""
    purpose: Purpose = Purpose.PSEUDONYM

    def write(self, share: KeyShare, random: Random) -> None:
        """Seal the share and write it, 0600."""
        salt = random(sealing.SALT_BYTES)
        sealed = sealing.seal(
            share.encode(), key=self._key(salt), associated=self._place(salt), random=random
        )
        write_private(self.path, _MAGIC + salt + sealed)

    def read(self) -> KeyShare:
        """Open the share; raises Unverified if the file, the key or the custodian is another."""
        if not self.path.exists():
            raise Unavailable(
                REASON_NOT_FOUND,
                "This custodian has no key share yet.",
                remedy="Hold the ceremony, then run cgsp-custodian import-share.",
            )
        data = read_private(self.path, SHARE_FILE_BYTES_MAX)
        if not data.startswith(_MAGIC):
            raise Malformed(
                REASON_CONFIGURATION_INVALID,
                f"{self.path} is not a sealed share.",
                remedy="Restore it from a backup, or import the ceremony's file again.",
            )
        head = len(_MAGIC) + sealing.SALT_BYTES
        salt, sealed = data[len(_MAGIC) : head], data[head:]
        return KeyShare.decode(sealing.open_sealed(sealed, key=self._key(salt), associated=self._place(salt)))

    def _key(self, salt: bytes) -> bytes:
        if not self.passphrase_file:
            return sealing.subkey(self.sealing_key.secret, self.purpose.at_rest)
        passphrase = read_bounded(Path(self.passphrase_file), 4096).rstrip(b"\r\n")
        return sealing.key_from_passphrase(passphrase, salt)

    def _place(self, salt: bytes) -> bytes:
        return b"\x00".join((self.purpose.at_rest.encode(), self.custodian_id.encode(), salt))


def describe_key(
    key: PseudonymKeyView, custodians: Mapping[str, int], purpose: Purpose = Purpose.PSEUDONYM
) -> bytes:
    """Write the key's file: its id, threshold and commitments, and each custodian's index."""
    described = {
        "key_id": purpose.key_id(key).hex(),
        "threshold": key.threshold,
        "commitments": [commitment.hex() for commitment in key.commitments],
        "custodians": dict(custodians),
    }
    return json.dumps(described, indent=2).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class KeyFile:
    """pseudonym-key.json or beacon-key.json: what a ceremony left for everybody."""

    key: PseudonymKeyView
    custodians: Mapping[str, int]
    purpose: Purpose = Purpose.PSEUDONYM

    @classmethod
    def decode(cls, data: bytes) -> KeyFile:
        """Read what `describe_key` wrote; raises Malformed."""
        try:
            found = parse_json(data)
            key = PseudonymKeyView(
                int(found["threshold"]), tuple(bytes.fromhex(item) for item in found["commitments"])
            )
            custodians = {str(name): int(index) for name, index in found["custodians"].items()}
            purpose = Purpose.of(bytes.fromhex(found["key_id"]), key)
        except (ValueError, KeyError, TypeError, AttributeError, Malformed):
            raise Malformed(
                REASON_CONFIGURATION_INVALID,
                "This is not the file of a shared key.",
                remedy="Give the pseudonym-key.json or beacon-key.json that the ceremony wrote.",
            ) from None
        return cls(key, custodians, purpose)


def obstacle(share: KeyShare, root: TrustRoot) -> Problem | None:
    """Give what keeps the share from being used under a trust root; None if nothing does."""
    try:
        share.check_against(root)
    except (Refused, Unverified) as problem:
        return problem
    return None
