"""The trust root: the versioned t-of-n document that says whose keys count; it comes out of band.

Laws: version 1 is signed by its own root keys and pinned by its SHA-256; each later version is signed by the
threshold of the version before and of its own and names its predecessor. Origin and log key change together
or not at all, in a version that names the last witnessed checkpoint of the origin before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from privacy import checkpoint, envelope
from privacy.envelope import Kind, Opened
from privacy.keys import VerifyKey, checked_id
from protos.problems import Malformed, Refused, Unverified
from protos.v1 import trust_pb2
from protos.v1.problem_pb2 import (
    REASON_NOT_REGISTERED,
    REASON_TRUST_ROOT_INVALID,
)

CUSTODIANS_MAX = 255
PARTIES_MAX = 10_000
POINT_BYTES = 32


@dataclass(frozen=True, slots=True)
class PseudonymKey:
    """The custodians' shared key: its id, threshold and Feldman commitments (constant term first)."""

    key_id: bytes
    threshold: int
    commitments: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BeaconKey:
    """The custodians' second shared key, of the same form; it evaluates checkpoints, never identifiers."""

    key_id: bytes
    threshold: int
    commitments: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Custodian:
    """A holder of one key share; `index` is the share's x coordinate, from 1."""

    id: str
    name: str
    index: int
    address: str
    key: VerifyKey


@dataclass(frozen=True, slots=True)
class Enterprise:
    """A registered enterprise and how many persons it may have pseudonymised over its life."""

    id: str
    name: str
    name_zh: str
    key: VerifyKey
    evaluation_quota: int
    suspended: bool


@dataclass(frozen=True, slots=True)
class Auditor:
    """A registered auditor."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class TrustRoot:
    """One checked version of the trust root; `envelope_hash` is the SHA-256 of its envelope."""

    version: int
    previous: bytes
    origin: str
    root_keys: tuple[VerifyKey, ...]
    root_threshold: int
    log_vkey: checkpoint.Vkey
    log_subtree_vkey: checkpoint.Vkey | None
    hub_key: VerifyKey
    hub_ca: bytes
    policy_keys: tuple[VerifyKey, ...]
    policy_threshold: int
    pseudonym_key: PseudonymKey | None
    custodians: tuple[Custodian, ...]
    enterprises: tuple[Enterprise, ...]
    auditors: tuple[Auditor, ...]
    witness_vkeys: tuple[checkpoint.Vkey, ...]
    witness_quorum: int
    issued_at: int
    envelope_hash: bytes
    beacon_key: BeaconKey | None = None
    # Of the version that replaced the log's key: the last checkpoint of the origin before, a signed note.
    predecessor_checkpoint: bytes = b""

    @property
    def trust_domain(self) -> str:
        """The SPIFFE trust domain: the origin's part before the first slash."""
        return self.origin.partition("/")[0]

    def names(self, enterprise_id: str) -> bool:
        """Say whether an enterprise is registered."""
        return any(one.id == enterprise_id for one in self.enterprises)

    def enterprise(self, enterprise_id: str) -> Enterprise:
        """Find an enterprise; raises Refused NOT_REGISTERED."""
        return _found(self.enterprises, enterprise_id, "enterprise")

    def custodian(self, index: int) -> Custodian:
        """Find a custodian by its share's index; raises Refused NOT_REGISTERED."""
        for custodian in self.custodians:
            if custodian.index == index:
                return custodian
        raise Refused(REASON_NOT_REGISTERED, f"No custodian holds share {index}.")

    def custodian_by_id(self, custodian_id: str) -> Custodian:
        """Find a custodian; raises Refused NOT_REGISTERED."""
        return _found(self.custodians, custodian_id, "custodian")

    def auditor(self, auditor_id: str) -> Auditor:
        """Find an auditor; raises Refused NOT_REGISTERED."""
        return _found(self.auditors, auditor_id, "auditor")

    def quota_at_custodian(self, enterprise_id: str) -> int:
        """Count the evaluations each custodian grants the enterprise: ceil(quota * t / n)."""
        if self.pseudonym_key is None or not self.custodians:
            return 0
        granted = self.enterprise(enterprise_id).evaluation_quota * self.pseudonym_key.threshold
        return -(-granted // len(self.custodians))


_PartyT = TypeVar("_PartyT", Custodian, Enterprise, Auditor)


def log_vkey_of(roots: Sequence[TrustRoot], origin: str) -> checkpoint.Vkey:
    """Give the log's key under an origin that one of its trust roots names; the first one for strangers."""
    return next((root.log_vkey for root in roots if root.origin == origin), roots[0].log_vkey)


def fingerprint(data: bytes) -> bytes:
    """Give the SHA-256 of a trust root's envelope, by which people hand it over."""
    return hashlib.sha256(data).digest()


def verify_first(data: bytes, pinned: bytes | None = None) -> TrustRoot:
    """Take version 1, signed by its own root keys; `pinned` is its fingerprint or the envelope itself.

    Raises Unverified TRUST_ROOT_INVALID. Without `pinned` only form and signatures are known to hold.
    """
    if pinned is not None and pinned not in (data, fingerprint(data)):
        raise _invalid("It is not the trust root that was handed over; fingerprints differ.")
    opened, root = _read(data)
    _verify(opened, root.root_keys, root.root_threshold)
    if root.version != 1 or root.previous or root.predecessor_checkpoint:
        raise _invalid("The first trust root has version 1 and no predecessor.")
    return root


def verify_update(previous: TrustRoot, data: bytes) -> TrustRoot:
    """Take the next version, signed by the threshold of `previous` and of its own.

    Raises Unverified TRUST_ROOT_INVALID.
    """
    opened, root = _read(data)
    _verify(opened, previous.root_keys, previous.root_threshold)
    _verify(opened, root.root_keys, root.root_threshold)
    if root.version != previous.version + 1 or root.previous != previous.envelope_hash:
        raise _invalid(f"Version {root.version} does not follow version {previous.version} in force.")
    if root.predecessor_checkpoint:
        _check_succession(previous, root)
    else:
        _check_log_kept(previous, root)
    _check_key_kept(previous.pseudonym_key, root.pseudonym_key, "pseudonym")
    _check_key_kept(previous.beacon_key, root.beacon_key, "beacon")
    return root


def _check_log_kept(previous: TrustRoot, root: TrustRoot) -> None:
    if root.origin != previous.origin or root.log_vkey != previous.log_vkey:
        raise _invalid("Origin and log key are the log's own; to replace them name the last checkpoint.")
    if previous.log_subtree_vkey not in (None, root.log_subtree_vkey):
        raise _invalid("The log's ML-DSA-44 key may be added once, never changed.")


def _check_succession(previous: TrustRoot, root: TrustRoot) -> None:
    """Another key takes the log up under another origin, from a checkpoint that the witnesses have seen."""
    if root.origin == previous.origin or root.trust_domain != previous.trust_domain:
        raise _invalid("A log whose key is replaced goes on under another origin of the same domain.")
    if root.log_vkey.public == previous.log_vkey.public or root.log_subtree_vkey is None:
        raise _invalid("The key is the one before, or its ML-DSA-44 half is missing.")
    note = root.predecessor_checkpoint
    try:
        checkpoint.open_checkpoint(note, previous.log_vkey)
        cosigned = checkpoint.cosigners(note, previous.witness_vkeys)
    except (Malformed, Unverified) as problem:
        raise _invalid(f"The checkpoint named is not the log's: {problem.message}") from None
    if len(cosigned) < previous.witness_quorum:
        raise _invalid(
            f"{len(cosigned)} witnesses cosigned the checkpoint named; {previous.witness_quorum} must have."
        )


def describe(data: bytes) -> TrustRoot:
    """Read a proposal, signed or not, to show it to its signers; says nothing about trust."""
    return from_wire(envelope.read_unsigned(data).parse(trust_pb2.TrustRoot), envelope.envelope_hash(data))


def from_wire(message: trust_pb2.TrustRoot, envelope_hash: bytes) -> TrustRoot:
    """Check every field of a trust root; raises Unverified TRUST_ROOT_INVALID."""
    try:
        root = _taken(message, envelope_hash)
    except Malformed as problem:
        raise _invalid(problem.message) from None
    _check_thresholds(root)
    _check_parties(root)
    return root


def _read(data: bytes) -> tuple[Opened, TrustRoot]:
    opened = envelope.open_envelope(data)
    if opened.kind is not Kind.TRUST_ROOT:
        raise _invalid(f"The envelope holds a {opened.kind.value}.")
    return opened, from_wire(opened.parse(trust_pb2.TrustRoot), opened.envelope_hash)


def _verify(opened: Opened, keys: Sequence[VerifyKey], threshold: int) -> None:
    try:
        envelope.verify(opened, keys, threshold)
    except Unverified as problem:
        raise _invalid(problem.message) from None


def _taken(message: trust_pb2.TrustRoot, envelope_hash: bytes) -> TrustRoot:
    return TrustRoot(
        version=message.version,
        previous=message.previous,
        origin=message.origin,
        root_keys=tuple(map(VerifyKey.from_wire, message.root_keys)),
        root_threshold=message.root_threshold,
        log_vkey=checkpoint.parse_vkey(message.log_vkey),
        log_subtree_vkey=checkpoint.parse_vkey(message.log_subtree_vkey)
        if message.log_subtree_vkey
        else None,
        hub_key=VerifyKey.from_wire(message.hub_key),
        hub_ca=message.hub_ca,
        policy_keys=tuple(map(VerifyKey.from_wire, message.policy_keys)),
        policy_threshold=message.policy_threshold,
        pseudonym_key=_pseudonym_key(message.pseudonym_key) if message.HasField("pseudonym_key") else None,
        custodians=tuple(map(_custodian, message.custodians)),
        enterprises=tuple(map(_enterprise, message.enterprises)),
        auditors=tuple(Auditor(checked_id(item.id, "Auditor id"), item.name) for item in message.auditors),
        witness_vkeys=tuple(map(checkpoint.parse_vkey, message.witness_vkeys)),
        witness_quorum=message.witness_quorum,
        issued_at=message.issued_at,
        envelope_hash=envelope_hash,
        predecessor_checkpoint=message.predecessor_checkpoint,
        beacon_key=_beacon_key(message.beacon_key) if message.HasField("beacon_key") else None,
    )


def _pseudonym_key(message: trust_pb2.PseudonymKey) -> PseudonymKey:
    return PseudonymKey(message.key_id, message.threshold, _commitments(message, "pseudonym"))


def _beacon_key(message: trust_pb2.BeaconKey) -> BeaconKey:
    return BeaconKey(message.key_id, message.threshold, _commitments(message, "beacon"))


def _commitments(message: trust_pb2.PseudonymKey | trust_pb2.BeaconKey, what: str) -> tuple[bytes, ...]:
    commitments = tuple(message.commitments)
    if not message.key_id or len(message.key_id) > POINT_BYTES:
        raise _invalid(f"The {what} key's id has 1 to 32 bytes.")
    if len(commitments) != message.threshold or any(len(point) != POINT_BYTES for point in commitments):
        raise _invalid(f"The {what} key has one 32-byte commitment for each of its threshold shares.")
    return commitments


def _custodian(message: trust_pb2.Custodian) -> Custodian:
    return Custodian(
        id=checked_id(message.id, "Custodian id"),
        name=message.name,
        index=message.index,
        address=message.address,
        key=VerifyKey.from_wire(message.key),
    )


def _enterprise(message: trust_pb2.Enterprise) -> Enterprise:
    return Enterprise(
        id=checked_id(message.id, "Enterprise id"),
        name=message.name,
        name_zh=message.name_zh,
        key=VerifyKey.from_wire(message.key),
        evaluation_quota=message.evaluation_quota,
        suspended=message.suspended,
    )


def _check_thresholds(root: TrustRoot) -> None:
    if not root.origin or root.log_vkey.name != root.origin:
        raise _invalid("The log key's name must be the origin.")
    for what, keys, threshold in (
        ("root", root.root_keys, root.root_threshold),
        ("policy", root.policy_keys, root.policy_threshold),
    ):
        if not 1 <= threshold <= len(set(keys)) or len(set(keys)) != len(keys):
            raise _invalid(
                f"The {what} keys must be distinct and no fewer than their threshold, itself from 1."
            )
    _check_witnesses(root)


def _check_witnesses(root: TrustRoot) -> None:
    """A witness is a name, with a key of one or of both algorithms; the log is none of its own witnesses."""
    names = {vkey.name for vkey in root.witness_vkeys}
    if root.witness_quorum > len(names):
        raise _invalid("The witness quorum exceeds the witnesses.")
    if any(vkey.algorithm == checkpoint.ED25519 for vkey in root.witness_vkeys) or root.origin in names:
        raise _invalid("A witness's key is one that cosigns, under a name that is not the log's.")
    _check_distinct("witnesses' keys", (vkey.public for vkey in (*root.witness_vkeys, root.log_vkey)))
    own = root.log_subtree_vkey
    if own is not None and (own.name != root.origin or own.algorithm != checkpoint.SUBTREE_V1):
        raise _invalid("The log's second key is an ML-DSA-44 key named as the origin.")


def _check_parties(root: TrustRoot) -> None:
    if len(root.custodians) > CUSTODIANS_MAX or len(root.enterprises) > PARTIES_MAX:
        raise _invalid("There are more parties than this version takes.")
    _check_distinct("custodian ids", (item.id for item in root.custodians))
    _check_distinct("custodian indices", (item.index for item in root.custodians))
    _check_distinct("enterprise ids", (item.id for item in root.enterprises))
    _check_distinct("auditor ids", (item.id for item in root.auditors))
    parties = [root.hub_key]
    parties += [item.key for item in root.custodians]
    parties += [item.key for item in root.enterprises]
    _check_distinct("keys of hub, custodians and enterprises", parties)
    if any(not 1 <= item.index <= CUSTODIANS_MAX for item in root.custodians):
        raise _invalid("A custodian's index is 1 to 255.")
    if root.pseudonym_key is not None and not 1 <= root.pseudonym_key.threshold <= len(root.custodians):
        raise _invalid("The pseudonym key's threshold must be 1 to the number of custodians.")
    if root.beacon_key is not None:
        _check_beacon_key(root, root.beacon_key)


def _check_beacon_key(root: TrustRoot, key: BeaconKey) -> None:
    """One key for two uses would let whoever chooses checkpoints have identifiers evaluated."""
    if not 1 <= key.threshold <= len(root.custodians):
        raise _invalid("The beacon key's threshold must be 1 to the number of custodians.")
    if root.pseudonym_key is not None and root.pseudonym_key.commitments[0] == key.commitments[0]:
        raise _invalid("The beacon key must not be the pseudonym key.")


def _check_key_kept(
    before: PseudonymKey | BeaconKey | None, after: PseudonymKey | BeaconKey | None, what: str
) -> None:
    """Refuse one name for two keys: a refresh renews the commitments but for the first, the public key."""
    if before is None or after is None:
        return
    if (before.key_id == after.key_id) != (before.commitments[:1] == after.commitments[:1]):
        raise _invalid(f"The {what} key keeps its id exactly as long as its public key stays the same.")


def _check_distinct(what: str, values: Iterable[object]) -> None:
    found = list(values)
    if len(set(found)) != len(found):
        raise _invalid(f"The {what} are not distinct.")


def _found(parties: Sequence[_PartyT], party_id: str, what: str) -> _PartyT:
    for party in parties:
        if party.id == party_id:
            return party
    raise Refused(REASON_NOT_REGISTERED, f"No {what} '{party_id}' stands in the trust root.")


def _invalid(message: str) -> Unverified:
    return Unverified(REASON_TRUST_ROOT_INVALID, f"Trust root: {message}")
