from __future__ import annotations

from hub.bounds import CALLERS_MAX, CallerBounds
from protos.v1 import problem_pb2 as reasons
from tests.unit.hub.world import refused


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def enter(bounds: CallerBounds, caller: str) -> None:
    with bounds.admit(caller):
        pass


def test_a_minutes_calls_may_come_at_once_and_no_more() -> None:
    clock = Clock()
    bounds = CallerBounds(per_minute=3, at_once=9, clock=clock)
    for _ in range(3):
        enter(bounds, "a")
    problem = refused(lambda: enter(bounds, "a"))
    assert (problem.reason, bool(problem.remedy)) == (reasons.REASON_RATE_EXCEEDED, True)
    clock.now = 20.0
    enter(bounds, "a")
    assert refused(lambda: enter(bounds, "a"))


def test_one_callers_haste_is_not_anothers() -> None:
    bounds = CallerBounds(per_minute=1, at_once=1, clock=Clock())
    enter(bounds, "a")
    enter(bounds, "b")


def test_calls_at_once_are_bounded_and_given_back() -> None:
    bounds = CallerBounds(per_minute=100, at_once=1, clock=Clock())
    with bounds.admit("a"):
        assert refused(lambda: enter(bounds, "a")).reason == reasons.REASON_RATE_EXCEEDED
    enter(bounds, "a")


def test_memory_of_callers_is_bounded() -> None:
    bounds = CallerBounds(per_minute=1, at_once=1, clock=Clock())
    for number in range(CALLERS_MAX + 5):
        enter(bounds, str(number))
    assert len(bounds._buckets) <= CALLERS_MAX
