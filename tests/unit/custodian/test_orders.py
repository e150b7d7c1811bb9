"""Orders: only the enterprise's own, for exactly this batch, key, quorum and custodian."""

from __future__ import annotations

from dataclasses import replace

import pytest

from custodian.orders import check_order
from custodian.share import KeyShare, open_from_ceremony
from privacy.envelope import Kind
from protos.problems import Malformed, Problem, Refused, Unavailable, Unverified
from protos.v1.problem_pb2 import (
    REASON_BODY_MISMATCH,
    REASON_KEY_UNKNOWN,
    REASON_MESSAGE_TOO_LARGE,
    REASON_NOT_REGISTERED,
    REASON_QUORUM_UNAVAILABLE,
    REASON_ROLE_NOT_ALLOWED,
    REASON_SUSPENDED,
    REASON_UNKNOWN_FIELD_VALUE,
    REASON_WRONG_SHAPE,
    REASON_WRONG_TYPE,
)
from tests.unit.custodian.simulators import (
    ENTERPRISE,
    Federation,
    blind,
    enterprise,
    sealing_key,
    signing_key,
)

BATCH = blind("a", "b", "c")


@pytest.fixture
def share(federation: Federation) -> KeyShare:
    sealed = federation.ceremony.sealed_shares["regulator"]
    return open_from_ceremony(sealed, sealing_key("regulator"), custodian_id="regulator")


def checked(federation: Federation, share: KeyShare, order: bytes, blinded: bytes = BATCH.blinded) -> object:
    return check_order(order, blinded, caller=ENTERPRISE, root=federation.root, share=share)


def test_order_is_taken_as_signed(federation: Federation, share: KeyShare) -> None:
    order = check_order(
        federation.order("regulator", BATCH.blinded, (1, 3)),
        BATCH.blinded,
        caller=ENTERPRISE,
        root=federation.root,
        share=share,
    )
    assert (order.enterprise_id, order.quorum, order.elements) == (ENTERPRISE, (1, 3), 3)
    assert order.batch_hash == BATCH.batch_hash


@pytest.mark.parametrize(
    ("changes", "kind", "reason"),
    [
        ({"origin": "other/log"}, Unavailable, REASON_QUORUM_UNAVAILABLE),
        ({"enterprise_id": "metro"}, Refused, REASON_ROLE_NOT_ALLOWED),
        ({"custodian_id": "auditor"}, Refused, REASON_ROLE_NOT_ALLOWED),
        ({"key_id": bytes(32)}, Unverified, REASON_KEY_UNKNOWN),
        ({"quorum": [1]}, Malformed, REASON_WRONG_SHAPE),
        ({"quorum": [1, 2, 3]}, Malformed, REASON_WRONG_SHAPE),
        ({"quorum": [2, 1]}, Malformed, REASON_WRONG_SHAPE),
        ({"quorum": [1, 1]}, Malformed, REASON_WRONG_SHAPE),
        ({"quorum": [2, 3]}, Malformed, REASON_WRONG_SHAPE),
        ({"quorum": [1, 4]}, Malformed, REASON_WRONG_SHAPE),
        ({"quorum": [0, 1]}, Malformed, REASON_UNKNOWN_FIELD_VALUE),
        ({"elements": 2}, Malformed, REASON_BODY_MISMATCH),
        ({"batch_hash": bytes(32)}, Malformed, REASON_BODY_MISMATCH),
        ({"kind": Kind.RELEASE}, Malformed, REASON_WRONG_TYPE),
        ({"key": signing_key("thief")}, Unverified, REASON_KEY_UNKNOWN),
    ],
)
def test_every_other_meaning_is_refused(
    federation: Federation, share: KeyShare, changes: dict[str, object], kind: type[Problem], reason: int
) -> None:
    order = federation.order("regulator", BATCH.blinded, **changes)  # type: ignore[arg-type]
    with pytest.raises(kind) as caught:
        checked(federation, share, order)
    assert caught.value.reason == reason


def test_every_flipped_byte_of_an_order_is_refused(federation: Federation, share: KeyShare) -> None:
    order = federation.order("regulator", BATCH.blinded)
    for place in range(len(order)):
        changed = order[:place] + bytes([order[place] ^ 0x01]) + order[place + 1 :]
        with pytest.raises((Malformed, Unverified)):
            checked(federation, share, changed)


def test_other_elements_than_ordered_are_refused(federation: Federation, share: KeyShare) -> None:
    order = federation.order("regulator", BATCH.blinded)
    for blinded in (blind("a", "b", "c").blinded, BATCH.blinded[:-32], BATCH.blinded * 2):
        with pytest.raises(Malformed) as caught:
            checked(federation, share, order, blinded)
        assert caught.value.reason == REASON_BODY_MISMATCH
    for blinded in (b"", BATCH.blinded[:-1]):
        with pytest.raises(Malformed):
            checked(federation, share, order, blinded)


def test_order_of_another_enterprise_over_this_ones_connection_is_refused(
    federation: Federation, share: KeyShare
) -> None:
    federation.publish_root(enterprise(), enterprise("metro"))
    order = federation.order("regulator", BATCH.blinded, caller="metro")
    with pytest.raises(Unverified):
        checked(federation, share, order)


def test_unknown_and_suspended_enterprises_are_refused(federation: Federation, share: KeyShare) -> None:
    order = federation.order("regulator", BATCH.blinded)
    federation.publish_root(enterprise(suspended=True))
    with pytest.raises(Refused) as caught:
        checked(federation, share, order)
    assert caught.value.reason == REASON_SUSPENDED
    federation.publish_root()
    with pytest.raises(Refused) as caught:
        checked(federation, share, order)
    assert caught.value.reason == REASON_NOT_REGISTERED


def test_long_order_is_refused_before_its_signature_is_looked_at(
    federation: Federation, share: KeyShare
) -> None:
    with pytest.raises(Malformed) as caught:
        checked(federation, share, bytes(5000))
    assert caught.value.reason == REASON_MESSAGE_TOO_LARGE


def test_share_of_another_key_than_the_trust_roots_answers_nothing(
    federation: Federation, share: KeyShare
) -> None:
    root = replace(federation.root, pseudonym_key=None)
    with pytest.raises(Unavailable) as caught:
        check_order(
            federation.order("regulator", BATCH.blinded),
            BATCH.blinded,
            caller=ENTERPRISE,
            root=root,
            share=share,
        )
    assert caught.value.reason == REASON_QUORUM_UNAVAILABLE
