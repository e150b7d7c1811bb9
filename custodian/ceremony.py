"""The key ceremony with a dealer: one machine draws the key, deals the shares, seals each, forgets the rest.

Run it on a machine without network, all custodians watching, and switch it off afterwards. The dealer must
be trusted for these minutes only; the commitments it publishes let every custodian check its share.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from custodian.share import KeyShare, Purpose, describe_key, seal_for
from privacy import shares
from privacy.keys import SigningKey, VerifyKey, checked_id
from privacy.pseudonyms import PseudonymKeyView
from privacy.ristretto import Random
from privacy.sealing import SealingKey
from protos.json_text import parse_json
from protos.problems import Malformed, Unverified
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID, REASON_SIGNATURE_INVALID

PUBLIC_FILE_BYTES_MAX = 4096

_CONTEXT = b"cgsp-custodian-pub-v1\x00"


@dataclass(frozen=True, slots=True)
class Recipient:
    """A custodian as the ceremony knows it: its signing key vouches for the key its share is sealed to."""

    id: str
    key: VerifyKey
    sealing_key: bytes
    signature: bytes

    @classmethod
    def of(cls, custodian_id: str, signing: SigningKey, sealing: SealingKey) -> Recipient:
        """Describe a custodian that holds both private keys."""
        signature = signing.sign(_CONTEXT + custodian_id.encode() + b"\x00" + sealing.public)
        return cls(custodian_id, signing.verify_key, sealing.public, signature)

    def encode(self) -> bytes:
        """Write custodian.pub."""
        described = {
            "id": self.id,
            "public_key": self.key.public.hex(),
            "sealing_key": self.sealing_key.hex(),
            "signature": self.signature.hex(),
        }
        return json.dumps(described, indent=2).encode() + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Recipient:
        """Read custodian.pub; raises Malformed, or Unverified if the keys do not belong together."""
        try:
            found = parse_json(data)
            recipient = cls(
                id=checked_id(str(found["id"]), "A custodian's id"),
                key=VerifyKey(bytes.fromhex(found["public_key"])),
                sealing_key=bytes.fromhex(found["sealing_key"]),
                signature=bytes.fromhex(found["signature"]),
            )
        except (ValueError, KeyError, TypeError, Malformed):
            raise Malformed(
                REASON_CONFIGURATION_INVALID,
                "This is not a custodian.pub file.",
                remedy="Ask the custodian for the file that its init wrote.",
            ) from None
        vouched = _CONTEXT + recipient.id.encode() + b"\x00" + recipient.sealing_key
        if not recipient.key.is_signature(vouched, recipient.signature):
            raise Unverified(
                REASON_SIGNATURE_INVALID,
                f"The sealing key of {recipient.id} is not signed by its signing key.",
                remedy="Ask the custodian for its file again, by another way.",
            )
        return recipient


@dataclass(frozen=True, slots=True)
class Ceremony:
    """What a ceremony hands out: the public key file, and one sealed file for each custodian by id."""

    key: PseudonymKeyView
    key_file: bytes
    sealed_shares: dict[str, bytes]


def hold_ceremony(
    threshold: int, recipients: Sequence[Recipient], random: Random, purpose: Purpose = Purpose.PSEUDONYM
) -> Ceremony:
    """Draw a key and deal it; custodians get their indices from 1 in the order given."""
    check_distinct(recipients)
    dealing = shares.deal(threshold=threshold, count=len(recipients), random=random)
    key = PseudonymKeyView(dealing.threshold, dealing.commitments)
    sealed = {
        recipient.id: seal_for(recipient.sealing_key, KeyShare(recipient.id, key, share, purpose))
        for recipient, share in zip(recipients, dealing.shares, strict=True)
    }
    indices = {recipient.id: index for index, recipient in enumerate(recipients, start=1)}
    return Ceremony(key, describe_key(key, indices, purpose), sealed)


def check_distinct(recipients: Sequence[Recipient]) -> None:
    """Refuse a ceremony in which somebody stands twice, Malformed."""
    for values in (
        {recipient.id for recipient in recipients},
        {recipient.sealing_key for recipient in recipients},
        {recipient.key.public for recipient in recipients},
    ):
        if len(values) != len(recipients):
            raise Malformed(
                REASON_CONFIGURATION_INVALID,
                "Two recipients have the same id or the same key.",
                remedy="Name each custodian once, with its own file.",
            )
