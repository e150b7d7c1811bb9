"""Trust roots: pinned at first, t of n at every change, never another log's."""

from __future__ import annotations

import pytest

from privacy import checkpoint, codec, envelope, trust
from privacy.envelope import Kind
from privacy.trust import TrustRoot
from protos.problems import Problem, Refused, Unverified
from protos.v1 import trust_pb2
from protos.v1.problem_pb2 import REASON_NOT_REGISTERED, REASON_TRUST_ROOT_INVALID
from tests.simulator import CUSTODIANS, Federation, key

FEDERATION = Federation()
FIRST = FEDERATION.signed(Kind.TRUST_ROOT, FEDERATION.trust_root(), "operator", "regulator")
ROOT = trust.verify_first(FIRST, FIRST)


def signed(root: trust_pb2.TrustRoot, *names: str) -> bytes:
    return FEDERATION.signed(Kind.TRUST_ROOT, root, *(names or ("operator", "regulator")))


def next_root(previous: TrustRoot = ROOT) -> trust_pb2.TrustRoot:
    return FEDERATION.trust_root(version=previous.version + 1, previous=previous.envelope_hash)


def refused(data: bytes, previous: TrustRoot | None = None) -> None:
    with pytest.raises(Unverified) as caught:
        trust.verify_update(previous, data) if previous else trust.verify_first(data)
    assert caught.value.reason == REASON_TRUST_ROOT_INVALID


def test_the_first_is_pinned_by_bytes_or_fingerprint() -> None:
    assert trust.verify_first(FIRST, trust.fingerprint(FIRST)) == ROOT
    assert ROOT.trust_domain == "cgsp.example"
    with pytest.raises(Unverified):
        trust.verify_first(FIRST, bytes(32))
    other = signed(FEDERATION.trust_root(), "operator", "auditor")
    with pytest.raises(Unverified):
        trust.verify_first(other, FIRST)


def test_any_byte_changed_fails() -> None:
    for position in range(len(FIRST)):
        changed = FIRST[:position] + bytes([FIRST[position] ^ 1]) + FIRST[position + 1 :]
        with pytest.raises(Problem):
            trust.verify_first(changed)


def test_too_few_signatures_are_refused() -> None:
    refused(signed(FEDERATION.trust_root(), "operator"))
    refused(signed(FEDERATION.trust_root(), "operator", "stranger"))


def test_an_update_needs_the_old_and_the_new_threshold() -> None:
    renewed = Federation(root_names=("operator", "second", "third"))
    change = renewed.trust_root(version=2, previous=ROOT.envelope_hash)
    refused(signed(change, "operator", "regulator"), ROOT)
    refused(signed(change, "second", "third"), ROOT)
    root = trust.verify_update(ROOT, signed(change, "operator", "regulator", "second"))
    assert root.version == 2
    assert {one.name for one in root.root_keys} == {"operator", "second", "third"}


def test_versions_follow_each_other() -> None:
    second = trust.verify_update(ROOT, signed(next_root()))
    assert second.previous == ROOT.envelope_hash
    refused(signed(next_root()), second)
    skipped = FEDERATION.trust_root(version=3, previous=ROOT.envelope_hash)
    refused(signed(skipped), ROOT)
    refused(signed(FEDERATION.trust_root(version=2, previous=bytes(32))), ROOT)
    refused(signed(next_root()))


def test_origin_and_log_key_stay() -> None:
    moved = next_root()
    moved.log_vkey = "other.example/log+" + moved.log_vkey.split("+", 1)[1]
    moved.origin = "other.example/log"
    refused(signed(moved), ROOT)


def test_the_logs_second_key_may_come_and_stays() -> None:
    added = next_root()
    added.log_subtree_vkey = str(checkpoint.subtree_vkey(ROOT.origin, key("log")))
    second = trust.verify_update(ROOT, signed(added))
    third = FEDERATION.trust_root(version=3, previous=second.envelope_hash)
    refused(signed(third), second)
    third.log_subtree_vkey = added.log_subtree_vkey
    assert trust.verify_update(second, signed(third)).log_subtree_vkey == second.log_subtree_vkey


def test_another_kind_of_envelope_is_no_trust_root() -> None:
    refused(FEDERATION.signed(Kind.POLICY, FEDERATION.trust_root(), "operator", "regulator"))


def test_proposals_can_be_read_unsigned() -> None:
    proposal = envelope.unsigned(codec.encode(FEDERATION.trust_root()), Kind.TRUST_ROOT)
    assert trust.describe(proposal).origin == ROOT.origin
    with pytest.raises(Problem):
        trust.verify_first(proposal)


def change_thresholds(root: trust_pb2.TrustRoot) -> None:
    root.root_threshold = 4


def change_duplicate_key(root: trust_pb2.TrustRoot) -> None:
    root.root_keys[1].CopyFrom(root.root_keys[0])


def change_zero_threshold(root: trust_pb2.TrustRoot) -> None:
    root.policy_threshold = 0


def change_quorum(root: trust_pb2.TrustRoot) -> None:
    root.witness_quorum = 1


def change_log_as_witness(root: trust_pb2.TrustRoot) -> None:
    root.witness_vkeys.append(root.log_vkey)


def change_one_key_for_two_witnesses(root: trust_pb2.TrustRoot) -> None:
    for name in ("one.example", "two.example"):
        root.witness_vkeys.append(str(checkpoint.witness_vkey(name, key("witness").verify_key)))


def change_two_keys_for_a_quorum_of_two(root: trust_pb2.TrustRoot) -> None:
    root.witness_vkeys.append(str(checkpoint.witness_vkey("one.example", key("witness").verify_key)))
    root.witness_vkeys.append(str(checkpoint.subtree_vkey("one.example", key("witness"))))
    root.witness_quorum = 2


def change_second_log_key(root: trust_pb2.TrustRoot) -> None:
    root.log_subtree_vkey = str(checkpoint.subtree_vkey("other.example/log", key("log")))


def change_custodian_index(root: trust_pb2.TrustRoot) -> None:
    root.custodians[1].index = root.custodians[0].index


def change_custodian_zero(root: trust_pb2.TrustRoot) -> None:
    root.custodians[0].index = 0


def change_shared_key(root: trust_pb2.TrustRoot) -> None:
    root.enterprises[0].key.CopyFrom(root.custodians[0].key)


def change_hub_key(root: trust_pb2.TrustRoot) -> None:
    root.hub_key.CopyFrom(root.enterprises[0].key)


def change_id(root: trust_pb2.TrustRoot) -> None:
    root.enterprises[0].id = "Bikes!"


def change_duplicate_id(root: trust_pb2.TrustRoot) -> None:
    root.enterprises[1].id = root.enterprises[0].id


def change_commitments(root: trust_pb2.TrustRoot) -> None:
    root.pseudonym_key.commitments.append(bytes(32))


def change_point(root: trust_pb2.TrustRoot) -> None:
    root.pseudonym_key.commitments[0] = bytes(31)


def change_vkey(root: trust_pb2.TrustRoot) -> None:
    root.log_vkey = "nonsense"


def change_origin(root: trust_pb2.TrustRoot) -> None:
    root.origin = "elsewhere.example/log"


def change_suite(root: trust_pb2.TrustRoot) -> None:
    root.hub_key.suite = trust_pb2.SUITE_UNSPECIFIED


CHANGES = [
    value for name, value in sorted(globals().items()) if name.startswith("change_") and callable(value)
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_does_not_add_up_is_refused(change: object) -> None:
    root = FEDERATION.trust_root()
    change(root)  # type: ignore[operator]
    refused(signed(root))


def test_parties_are_found_or_refused() -> None:
    assert ROOT.enterprise("utility").key == key("utility").verify_key
    assert ROOT.custodian(2).id == CUSTODIANS[1]
    assert ROOT.custodian_by_id(CUSTODIANS[1]).index == 2
    assert ROOT.auditor("auditor").name == "Auditor"
    for look_up in (
        lambda: ROOT.enterprise("nobody"),
        lambda: ROOT.custodian(9),
        lambda: ROOT.custodian_by_id("nobody"),
        lambda: ROOT.auditor("nobody"),
    ):
        with pytest.raises(Refused) as caught:
            look_up()
        assert caught.value.reason == REASON_NOT_REGISTERED


def test_quotas_are_shared_out_rounding_up() -> None:
    assert ROOT.quota_at_custodian("utility") == 6667


@pytest.mark.parametrize(
    ("key_id", "public", "is_taken"),
    [(None, 1, True), (b"another", 9, True), (None, 9, False), (b"another", 1, False)],
)
def test_a_pseudonym_key_keeps_its_id_exactly_as_long_as_its_public_key(
    key_id: bytes | None, public: int, is_taken: bool
) -> None:
    change = next_root()
    change.pseudonym_key.key_id = key_id or change.pseudonym_key.key_id
    # A refresh renews every commitment but the first.
    change.pseudonym_key.commitments[:] = [bytes([public] * 32), bytes([7] * 32)]
    if is_taken:
        root = trust.verify_update(ROOT, signed(change))
        assert root.pseudonym_key is not None
        assert root.pseudonym_key.commitments[1] == bytes([7] * 32)
    else:
        refused(signed(change), ROOT)
