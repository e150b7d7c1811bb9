"""A key share on its way from the ceremony and at rest; it is in the clear only in a custodian's memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from privacy import sealing, shares
from privacy.pseudonyms import PseudonymKeyView
from privacy.ristretto import Random
from privacy.sealing import SealingKey
from privacy.shares import Share
from privacy.trust import TrustRoot
from protos.problems import Malformed, Problem, Refused, Unavailable, Unverified
from protos.v1.problem_pb2 import (
    REASON_CONFIGURATION_INVALID,
    REASON_KEY_UNKNOWN,
    REASON_NOT_FOUND,
    REASON_NOT_REGISTERED,
    REASON_TRUST_ROOT_INVALID,
)
from runtime.files import read_bounded, read_private, write_private

SHARE_FILE_BYTES_MAX = 65_536

_MAGIC = b"cgsp-share-1\n"
_PURPOSE = "cgsp custodian share at rest v1"


@dataclass(frozen=True, slots=True)
class KeyShare:
    """One custodian's share of the pseudonym key, with what everybody knows of that key."""

    custodian_id: str
    key: PseudonymKeyView
    share: Share

    def encode(self) -> bytes:
        """Write it as JSON, secret included: seal what comes out."""
        return json.dumps(
            {
                "custodian_id": self.custodian_id,
                "threshold": self.key.threshold,
                "commitments": [commitment.hex() for commitment in self.key.commitments],
                "index": self.share.index,
                "secret": self.share.secret.hex(),
            }
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> KeyShare:
        """Read what `encode` wrote, check the share against the commitments; raises Malformed, Unverified."""
        try:
            found = json.loads(data)
            key = PseudonymKeyView(
                int(found["threshold"]), tuple(bytes.fromhex(item) for item in found["commitments"])
            )
            share = Share(int(found["index"]), bytes.fromhex(found["secret"]))
            custodian_id = str(found["custodian_id"])
        except (ValueError, KeyError, TypeError, Malformed):
            raise Malformed(
                REASON_CONFIGURATION_INVALID,
                "The sealed bytes are not a key share.",
                remedy="Use the file that the ceremony wrote for this custodian.",
            ) from None
        shares.verify_share(share, key.commitments)
        return cls(custodian_id, key, share)

    def check_against(self, root: TrustRoot) -> None:
        """Refuse to use a share that is not this custodian's of the key in the trust root."""
        key = root.pseudonym_key
        if key is None or key.key_id != self.key.key_id or key.commitments != self.key.commitments:
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
    share = KeyShare.decode(sealing.open_box(sealed, key))
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
            return sealing.subkey(self.sealing_key.secret, _PURPOSE)
        passphrase = read_bounded(Path(self.passphrase_file), 4096).rstrip(b"\r\n")
        return sealing.key_from_passphrase(passphrase, salt)

    def _place(self, salt: bytes) -> bytes:
        return b"\x00".join((_PURPOSE.encode(), self.custodian_id.encode(), salt))


def describe_key(key: PseudonymKeyView, custodians: Mapping[str, int]) -> bytes:
    """Write pseudonym-key.json: the key's id, threshold and commitments, and each custodian's index."""
    described = {
        "key_id": key.key_id.hex(),
        "threshold": key.threshold,
        "commitments": [commitment.hex() for commitment in key.commitments],
        "custodians": dict(custodians),
    }
    return json.dumps(described, indent=2).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class KeyFile:
    """pseudonym-key.json: what a ceremony left for everybody."""

    key: PseudonymKeyView
    custodians: Mapping[str, int]

    @classmethod
    def decode(cls, data: bytes) -> KeyFile:
        """Read what `describe_key` wrote; raises Malformed."""
        try:
            found = json.loads(data)
            key = PseudonymKeyView(
                int(found["threshold"]), tuple(bytes.fromhex(item) for item in found["commitments"])
            )
            custodians = {str(name): int(index) for name, index in found["custodians"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, Malformed):
            raise Malformed(
                REASON_CONFIGURATION_INVALID,
                "This is not a pseudonym key file.",
                remedy="Give the pseudonym-key.json that the ceremony wrote.",
            ) from None
        return cls(key, custodians)


def obstacle(share: KeyShare, root: TrustRoot) -> Problem | None:
    """Give what keeps the share from being used under a trust root; None if nothing does."""
    try:
        share.check_against(root)
    except (Refused, Unverified) as problem:
        return problem
    return None
