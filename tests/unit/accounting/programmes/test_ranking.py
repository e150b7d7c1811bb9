"""Places are in order, small groups are not shown, and a place is certain only if noise cannot turn it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from accounting.programmes.ranking import Entry, rank

ENTRIES = st.lists(
    st.builds(
        Entry,
        st.text(alphabet="abc", min_size=1, max_size=4),
        st.integers(-1_000, 1_000),
        st.integers(0, 300),
        st.integers(-50, 200),
    ),
    max_size=12,
    unique_by=lambda one: one.key,
)


@given(entries=ENTRIES, group_min=st.integers(20, 60), places=st.integers(1, 10), data=st.data())
def test_a_board_tells_what_the_figures_bear_out(
    entries: list[Entry], group_min: int, places: int, data: st.DataObject
) -> None:
    shown = rank(entries, group_min=group_min, places=places)
    large = {one.key: one for one in entries if one.members_min >= group_min}
    assert [one.key for one in shown] == sorted(large, key=lambda key: (-large[key].amount, key))[:places]
    for one in shown:
        others = [large[key] for key in large if (-large[key].amount, key) > (-one.amount, one.key)]
        assert one.is_certain == all(
            one.amount - one.halfwidth > other.amount + other.halfwidth for other in others
        )
    assert rank(data.draw(st.permutations(entries)), group_min=group_min, places=places) == shown
