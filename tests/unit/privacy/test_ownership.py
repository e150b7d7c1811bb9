"""Changes are found by whom they name as a look through all of them would find them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from privacy.ownership import BASIS_POINTS, Closure, Merge, Move, Ownership, ShareOut, Split, names_in
from protos.epochs import Epoch

ACCOUNTS = [bytes([number]) * 16 for number in range(1, 7)]
EPOCH, LATER = Epoch(202101), Epoch(202102)


@given(st.permutations(ACCOUNTS), st.lists(st.integers(0, 5), min_size=5, max_size=5))
def test_an_account_names_all_that_were_merged_into_it(order: list[bytes], into: list[int]) -> None:
    ownership = Ownership()
    for number, ends in enumerate(order[1:]):
        ownership.take(Merge(EPOCH, ends, order[into[number] % (number + 1)]), index=number, at=0)
    for account in ACCOUNTS:
        ended = [one for one in ACCOUNTS if one != account and ownership.current(one) == account]
        assert ownership.absorbed(account) == sorted(ended)


def test_changes_are_found_by_each_name_in_the_order_of_the_log() -> None:
    ownership, (home, one, other, *_) = Ownership(), ACCOUNTS
    shared = ShareOut(EPOCH, home, ((one, 4_000), (other, 6_000)))
    moves: list[Move] = [
        Split(EPOCH, bytes(16), one),
        shared,
        Closure(EPOCH, other),
        ShareOut(LATER, home, ()),
    ]
    for number, move in enumerate(moves):
        ownership.take(move, index=number, at=0)
    for name in (bytes(16), *ACCOUNTS):
        found = [(number, move) for number, move in enumerate(moves) if name in names_in(move)]
        assert ownership.about([name]) == found
    assert sum(points for _, points in ownership.shares(home, EPOCH)) == BASIS_POINTS
    assert ownership.shares(home, LATER) == ownership.shares(one, EPOCH) == ()
    assert ownership.gets_part(one, EPOCH)
    assert not ownership.gets_part(one, LATER)
    assert not ownership.gets_part(home, EPOCH)
