"""A commitment comes before the draw, a beacon after all commitments; one of each, and nothing in between."""

from __future__ import annotations

from typing import Any

import pytest

from privacy import checkpoint
from privacy.checkpoint import Checkpoint
from privacy.commitments import deadline
from privacy.envelope import Kind
from privacy.standing import HUB_ID, Role
from protos.epochs import Epoch
from protos.problems import Conflict, Malformed, Problem, Refused, Unverified
from protos.v1.release_pb2 import NOTHING_REASON_DECLARED_OUTAGE
from tests.simulator import EPOCH, ORIGIN, Federation, enrolled, key

NEXT = Epoch(202101)
BIKES, UTILITY = "bike-share", "utility"
ASKED: dict[str, Any] = {
    "policy_changes": {
        "commitment_required": True,
        "commitment_deadline_days": 20,
        "issued_at": 1_600_000_000,
    }
}
WITNESS = checkpoint.witness_vkey("witness.example", key("witness").verify_key)


def federation(**changes: Any) -> Federation:
    return enrolled(**{**ASKED, **changes})


def committed() -> Federation:
    made = federation()
    for one in made.enterprises:
        made.commit(one.id)
        made.release(one.id)
    return made


def drawn_at(made: Federation, note: bytes, epoch: Epoch = EPOCH) -> None:
    made.append(made.signed(Kind.BEACON, made.beacon_message(epoch, note), HUB_ID))


def test_a_release_needs_a_commitment_only_where_the_policy_asks() -> None:
    enrolled().release(BIKES)
    with pytest.raises(Refused, match="asks for a commitment"):
        federation().release(BIKES)
    made = federation()
    made.commit(BIKES)
    made.release(BIKES)
    assert made.state.commitments(BIKES)[EPOCH].policy is made.state.policies[0]


def test_the_deadline_is_midnight_in_utc_plus_8_so_many_days_after_the_epoch() -> None:
    # 2021-01-21 00:00 +08:00 is 2021-01-20 16:00 UTC.
    assert deadline(federation().state.policies[0], EPOCH) == 1_611_158_400
    assert deadline(enrolled().state.policies[0], EPOCH) is None
    # A policy made after the epoch's end gives as many days from then.
    late = {**ASKED["policy_changes"], "issued_at": 1_610_000_000}
    assert deadline(federation(policy_changes=late).state.policies[0], EPOCH) == 1_610_000_000 + 20 * 86_400


def test_one_commitment_an_epoch() -> None:
    made = federation()
    made.commit(BIKES)
    with pytest.raises(Conflict):
        made.commit(BIKES)
    made.commit(BIKES, NEXT)


def test_a_new_policy_asks_for_a_new_commitment() -> None:
    made = federation()
    made.commit(BIKES)
    made.publish_policy(made.policy_message(version=2))
    reservation = made.reserve(BIKES)
    with pytest.raises(Refused, match="version 2 asks"):
        released_for(made, reservation)
    made.commit(BIKES)
    released_for(made, reservation)


def released_for(made: Federation, reservation: bytes) -> None:
    built = made.release_message(BIKES, reservation)
    made.append(made.signed(Kind.RELEASE, built.message, BIKES), built.bodies)


def test_a_release_stands_on_the_commitment_under_the_policy_it_was_reserved_under() -> None:
    made = federation()
    reservation = made.reserve(BIKES)
    before = made.commitment(BIKES)
    made.publish_policy(made.policy_message(version=2))
    made.commit(BIKES)
    release = made.release_message(BIKES, reservation).message
    release.policy_hash = before.policy_hash
    with pytest.raises(Refused, match="version 1 asks"):
        made.append(made.signed(Kind.RELEASE, release, BIKES))
    before.header.CopyFrom(made.header(Role.ENTERPRISE, BIKES))
    made.append(made.signed(Kind.COMMITMENT, before, BIKES))
    assert made.state.commitments(BIKES)[EPOCH].policy.version == 1


def test_nothing_is_committed_to_after_answer_or_close() -> None:
    made = federation()
    made.nothing_to_report(BIKES, NOTHING_REASON_DECLARED_OUTAGE)
    with pytest.raises(Conflict):
        made.commit(BIKES)
    made.close()
    with pytest.raises(Refused, match="closed"):
        made.commit(UTILITY)


def test_the_roster_committed_to_stays() -> None:
    made = federation()
    made.commit(BIKES)
    with pytest.raises(Refused, match="committed to the roster"):
        made.enrol(BIKES, [40, 41])
    made.enrol(BIKES, [40, 41], effective=NEXT)


@pytest.mark.parametrize("change", [{"commitment": bytes(31)}, {"policy_hash": bytes(32)}, {"epoch": 202013}])
def test_a_commitment_of_wrong_shape_is_refused(change: dict[str, Any]) -> None:
    made = federation()
    message = made.commitment(BIKES)
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises((Malformed, Refused)):
        made.append(made.signed(Kind.COMMITMENT, message, BIKES))


def test_a_deadline_without_commitments_is_no_policy() -> None:
    with pytest.raises(Malformed):
        enrolled(policy_changes={"commitment_deadline_days": 3})


def test_a_beacon_over_the_closed_epoch_is_taken_once() -> None:
    made = committed()
    made.close()
    made.draw_beacon()
    drawn = made.state.beacons[EPOCH]
    assert (drawn.index, drawn.covered) == (made.state.size - 1, made.state.size - 1)
    with pytest.raises(Conflict):
        made.draw_beacon()


def test_other_custodians_give_the_same_value() -> None:
    first, second = committed(), committed()
    values = set()
    for made, indices in ((first, (1, 2)), (second, (2, 3))):
        made.close()
        made.append(made.signed(Kind.BEACON, made.beacon_message(indices=indices), HUB_ID))
        values.add(made.state.beacons[EPOCH].value)
    assert len(values) == 1


def test_no_beacon_while_commitments_may_come() -> None:
    made = committed()
    with pytest.raises(Refused, match="may still come"):
        made.draw_beacon()
    before = made.checkpoint()
    made.close()
    with pytest.raises(Refused, match="may still come"):
        drawn_at(made, before)


def witnessed(times: list[int], note: bytes) -> bytes:
    for time in times:
        note = checkpoint.cosign(note, WITNESS, key("witness"), time=time)
    return note


def with_witness() -> Federation:
    made = Federation(**ASKED)
    made.publish_trust(made.trust_root(witness_vkeys=[str(WITNESS)], witness_quorum=1))
    for pack in made.packs:
        made.publish_pack(pack)
    made.publish_policy()
    for one in made.enterprises:
        made.enrol(one.id, one.persons)
    return made


DUE = 1_611_158_400


def test_after_the_deadline_a_witnessed_checkpoint_suffices() -> None:
    made = with_witness()
    made.commit(BIKES)
    note = made.checkpoint()
    for times, wrong in (([], "must"), ([DUE - 1], "may still come")):
        with pytest.raises(Problem, match=wrong):
            drawn_at(made, witnessed(times, note))
    drawn_at(made, witnessed([DUE], note))
    made.release(BIKES)
    with pytest.raises(Refused, match="beacon"):
        made.commit(UTILITY)


def test_a_beacon_covers_every_commitment() -> None:
    made = with_witness()
    note = witnessed([DUE], made.checkpoint())
    made.commit(BIKES)
    with pytest.raises(Unverified, match=r"does not cover the commitment of bike-share in entry"):
        drawn_at(made, note)


def test_a_beacon_over_another_history_or_another_logs_checkpoint_is_refused() -> None:
    made = committed()
    made.close()
    forged = Checkpoint(ORIGIN, made.state.size, bytes(32))
    ahead = Checkpoint(ORIGIN, made.state.size + 1, made.state.root())
    for head, signer in ((forged, "log"), (ahead, "log"), (Checkpoint(ORIGIN, 3, bytes(32)), "other")):
        with pytest.raises(Unverified):
            drawn_at(made, checkpoint.sign_checkpoint(head, key(signer)))


def test_a_beacon_of_another_key_or_with_a_bent_part_is_refused() -> None:
    made = committed()
    made.close()
    message = made.beacon_message()
    message.key_id = bytes(32)
    with pytest.raises(Unverified, match="key"):
        made.append(made.signed(Kind.BEACON, message, HUB_ID))
    message = made.beacon_message()
    message.parts[1].evaluated = message.parts[0].evaluated
    with pytest.raises(Unverified, match="custodian 2"):
        made.append(made.signed(Kind.BEACON, message, HUB_ID))


def test_the_beacon_key_is_not_the_pseudonym_key() -> None:
    made = Federation()
    root = made.trust_root()
    root.pseudonym_key.commitments[:] = root.beacon_key.commitments
    with pytest.raises(Unverified, match="must not be the pseudonym key"):
        made.publish_trust(root)
    root = made.trust_root()
    root.beacon_key.threshold = 4
    root.beacon_key.commitments.extend([bytes([1] * 32)] * 2)
    with pytest.raises(Unverified, match="threshold"):
        made.publish_trust(root)
