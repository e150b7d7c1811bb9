"""What happens to other accounts changes nothing for a pseudonym; its own changes act by epoch."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.holdings import ALWAYS, FOREVER, Holding, holdings, touched
from privacy.ownership import BASIS_POINTS, Closure, Merge, Move, ShareOut, Split
from protos.epochs import Epoch

EPOCHS = [Epoch(202101), Epoch(202102), Epoch(202103)]
MINE = [bytes([number]) * 16 for number in (1, 2, 3)]
THEIRS = [bytes([number]) * 16 for number in (101, 102, 103)]
FRESH = [bytes([number]) * 16 for number in range(201, 209)]


def name_of(account: bytes) -> bytes:
    return account[::-1][:8] + bytes(8)


def moves_among(accounts: list[bytes], fresh: list[bytes]) -> st.SearchStrategy[list[Move]]:
    """Draw changes among these accounts; only the last is ever merged into the first."""
    epoch, account = st.sampled_from(EPOCHS), st.sampled_from(accounts[:-1])
    parts = tuple((one, BASIS_POINTS // 2) for one in accounts[:2])
    drawn = st.one_of(
        st.builds(Split, epoch, account.map(name_of), st.sampled_from(fresh)),
        st.builds(Closure, epoch, account),
        st.builds(ShareOut, epoch, st.just(accounts[-1]), st.sampled_from([parts, ()])),
    )
    merge = st.builds(Merge, epoch, st.just(accounts[-1]), st.just(accounts[0]))
    return st.tuples(st.lists(drawn, max_size=5), st.lists(merge, max_size=1)).map(
        lambda two: two[0] + two[1]
    )


@settings(max_examples=50, deadline=None)
@given(moves_among(MINE, FRESH[:4]), moves_among(THEIRS, FRESH[4:]))
def test_changes_of_others_change_nothing(mine: list[Move], theirs: list[Move]) -> None:
    linked = {name_of(one): one for one in MINE}
    assert holdings([*theirs, *mine], linked).holdings == holdings(mine, linked).holdings


def test_a_pseudonym_is_cut_only_where_its_own_holder_changes() -> None:
    account, name = MINE[0], name_of(MINE[0])
    moves: list[Move] = [
        Closure(EPOCHS[0], THEIRS[0]),
        Split(EPOCHS[1], name, FRESH[0]),
        ShareOut(EPOCHS[2], FRESH[0], ((THEIRS[1], 4_000), (THEIRS[2], 6_000))),
        Merge(EPOCHS[2], THEIRS[1], THEIRS[2]),
    ]
    assert touched(moves)[0] == {name}
    assert holdings(moves, {name: account}).holdings == (
        Holding(name, ALWAYS, EPOCHS[1], ((account, BASIS_POINTS),)),
        Holding(name, EPOCHS[1], EPOCHS[2], ((FRESH[0], BASIS_POINTS),)),
        Holding(name, EPOCHS[2], FOREVER, ((THEIRS[2], BASIS_POINTS),)),
    )
