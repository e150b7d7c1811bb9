"""The table of equivalences: cited, exact, floored; a figure that is none is refused."""

from __future__ import annotations

import pytest

from accounting.equivalences import parse_equivalences
from protos.problems import Malformed
from tests.unit.accounting import samples

SHIPPED = (samples.PACKS / "equivalences.toml").read_bytes()


def test_what_ships_is_cited_and_exact() -> None:
    table = parse_equivalences(SHIPPED)
    name, tree = table.find()
    assert (table.version, name) == (1, "tree_year")
    assert all(one.source and one.zh for one in table.entries.values())
    assert tree.thousandths(14_000_000) == 10_000
    assert tree.thousandths(1399) == 0
    assert tree.thousandths(-1) == -1


def test_an_entry_that_is_not_there_is_refused() -> None:
    with pytest.raises(Malformed, match="no entry"):
        parse_equivalences(SHIPPED).find("football_field")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"tree_year"', b'"grove"'),
        (b'"kgCO2e/tree/year"', b'"kg/tree"'),
        (b'"1.4"', b'"0"'),
        (b'"1.4"', b"1.4"),
    ],
)
def test_a_table_that_does_not_hold_is_refused(old: bytes, new: bytes) -> None:
    with pytest.raises(Malformed):
        parse_equivalences(SHIPPED.replace(old, new, 1))
