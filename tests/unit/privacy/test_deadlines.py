"""Who owes what until when; a missing entry stands only behind the deadline and only without an answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.deadlines import DAY_SECONDS, ended_at, last_ended
from privacy.envelope import Kind
from privacy.standing import HUB_ID, Role
from protos.epochs import Epoch, next_epoch
from protos.problems import Conflict, Malformed, Problem, Refused
from protos.v1.release_pb2 import NOTHING_REASON_NOT_YET_LIVE
from tests.simulator import CUSTODIANS, EPOCH, ISSUED_AT, Federation, begun, enrolled

DAYS = 20
DUE_AT = ISSUED_AT + DAYS * DAY_SECONDS
BIKES, UTILITY = "bike-share", "utility"


def awaited(**changes: Any) -> Federation:
    """Nobody has answered; the deadline is twenty days behind the documents."""
    return enrolled(policy_changes={"deadline_days": DAYS, **changes})


def owed(federation: Federation, now: int) -> set[tuple[str, int]]:
    return {(due.party_id, due.epoch) for due in federation.state.open_dues(now)}


@given(st.integers(40 * DAY_SECONDS, 4_000_000_000))
def test_the_last_ended_epoch_has_ended_and_the_next_has_not(now: int) -> None:
    ended = last_ended(now)
    assert ended_at(ended) <= now < ended_at(next_epoch(ended))


def test_an_epoch_ends_at_midnight_in_the_east() -> None:
    assert ended_at(Epoch(202012)) == 1_609_430_400  # 2020-12-31 16:00 UTC


def test_everybody_owes_an_answer_until_it_is_there() -> None:
    federation = awaited()
    assert owed(federation, DUE_AT) == {(one, EPOCH) for one in (BIKES, UTILITY, "operator-share")}
    federation.release(BIKES)
    federation.nothing_to_report(UTILITY, NOTHING_REASON_NOT_YET_LIVE)
    federation.count("operator-share", BIKES)
    assert owed(federation, DUE_AT) == set()
    assert {due.due_at for due in federation.state.open_dues(ended_at(Epoch(202101)))} == {
        max(ended_at(Epoch(202101)), ISSUED_AT) + DAYS * DAY_SECONDS
    }


def test_without_a_deadline_nobody_owes_anything() -> None:
    federation = enrolled()
    assert federation.state.open_dues(DUE_AT + 1000 * DAY_SECONDS) == []
    message = federation.missing_message(BIKES, issued_at=DUE_AT)
    with pytest.raises(Refused, match="no policy"):
        federation.state.check(federation.signed(Kind.MISSING, message, HUB_ID), ())


def test_a_report_made_before_the_epochs_end_does_not_count() -> None:
    federation = begun(policy_changes={"deadline_days": DAYS})
    header = federation.header(Role.CUSTODIAN, "regulator", issued_at=ended_at(EPOCH) - 1)
    federation.header = lambda *_, **__: header  # type: ignore[method-assign]
    federation.count("regulator", BIKES, 1)
    assert ("regulator", EPOCH) in owed(federation, DUE_AT)


def test_who_comes_later_has_as_many_days_from_then() -> None:
    federation = awaited()
    late = ISSUED_AT + 100 * DAY_SECONDS
    root = federation.trust_root(version=2, previous=federation.state.trust.envelope_hash, issued_at=late)
    newcomer = root.enterprises.add()
    newcomer.CopyFrom(root.enterprises[0])
    newcomer.id = "newcomer"
    newcomer.key.public_key = bytes(31) + b"\x01"
    federation.publish_trust(root)
    dues = {due.party_id: due.due_at for due in federation.state.open_dues(late) if due.epoch == EPOCH}
    assert (dues[BIKES], dues["newcomer"]) == (DUE_AT, late + DAYS * DAY_SECONDS)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"issued_at": DUE_AT - 1}, Refused),
        ({"issued_at": DUE_AT, "role": Role.HUB}, Malformed),
        ({"issued_at": DUE_AT, "role": Role.CUSTODIAN}, Refused),
        ({"issued_at": DUE_AT, "epoch": Epoch(202101)}, Refused),
    ],
)
def test_a_missing_entry_is_refused(changes: dict[str, Any], problem: type[Problem]) -> None:
    federation = awaited()
    message = federation.missing_message(BIKES, **changes)
    with pytest.raises(problem):
        federation.state.check(federation.signed(Kind.MISSING, message, HUB_ID), ())


def test_a_missing_entry_stands_once_and_opens_the_close() -> None:
    federation = awaited()
    federation.release(BIKES)
    with pytest.raises(Refused, match="no entry says so"):
        federation.close()
    federation.miss(UTILITY, issued_at=DUE_AT)
    with pytest.raises(Conflict):
        federation.miss(UTILITY, issued_at=DUE_AT)
    federation.close()
    assert not {one for one, epoch in owed(federation, DUE_AT) if epoch == EPOCH} & {BIKES, UTILITY}
    assert set(CUSTODIANS[:2]).isdisjoint({one for one, _ in owed(federation, DUE_AT)})


def test_a_late_answer_is_still_taken() -> None:
    federation = awaited()
    federation.miss(BIKES, issued_at=DUE_AT)
    federation.release(BIKES)
    assert BIKES not in federation.state.missing(EPOCH)
