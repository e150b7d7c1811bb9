"""The account fold: exact, blind to order, and everything is in an account or counted as unlinked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounting.accounts import (
    account_leaf,
    accounts_sql,
    population_sql,
    sources_sql,
    unlinked_sql,
    variance_mg2,
)
from engine.engine import Engine
from protos.problems import InvariantBroken

Row = tuple[str, int, str, int, bytes, int, int]


def load(engine: Engine, rows: Sequence[Row], links: dict[bytes, bytes]) -> None:
    schema = {
        "enterprise": "VARCHAR",
        "epoch": "INTEGER",
        "measure": "VARCHAR",
        "slot_row": "BIGINT",
        "pseudonym": "BLOB",
        "grams": "BIGINT",
        "variance": "BIGINT",
    }
    kinds = {"VARCHAR": object, "BLOB": object, "INTEGER": np.int32, "BIGINT": np.int64}
    columns = {
        name: np.array([row[position] for row in rows], dtype=kinds[kind])
        for position, (name, kind) in enumerate(schema.items())
    }
    engine.register("statement", columns, schema)
    engine.register(
        "link",
        {
            "pseudonym": np.array(list(links), dtype=object),
            "account": np.array(list(links.values()), dtype=object),
        },
        {"pseudonym": "BLOB", "account": "BLOB"},
    )


PSEUDONYMS = [bytes([n]) * 16 for n in (0, 1, 2, 127, 128, 255)]
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["bank", "metro", "utility"]),
        st.sampled_from([202011, 202012]),
        st.sampled_from(["rides", "own"]),
        st.integers(0, 5),
        st.sampled_from(PSEUDONYMS),
        st.integers(-(10**12), 10**12),
        st.integers(0, 10**12),
    ),
    max_size=30,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), rows=ROWS)
def test_the_fold_equals_plain_addition_and_loses_nothing(
    data: st.DataObject, rows: list[Row], engine: Engine
) -> None:
    accounts = [bytes([n]) * 16 for n in (200, 9, 255)]
    links = {one: data.draw(st.sampled_from(accounts)) for one in PSEUDONYMS if data.draw(st.booleans())}
    load(engine, data.draw(st.permutations(rows)), links)
    totals: dict[bytes, list[int]] = defaultdict(lambda: [0, 0])
    enterprises: dict[bytes, set[str]] = defaultdict(set)
    given: dict[tuple[str, str, int], int] = defaultdict(int)
    for enterprise, epoch, measure, _, pseudonym, grams, variance in rows:
        if pseudonym in links:
            given[enterprise, measure, epoch] += grams * 1000
            account = links[pseudonym]
            totals[account][0] += grams * 1000
            totals[account][1] += variance
            enterprises[account].add(enterprise)
    got = engine.rows(accounts_sql())
    assert got == [
        (account, balance, variance, len(enterprises[account]))
        for account, (balance, variance) in sorted(totals.items())
    ]
    unlinked = engine.rows(unlinked_sql())
    assert (
        sum(row[1] for row in got) + sum(row[2] for row in unlinked) * 1000 == sum(r[5] for r in rows) * 1000
    )
    sources = engine.rows(sources_sql())
    assert sources == [(*one, milligrams) for one, milligrams in sorted(given.items())]
    assert sum(row[3] for row in sources) == sum(row[1] for row in got)
    assert sum(row[1] for row in unlinked) == sum(1 for row in rows if row[4] not in links)


def test_columns_come_as_arrays(engine: Engine) -> None:
    load(engine, [("bank", 202012, "rides", 0, PSEUDONYMS[1], -5, 7)], {PSEUDONYMS[1]: b"a" * 16})
    columns = engine.columns(accounts_sql())
    assert columns["account"].tolist() == [b"a" * 16]
    assert columns["balance_mg"].tolist() == [-5000]
    assert columns["balance_mg"].dtype == np.int64


def test_released_cells_add_up_over_enterprises(engine: Engine) -> None:
    engine.execute(
        "CREATE OR REPLACE TABLE released (enterprise VARCHAR, epoch INTEGER, table_id VARCHAR, "
        "kind VARCHAR, cell INTEGER, value BIGINT, variance BIGINT)"
    )
    engine.execute(
        "INSERT INTO released VALUES ('a', 202012, 'region_domain', 'sum', 0, -3, 10), "
        "('b', 202012, 'region_domain', 'sum', 0, 8, 20), ('a', 202012, 'region_domain', 'count', 0, 1, 2)"
    )
    assert engine.rows(population_sql()) == [
        (202012, "region_domain", "count", 0, 1, 2, 1),
        (202012, "region_domain", "sum", 0, 5, 30, 2),
    ]


def test_a_leaf_is_forty_fixed_bytes() -> None:
    leaf = account_leaf(b"i" * 16, -1, variance_mg2(3))
    assert leaf == b"i" * 16 + b"\xff" * 8 + (3_000_000).to_bytes(16, "big")
    with pytest.raises(InvariantBroken):
        account_leaf(b"short", 0, 0)
