"""An epoch that was committed to has its beacon in time, or is named."""

from __future__ import annotations

import pytest

from auditor.commitments import CommitmentSeen, check_commitments
from auditor.findings import Check, Results
from privacy.commitments import BEACON_DAYS_MIN, DAY_SECONDS, beacon_due, deadline
from protos.v1.release_pb2 import NOTHING_REASON_DECLARED_OUTAGE
from tests.simulator import EPOCH, Federation, enrolled

BIKES = "bike-share"


def committed(days: int) -> tuple[Federation, list[CommitmentSeen], int]:
    """Give a log with a commitment under so many days, what an auditor saw of it, and when it was due."""
    federation = enrolled(policy_changes={"commitment_required": True, "commitment_deadline_days": days})
    federation.commit(BIKES)
    made = federation.state.commitments(BIKES)[EPOCH]
    due = deadline(made.policy, EPOCH)
    assert due is not None
    return federation, [CommitmentSeen(BIKES, EPOCH, made, 0)], due


@pytest.mark.parametrize(("days", "more"), [(20, 20), (1, BEACON_DAYS_MIN), (0, BEACON_DAYS_MIN)])
def test_a_beacon_is_missing_from_the_second_it_was_due(days: int, more: int) -> None:
    federation, seen, due = committed(days)
    last = due + more * DAY_SECONDS
    assert beacon_due(seen[0].committed.policy, EPOCH) == last
    for now, found in ((due, 0), (last - 1, 0), (last, 1)):
        results = Results()
        check_commitments(seen, federation.state, {}, results, now=now)
        assert len(results[Check.BEACONS].findings) == found
        assert results[Check.BEACONS].examined == 1


def test_a_beacon_that_was_drawn_is_not_missing() -> None:
    federation, seen, due = committed(20)
    federation.nothing_to_report("utility", NOTHING_REASON_DECLARED_OUTAGE)
    federation.release(BIKES)
    federation.close()
    federation.draw_beacon()
    results = Results()
    drawn = check_commitments(seen, federation.state, {}, results, now=due + 999 * DAY_SECONDS)
    assert list(drawn) == ["2020-12"]
    assert results[Check.BEACONS].findings == []
