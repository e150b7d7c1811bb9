"""A pseudonym's slots are those a look at every row would find, whatever was added and erased."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from privacy.erasures import ERASED
from privacy.slot_index import SlotIndex

NAMES = [bytes([number]) * 16 for number in range(4)]


@given(st.lists(st.lists(st.sampled_from(NAMES), max_size=5), max_size=5), st.data())
def test_slots_are_those_a_scan_finds(batches: list[list[bytes]], data: st.DataObject) -> None:
    index, rows = SlotIndex(), list[bytes]()
    for batch in batches:
        index.add(len(rows), b"".join(batch))
        rows += batch
    for number in data.draw(st.sets(st.sampled_from(range(len(rows))))) if rows else ():
        index.remove(rows[number], number)
        rows[number] = ERASED
    for name in NAMES:
        found = [number for number, row in enumerate(rows) if row == name]
        assert list(index.of(name)) == ([] if name == ERASED else found)
