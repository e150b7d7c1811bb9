"""The chain over an egress journal: every change, gap and move shows, at the first row it touches."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from privacy.egress import COUNT_MAX, NO_ENTRY, EgressEntry, chain_value, first_broken

COUNTS = st.integers(0, COUNT_MAX)
HASHES = st.binary(min_size=32, max_size=32)
ROWS = st.lists(
    st.tuples(COUNTS, st.text(max_size=9), st.text(max_size=9), COUNTS, HASHES, st.binary(max_size=32)),
    min_size=1,
    max_size=5,
)
CHANGED: dict[type, Any] = {
    int: lambda value: value ^ 1,
    str: lambda value: value + "x",
    bytes: lambda value: value + b"x",
}


def chained(rows: list[tuple[int, str, str, int, bytes, bytes]]) -> list[EgressEntry]:
    entries: list[EgressEntry] = []
    previous = NO_ENTRY
    for number, row in enumerate(rows, start=1):
        entry = EgressEntry(number, *row, chain=b"")
        previous = chain_value(previous, entry)
        entries.append(entry._replace(chain=previous))
    return entries


@given(ROWS)
def test_a_journal_as_written_holds(rows: list[Any]) -> None:
    assert first_broken(chained(rows)) is None


@given(ROWS, st.data())
def test_every_changed_field_shows_at_its_row(rows: list[Any], data: st.DataObject) -> None:
    entries = chained(rows)
    place = data.draw(st.integers(0, len(entries) - 1))
    for name, value in entries[place]._asdict().items():
        changed = [*entries]
        changed[place] = entries[place]._replace(**{name: CHANGED[type(value)](value)})
        assert first_broken(changed) == place + 1, name


@given(ROWS, st.data())
def test_a_dropped_row_shows_unless_it_was_the_last(rows: list[Any], data: st.DataObject) -> None:
    entries = chained(rows)
    place = data.draw(st.integers(0, len(entries) - 1))
    is_last = place == len(entries) - 1
    assert first_broken(entries[:place] + entries[place + 1 :]) == (None if is_last else place + 1)
