"""Nonces are refused exactly while the ticket they were used with lasts, and no longer kept than that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.spent_tickets import SWEEP_SECONDS, SpentTickets, Use
from privacy.tickets import SKEW_SECONDS_MAX, TICKET_SECONDS_MAX
from protos.problems import Conflict

# How far time goes on before an operation, which nonce it uses, and how long its ticket still lasts.
ACTS = st.lists(
    st.tuples(
        st.integers(0, 2 * SWEEP_SECONDS),
        st.integers(0, 3),
        st.integers(0, TICKET_SECONDS_MAX + SKEW_SECONDS_MAX),
    )
)


def is_refused(spent: SpentTickets, use: Use, at: int) -> bool:
    try:
        spent.check(use, at)
    except Conflict:
        return True
    return False


@given(ACTS)
def test_a_nonce_is_refused_while_its_ticket_lasts(acts: list[tuple[int, int, int]]) -> None:
    spent, ends, at = SpentTickets(), dict[Use, int](), 0
    for passed, number, lasts in acts:
        at += passed
        use = ("bike-share", bytes([number]))
        assert is_refused(spent, use, at) == (ends.get(use, -1) >= at)
        if not is_refused(spent, use, at):
            spent.add(use, ends=at + lasts, at=at)
            ends[use] = at + lasts


@given(st.lists(st.integers(0, 20), min_size=1, max_size=400))
def test_what_has_ended_is_forgotten(passes: list[int]) -> None:
    spent, at = SpentTickets(), 0
    for number, passed in enumerate(passes):
        at += passed
        spent.add(("utility", number.to_bytes(2, "big")), ends=at + TICKET_SECONDS_MAX, at=at)
    times = [sum(passes[: end + 1]) for end in range(len(passes))]
    kept = [one for one in times if one > at - 2 * TICKET_SECONDS_MAX - SWEEP_SECONDS]
    assert len(spent) <= len(kept)


def test_another_enterprises_nonce_is_another() -> None:
    spent = SpentTickets()
    spent.add(("bike-share", bytes(16)), ends=9, at=0)
    spent.check(("utility", bytes(16)), 5)
    with pytest.raises(Conflict):
        spent.check(("bike-share", bytes(16)), 5)
