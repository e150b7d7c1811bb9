"""Anchors: an epoch is totalled by one anchor at most, only as promised, and charged for it exactly once."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy import anchors, charges
from privacy.claims import ratio
from privacy.envelope import Kind
from privacy.policy import Policy, SeriesKind
from privacy.policy_reading import read_policy
from protos.epochs import Epoch, format_epoch, shift_epoch
from protos.problems import Malformed, Problem, Refused
from protos.v1 import policy_pb2
from protos.v1.release_pb2 import PRIVACY_UNIT_PERSON_DAY
from tests.simulator import Federation, enrolled

HALF = Fraction(1, 2)
FIRST = Epoch(202001)
NAME = "anchor/main"


def with_anchors(month: int = 12, epsilon: Fraction = HALF, **changes: Any) -> dict[str, Any]:
    return {
        "anchor_epsilon": ratio(epsilon),
        "anchor_month": month,
        "person_day_allowance": ratio(HALF + epsilon),
        **changes,
    }


def policy(**changes: Any) -> Policy:
    return read_policy(Federation().policy_message(**changes), bytes(32))


def test_a_policy_without_anchors_has_none() -> None:
    plain = policy()
    assert plain.anchor_epsilon is None
    assert all(item.kind is not SeriesKind.ANCHOR for item in plain.series("utility"))
    assert anchors.covered(plain, "utility", Epoch(202012), {}, lambda *_: True) == {}


def test_an_anchor_has_the_statements_reach_and_stands_in_the_years_last_month() -> None:
    mine = policy(**with_anchors())
    names = [item.name for item in mine.series("utility", Epoch(202012))]
    assert names[:2] == ["statement/main", NAME]
    statement, anchor = mine.series("utility", Epoch(202012))[:2]
    assert anchor.claim == statement.claim
    assert NAME not in [item.name for item in mine.series("utility", Epoch(202011))]
    assert NAME in [item.name for item in mine.series("utility")]


@pytest.mark.parametrize(
    "changes",
    [
        {"anchor_epsilon": ratio(HALF)},
        {"anchor_month": 12},
        with_anchors(month=13),
        with_anchors(epsilon=Fraction(0)),
        with_anchors(person_day_allowance=ratio(Fraction(99, 100))),
        {"points_epsilon": policy_pb2.Ratio()},
    ],
)
def test_anchors_without_month_epsilon_or_allowance_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        policy(**changes)


def test_the_whole_cost_states_the_anchors() -> None:
    cost = charges.whole_cost(policy(**with_anchors()), "utility", active_days=10)
    assert [cost.statements, cost.anchors, cost.histogram] == [HALF, HALF, 1]
    assert [cost.person_day, cost.person_month] == [2, 11]


@given(
    released=st.sets(st.integers(0, 47)),
    kinds=st.lists(st.sampled_from(["none", "december", "june", "finer"]), min_size=48, max_size=48),
    full=st.sets(st.integers(0, 47)),
)
def test_no_epoch_is_in_two_anchors_and_all_were_promised(
    released: set[int], kinds: list[str], full: set[int]
) -> None:
    promised = POLICIES
    by_epoch = {shift_epoch(FIRST, place): promised[kinds[place]] for place in released}
    no_room = {shift_epoch(FIRST, place) for place in full}
    seen: Counter[Epoch] = Counter()
    for place in range(48):
        epoch = shift_epoch(FIRST, place)
        mine = promised[kinds[place]]
        before = {one: rules for one, rules in by_epoch.items() if one < epoch}
        found = anchors.covered(mine, "utility", epoch, before, lambda one, _: one not in no_room)
        if epoch % 100 != mine.anchor_month:
            assert found == {}
            continue
        covered = found[NAME]
        assert list(covered) == sorted(covered) and covered[-1] == epoch
        for one in covered[:-1]:
            assert shift_epoch(epoch, -12) < one < epoch and one not in no_room
            assert by_epoch[one].anchor_month == mine.anchor_month
            assert anchors.promised(by_epoch[one], "utility", NAME) == anchors.promised(mine, "utility", NAME)
        seen.update(covered)
    assert all(count == 1 for count in seen.values())


POLICIES = {
    "none": policy(),
    "december": policy(**with_anchors()),
    "june": policy(**with_anchors(month=6)),
    "finer": policy(**with_anchors(epsilon=Fraction(1, 4))),
}


def test_the_log_charges_every_month_an_anchor_totals_and_no_month_twice() -> None:
    federation = enrolled(first_epoch=FIRST, policy_changes=with_anchors())
    months = [shift_epoch(FIRST, place) for place in range(26)]
    for epoch in months:
        federation.release("utility", epoch)
        spent = federation.state.spent("utility", PRIVACY_UNIT_PERSON_DAY, FIRST)
        assert spent == (HALF if epoch < 202012 else 1)
    totals = {
        format_epoch(epoch): federation.state.spent("utility", PRIVACY_UNIT_PERSON_DAY, epoch)
        for epoch in months
    }
    assert set(totals.values()) == {Fraction(1), HALF}
    assert [month for month, spent in totals.items() if spent == HALF] == ["2022-01", "2022-02"]


def test_a_month_reserved_twice_has_no_room_for_an_anchor() -> None:
    changes = with_anchors(person_month_allowance=ratio(Fraction(2)))
    federation = enrolled(first_epoch=FIRST, policy_changes=changes)
    federation.reserve("utility", FIRST)
    for epoch in (FIRST, Epoch(202011)):
        federation.release("utility", epoch)
    rules = federation.state.policy_for(FIRST)
    covered = federation.state.covered("utility", rules, Epoch(202012))
    assert covered == {NAME: (202011, 202012)}
    federation.release("utility", Epoch(202012))
    assert federation.state.spent("utility", PRIVACY_UNIT_PERSON_DAY, FIRST) == 1


@pytest.mark.parametrize("wrong", [(), (202012,), (202010, 202012), (202011, 202012, 202012)])
def test_a_reservation_or_release_over_another_year_is_refused(wrong: tuple[int, ...]) -> None:
    federation = enrolled(first_epoch=FIRST, policy_changes=with_anchors())
    federation.release("utility", Epoch(202011))
    last = Epoch(202012)
    reservation = federation.reservation("utility", last)
    [charge] = [one for one in reservation.charges if one.series == NAME]
    assert list(charge.epochs) == [202011, 202012]
    del charge.epochs[:]
    charge.epochs.extend(wrong)
    with pytest.raises(Refused):
        federation.append(federation.signed(Kind.RESERVATION, reservation, "utility"))
    reserved = federation.reserve("utility", last)
    built = federation.release_message("utility", reserved, last, {NAME: tuple(map(Epoch, wrong))})
    with pytest.raises(Problem):
        federation.append(federation.signed(Kind.RELEASE, built.message, "utility"), built.bodies)
