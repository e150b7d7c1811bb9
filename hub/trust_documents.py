"""Trust roots as the operator prepares them: the first from hub.toml, later ones from the one in force."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hub.removals import remove
from hub.store.parties import Party
from privacy import codec, envelope
from privacy.envelope import Kind
from privacy.keys import SigningKey, VerifyKey
from privacy.witness_policy import WitnessPolicy
from protos.json_text import parse_json
from protos.problems import Malformed, Refused
from protos.v1 import trust_pb2
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID, REASON_NOT_REGISTERED

KEY_ID_HEX = r"^([0-9a-f]{2}){1,32}$"


class SharedKeyFile(BaseModel):
    """pseudonym-key.json or beacon-key.json of the custodians' ceremony."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    key_id: str = Field(pattern=KEY_ID_HEX)
    threshold: int = Field(ge=1, le=255)
    commitments: list[str] = Field(min_length=1, max_length=255)
    custodians: dict[str, int]


@dataclass(frozen=True, slots=True)
class Genesis:
    """What a trust root says about the hub itself and its signers; it comes from the home folder."""

    origin: str
    root_keys: Sequence[VerifyKey]
    root_threshold: int
    policy_keys: Sequence[VerifyKey]
    policy_threshold: int
    log_vkey: str
    log_subtree_vkey: str
    hub_key: VerifyKey
    hub_ca: bytes


def parse_shared_key(data: bytes) -> SharedKeyFile:
    """Read a key file of the custodians; raises Malformed."""
    try:
        return SharedKeyFile.model_validate(parse_json(data))
    except (ValueError, ValidationError) as error:
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            f"This is not a shared key's file: {type(error).__name__}.",
            remedy="Give the pseudonym-key.json or beacon-key.json that the custodians' ceremony wrote.",
        ) from None


def propose(
    genesis: Genesis,
    parties: Sequence[Party],
    *,
    previous: bytes | None,
    pseudonym_key: SharedKeyFile | None,
    issued_at: int,
    witnesses: WitnessPolicy | None = None,
    beacon_key: SharedKeyFile | None = None,
    predecessor_checkpoint: bytes = b"",
    quotas: Mapping[str, int] | None = None,
    suspensions: Mapping[str, bool] | None = None,
    removed: Collection[str] = (),
) -> bytes:
    """Give an unsigned trust root that follows `previous` (an envelope) and names all who have joined."""
    message = trust_pb2.TrustRoot()
    if previous is not None:
        message.CopyFrom(envelope.open_envelope(previous).parse(trust_pb2.TrustRoot))
        message.previous = envelope.envelope_hash(previous)
    message.version += 1
    message.issued_at = issued_at
    _fill_genesis(message, genesis)
    message.predecessor_checkpoint = predecessor_checkpoint
    if witnesses is not None:
        message.witness_vkeys[:] = map(str, witnesses.vkeys)
        message.witness_quorum = witnesses.quorum
    if pseudonym_key is not None:
        _fill_key(message.pseudonym_key, pseudonym_key)
    if beacon_key is not None:
        _fill_key(message.beacon_key, beacon_key)
    indices = {item.id: item.index for item in message.custodians}
    if pseudonym_key is not None:
        indices = dict(pseudonym_key.custodians)
    _check_indices(indices, beacon_key)
    _fill_custodians(message, parties, indices)
    _fill_enterprises(message, parties, quotas or {}, suspensions or {})
    _fill_auditors(message, parties)
    remove(message, removed)
    return envelope.unsigned(codec.encode(message), Kind.TRUST_ROOT)


def add_signature(proposal: bytes, key: SigningKey) -> bytes:
    """Sign a proposal; a second signature of the same key changes nothing."""
    return envelope.add_signature(proposal, key)


def _fill_genesis(message: trust_pb2.TrustRoot, genesis: Genesis) -> None:
    """State what the home folder says; witnesses stay as they are."""
    message.origin = genesis.origin
    message.root_threshold = genesis.root_threshold
    message.policy_threshold = genesis.policy_threshold
    message.log_vkey = genesis.log_vkey
    message.log_subtree_vkey = genesis.log_subtree_vkey
    message.hub_key.CopyFrom(genesis.hub_key.to_wire())
    message.hub_ca = genesis.hub_ca
    for field, keys in ((message.root_keys, genesis.root_keys), (message.policy_keys, genesis.policy_keys)):
        del field[:]
        field.extend(key.to_wire() for key in keys)


def _check_indices(indices: Mapping[str, int], beacon_key: SharedKeyFile | None) -> None:
    """Refuse a beacon key dealt to others, or at other indices, than the pseudonym key."""
    if beacon_key is not None and dict(beacon_key.custodians) != dict(indices):
        raise Refused(
            REASON_NOT_REGISTERED,
            "The beacon key is shared among other custodians, or in another order, than the pseudonym key.",
            remedy="Hold its ceremony with the same recipients in the same order.",
        )


def _fill_key(key: trust_pb2.PseudonymKey | trust_pb2.BeaconKey, file: SharedKeyFile) -> None:
    key.Clear()
    key.key_id = bytes.fromhex(file.key_id)
    key.threshold = file.threshold
    try:
        key.commitments.extend(bytes.fromhex(one) for one in file.commitments)
    except ValueError:
        raise Malformed(REASON_CONFIGURATION_INVALID, "A commitment is 64 hex digits.") from None


def _fill_custodians(
    message: trust_pb2.TrustRoot, parties: Sequence[Party], indices: Mapping[str, int]
) -> None:
    """Name the custodians that hold a share, each at its share's index."""
    joined = {party.id: party for party in parties if party.role == "custodian"}
    missing = sorted(set(indices) - set(joined) - {item.id for item in message.custodians})
    if missing:
        raise Refused(
            REASON_NOT_REGISTERED,
            f"The pseudonym key names custodians that have not joined: {', '.join(missing)}.",
            remedy="Let them join first (cgsp-custodian init).",
        )
    kept = {item.id: item for item in message.custodians}
    del message.custodians[:]
    for custodian_id, index in sorted(indices.items(), key=lambda pair: pair[1]):
        party = joined.get(custodian_id)
        if party is None:
            message.custodians.append(kept[custodian_id])
            continue
        added = message.custodians.add(id=party.id, name=party.name, index=index, address=party.address)
        added.key.CopyFrom(_key(party))


def _fill_enterprises(
    message: trust_pb2.TrustRoot,
    parties: Sequence[Party],
    quotas: Mapping[str, int],
    suspensions: Mapping[str, bool],
) -> None:
    """Add or bring up to date the enterprises that have joined; suspensions and raised quotas stay."""
    known = {item.id: item for item in message.enterprises}
    for party in (party for party in parties if party.role == "node"):
        item = known.get(party.id)
        if item is None:
            item = message.enterprises.add(id=party.id)
        item.name, item.name_zh = party.name, party.name_zh
        item.evaluation_quota = max(item.evaluation_quota, party.evaluation_quota)
        item.key.CopyFrom(_key(party))
    named = {item.id: item for item in message.enterprises}
    if unknown := sorted((quotas.keys() | suspensions.keys()) - named.keys()):
        raise Refused(
            REASON_NOT_REGISTERED,
            f"A quota or suspension is given for enterprises that have not joined: {', '.join(unknown)}.",
            remedy="Check the ids; quotas of newcomers are in their invitations.",
        )
    for enterprise_id, quota in quotas.items():
        named[enterprise_id].evaluation_quota = quota
    for enterprise_id, is_suspended in suspensions.items():
        named[enterprise_id].suspended = is_suspended


def _fill_auditors(message: trust_pb2.TrustRoot, parties: Sequence[Party]) -> None:
    known = {item.id for item in message.auditors}
    for party in parties:
        if party.role == "auditor" and party.id not in known:
            message.auditors.add(id=party.id, name=party.name)


def _key(party: Party) -> trust_pb2.Key:
    return VerifyKey(public=party.public_key, name=party.id).to_wire()
