"""The hub's folds: the same accounts, in the same order, to the same root, on either engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accounting.accounts import population_sql, unlinked_sql
from engine.engine import Engine
from engine.released import (
    LINK_COLUMNS,
    STATEMENT_COLUMNS,
    BooksSum,
    ReleasedFiles,
    as_objects,
    fold_accounts,
    fold_points,
)
from tests.spark.comparison import assert_equal_rows
from tests.spark.conftest import LOCAL

PERSONS, ACCOUNTS, SLOTS = 12_000, 9_000, 4_000
ENTERPRISES = ("bikes", "metro", "公司")
EPOCHS = tuple(range(202001, 202013))
RELEASED_COLUMNS = {
    "enterprise": "VARCHAR",
    "epoch": "INTEGER",
    "table_id": "VARCHAR",
    "kind": "VARCHAR",
    "cell": "INTEGER",
    "value": "BIGINT",
    "variance": "BIGINT",
}


def halves(seed: int, count: int) -> np.ndarray:
    """Draw 16-byte names; their bytes take all values, so that a signed order would show."""
    return as_objects(np.random.default_rng(seed).bytes(16 * count))


@pytest.fixture(scope="session")
def links(duckdb: Engine, answers: Path) -> Path:
    """Link nine persons of ten, some accounts having several."""
    linked = np.array([one for row, one in enumerate(halves(1, PERSONS)) if row % 10], dtype=object)
    accounts = halves(2, ACCOUNTS)[np.arange(len(linked)) % ACCOUNTS]
    duckdb.register("staged", {"pseudonym": linked, "account": accounts}, LINK_COLUMNS)
    duckdb.write_parquet("SELECT * FROM staged", answers / "links.parquet")
    return answers / "links.parquet"


@pytest.fixture(scope="session")
def released(duckdb: Engine, answers: Path) -> list[ReleasedFiles]:
    """Write a year of three enterprises: months, points, and anchors of the year for two of them."""
    made = []
    for number, enterprise in enumerate(ENTERPRISES):
        names = halves(1, PERSONS)[number * 3000 : number * 3000 + SLOTS]
        for epoch in EPOCHS:
            rows = Rows(duckdb, answers, enterprise, epoch, names)
            anchored = enterprise != "metro" and epoch == EPOCHS[-1]
            made.append(
                ReleasedFiles(
                    enterprise=enterprise,
                    epoch=epoch,
                    months=rows.write("months", "m"),
                    anchors=rows.write("anchors", "m") if anchored else None,
                    points=rows.write("points", "p"),
                    variances={"m": 2_000_000 + epoch},
                    anchored={"m": (7_000_001, EPOCHS)} if anchored else {},
                )
            )
    return made


class Rows:
    """The rows of one release; a slot is there from the month of its number on."""

    def __init__(self, engine: Engine, folder: Path, enterprise: str, epoch: int, names: np.ndarray) -> None:
        self.engine, self.folder, self.enterprise, self.epoch = engine, folder, enterprise, epoch
        self.slots = np.array([slot for slot in range(SLOTS) if slot % 12 < epoch % 100])
        self.names = names[self.slots]

    def write(self, part: str, measure: str) -> Path:
        path = self.folder / f"{part}-{self.enterprise}-{self.epoch}.parquet"
        count = len(self.slots)
        seed = [*path.name.encode()]
        columns = {
            "enterprise": np.array([self.enterprise] * count, dtype=object),
            "epoch": np.full(count, self.epoch),
            "measure": np.array([measure] * count, dtype=object),
            "slot": self.slots,
            "pseudonym": self.names,
            "grams": np.random.default_rng(seed).integers(-(10**9), 10**9, count),
            "variance": np.full(count, 2_000_000 + self.epoch),
        }
        self.engine.register("staged", columns, STATEMENT_COLUMNS)
        self.engine.write_parquet("SELECT * FROM staged", path)
        return path


def test_accounts_and_their_root_agree(
    spark: Engine, duckdb: Engine, released: list[ReleasedFiles], links: Path
) -> None:
    books = []
    for engine in (spark, duckdb):
        summed, accounts = BooksSum(), list(fold_accounts(engine, released, [links]))
        for one in accounts:
            summed.add(one)
        books.append((accounts, summed.root(), summed.total_mg, summed.in_two_or_more))
    assert books[0] == books[1]
    ids = [one.account for one in books[0][0]]
    assert ids == sorted(ids)
    assert len(ids) > ACCOUNTS // 2
    assert {type(one) for one in ids} == {bytes}


@pytest.mark.parametrize("spark", [LOCAL], indirect=True, scope="session")
def test_points_agree(spark: Engine, duckdb: Engine, released: list[ReleasedFiles], links: Path) -> None:
    found = list(fold_points(spark, released, [links]))
    assert found == list(fold_points(duckdb, released, [links]))
    assert len(found) > ACCOUNTS // 2


@pytest.mark.parametrize("spark", [LOCAL], indirect=True, scope="session")
def test_what_no_account_takes_agrees(
    spark: Engine, duckdb: Engine, released: list[ReleasedFiles], links: Path, tmp_path: Path
) -> None:
    for name, engine in (("found", spark), ("expected", duckdb)):
        engine.view("statement", [one.months for one in released], STATEMENT_COLUMNS)
        engine.view("link", [links], LINK_COLUMNS)
        engine.write_parquet(unlinked_sql(), tmp_path / f"{name}.parquet")
    assert_equal_rows(duckdb, [tmp_path / "found.parquet"], [tmp_path / "expected.parquet"], 3)


@pytest.mark.parametrize("spark", [LOCAL], indirect=True, scope="session")
def test_the_population_agrees(spark: Engine, duckdb: Engine) -> None:
    random, count = np.random.default_rng(4), 5000
    tables = np.array(["region_domain", "domain_methodology_pooled"], dtype=object)
    columns = {
        "enterprise": random.choice(np.array(ENTERPRISES, dtype=object), count),
        "epoch": random.integers(202011, 202013, count),
        "table_id": random.choice(tables, count),
        "kind": random.choice(np.array(["sum", "count"], dtype=object), count),
        "cell": random.integers(0, 100, count),
        "value": random.integers(-(10**14), 10**14, count),
        "variance": random.integers(1, 10**14, count),
    }
    answers = []
    for engine in (spark, duckdb):
        engine.register("released", columns, RELEASED_COLUMNS)
        answers.append(engine.rows(population_sql()))
    assert answers[0] == answers[1]
    assert len(answers[0]) > 700
