"""What an order makes the log's state forget is what a replay over erased bodies never knew."""

from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.acceptance import LogState
from privacy.erasures import ERASED, erased_account, holds, ordered_since
from protos.epochs import Epoch
from tests.simulator import EPOCH, Federation, closed, pseudonym

NEXT = Epoch(202101)


def replayed(federation: Federation) -> LogState:
    """Replay the log over the bodies as they lie now."""
    state = LogState(replaying=True)
    for entry in federation.entries:
        state.apply(state.check(entry.data, entry.bodies))
    return state


def known(state: LogState) -> tuple[object, ...]:
    """Give all the state knows of persons."""
    standing = state._standing
    mine = {
        name: (bytes(one.pseudonyms), one.active, one.erased) for name, one in standing.enterprises.items()
    }
    return mine, standing.linked, standing.successions, standing.erasures


@settings(max_examples=12, deadline=None)
@given(st.sets(st.integers(0, 11), min_size=1, max_size=6), st.data())
def test_live_and_replayed_states_are_the_same(withdrawn: set[int], data: st.DataObject) -> None:
    federation = closed()
    federation.enrol("bike-share", [], effective=NEXT, withdrawn=sorted(withdrawn))
    erased = data.draw(st.sets(st.sampled_from(sorted(withdrawn)), min_size=1))
    federation.erase("bike-share", sorted(erased))
    back = data.draw(st.sampled_from(sorted(withdrawn)))
    federation.enrol("bike-share", [back], effective=NEXT)
    if withdrawn - erased:
        federation.erase("bike-share", sorted(withdrawn - erased))
    assert known(federation.state) == known(replayed(federation))
    assert federation.state.erased_slots("bike-share") == withdrawn


def test_a_link_goes_with_the_last_slot_that_names_its_pseudonym() -> None:
    federation = closed()
    for enterprise, slot in (("bike-share", 6), ("utility", 0)):
        federation.enrol(enterprise, [], effective=NEXT, withdrawn=[slot])
    federation.erase("bike-share", [6])
    assert federation.state.is_linked(pseudonym(6))
    federation.erase("utility", [0])
    assert not federation.state.is_linked(pseudonym(6))
    assert federation.state.is_linked(pseudonym(7))


def test_rows_are_found_on_their_boundaries_alone() -> None:
    name = bytes(range(1, 17))
    assert holds(b"\x00" + name + b"\x00" * 15, name) is False
    assert holds(b"\x00" + name + b"\x00" * 15 + name, name) is True
    assert holds(b"", name) is False


def test_the_account_is_the_documented_one() -> None:
    expected = hashlib.sha256(b"cgsp erased account v1\x00bike-share").digest()[:16]
    assert erased_account("bike-share") == expected != ERASED


def test_orders_are_counted_behind_a_size() -> None:
    federation = closed()
    size = federation.state.size
    federation.enrol("bike-share", [], effective=NEXT, withdrawn=[0, 1])
    federation.erase("bike-share", [0, 1])
    assert EPOCH in federation.state.closes
    assert ordered_since(federation.state.erasures, size) == 2
    assert ordered_since(federation.state.erasures, federation.state.size) == 0
