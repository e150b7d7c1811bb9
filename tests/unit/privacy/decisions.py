"""What tests of the log's rules ask: is it refused, and why; does a log replay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from privacy.acceptance import LogState
from protos.epochs import Epoch
from protos.problems import Problem
from tests.simulator import Federation

JANUARY = Epoch(202101)
BIKES = "bike-share"


def refused(act: Callable[[], Any], *expected: int) -> None:
    with pytest.raises(Problem) as caught:
        act()
    assert caught.value.reason in expected, str(caught.value)


def replay(federation: Federation, *, with_bodies: bool = True, state: LogState | None = None) -> LogState:
    state = state or LogState(pinned=federation.entries[0].data, replaying=True)
    for entry in federation.entries[state.size :]:
        state.apply(state.check(entry.data, entry.bodies if with_bodies else None))
    return state


def next_trust(federation: Federation, **changes: Any) -> Any:
    trust = federation.state.trust
    return federation.trust_root(version=trust.version + 1, previous=trust.envelope_hash, **changes)
