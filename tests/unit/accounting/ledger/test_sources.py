"""Sources: each close draws the difference, and what was drawn is what stands, whatever came and went."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.ledger import chart, sources
from accounting.ledger.chart import CLAIMS, LedgerAccount
from accounting.ledger.closing import close_system
from accounting.ledger.sources import Source, check_drawn, drawn, from_messages, messages, source_of
from accounting.ledger.transfers import Balance
from accounting.ledger.wallets import Moves
from protos.epochs import Epoch
from protos.problems import InvariantBroken

SOURCES = [
    Source(enterprise, measure, Epoch(epoch))
    for enterprise, measure in (("bike-share", "rides"), ("bike-share", "own"), ("utility", "power"))
    for epoch in (202012, 202101)
]
POSITIONS = st.dictionaries(st.sampled_from(SOURCES), st.integers(-(10**15), 10**15))


def moves(milligrams: int) -> Moves:
    return Moves(credited=max(milligrams, 0), clawed_back=max(-milligrams, 0))


def standing(balances: Mapping[LedgerAccount, Balance]) -> dict[Source, int]:
    return {
        source: balance.of(account)
        for account, balance in balances.items()
        if (source := source_of(account)) is not None
    }


@given(st.lists(POSITIONS, max_size=6))
def test_what_stands_is_the_position_and_draws_add_up(story: list[dict[Source, int]]) -> None:
    """Also of a source that a close no longer names: what it gave goes back."""
    balances: dict[LedgerAccount, Balance] = {chart.pool("city"): Balance(0, 5)}
    before = 0
    for positions in story:
        given = drawn(balances, positions)
        assert list(given) == sorted(given)
        assert all(given.values())
        total = sum(positions.values())
        check_drawn(given, moves(total - before))
        balances = close_system(balances, CLAIMS, moves(total - before), given)
        assert {one: mg for one, mg in standing(balances).items() if mg} == {
            one: mg for one, mg in positions.items() if mg
        }
        assert drawn(balances, positions) == {}
        before = total
    debits, credits = (sum(getattr(one, side) for one in balances.values()) for side in ("debits", "credits"))
    assert debits - credits == before - 5


@given(POSITIONS, st.integers(1, 9))
def test_a_milligram_without_a_source_stops_the_close(positions: dict[Source, int], more: int) -> None:
    given = drawn({}, positions)
    with pytest.raises(InvariantBroken):
        check_drawn(given, moves(sum(given.values()) + more))


@given(POSITIONS)
def test_what_the_log_says_of_sources_is_read_again(positions: dict[Source, int]) -> None:
    given = drawn({}, positions)
    assert from_messages(messages(given)) == given
    assert all(source_of(one.account) == one for one in given)


def test_other_accounts_are_no_source_and_one_without_vintage_stops() -> None:
    assert source_of(chart.pool("city")) is None
    assert source_of(chart.money_source("government")) is None
    with pytest.raises(InvariantBroken):
        source_of(LedgerAccount(CLAIMS, "src:2020-12"))
    assert sources.changes({SOURCES[0]: -3}) == {SOURCES[0].account: Balance(0, 3)}
