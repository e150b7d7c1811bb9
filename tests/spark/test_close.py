"""An epoch's close: after every kind of change the same accounts, points, wallets, roots on either engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from accounting.accounts import population_sql, unlinked_sql
from accounting.ledger.books import Received
from accounting.ledger.wallets import Wallet
from accounting.programmes.versions import Span, spans_of
from engine.closing import ClosedBooks, Operated, credit_books, step_books
from engine.engine import Engine
from engine.folding import BooksSum, fold_accounts, fold_points
from engine.kept_books import Place
from engine.ledgers import NO_FILES, LedgerFiles, find_wallets, walk_credits, walk_wallets
from engine.log_facts import LogFacts
from engine.moved import apply_moves
from engine.released import LINK_COLUMNS, STATEMENT_COLUMNS, Released, ReleasedFiles, as_objects
from privacy.acceptance import LogState
from privacy.ownership import BASIS_POINTS, Closure, Merge, Move, ShareOut, Split
from privacy.policy import EnterprisePolicy, Measure, PackReference, Policy
from privacy.policy_reading import read_policy
from privacy.series import MeasureKind
from protos.epochs import Epoch
from protos.v1 import books_pb2
from tests.simulator import Federation
from tests.spark.comparison import assert_equal_rows
from tests.spark.conftest import LOCAL
from tests.unit.accounting.programmes.programmes import NAMES, programme

PERSONS, ACCOUNTS, SLOTS = 12_000, 9_000, 4_000
ENTERPRISES = ("bikes", "metro", "公司")
# The second begins a calendar year, and a version of the programme.
EPOCHS = (Epoch(202012), Epoch(202101))
VARIANCE, ANCHOR_VARIANCE = 2_000_000, 7_000_001
CITY = "P:city"
RELEASED_COLUMNS = {
    "enterprise": "VARCHAR",
    "epoch": "INTEGER",
    "table_id": "VARCHAR",
    "kind": "VARCHAR",
    "cell": "INTEGER",
    "value": "BIGINT",
    "variance": "BIGINT",
}
BRACKETS = [{"since": 0, "ratio": [1, 7]}, {"since": 10_000, "ratio": [3, 100]}]
RULES = {
    "rides": {
        "names": NAMES,
        "brackets": BRACKETS,
        "year_points_max": 9_000,
        "match": {"domains": ["travel"]},
    },
    "tiers": {"names": NAMES, "counts": "points", "ratio": [2, 3], "overall_points_max": 20_000},
}
FIRST = programme(
    first_epoch=202012,
    earn=RULES,
    claim_window_epochs=1,
    deficit_epochs_max=1,
    expiry={"kind": "rolling", "epochs": 1},
    caps={"epoch_points": 8_000, "year_points": 15_000},
)
SECOND = FIRST.model_copy(update={"version": 2, "first_epoch": 202101, "claim_window_epochs": 0})

pytestmark = pytest.mark.parametrize("spark", [LOCAL], indirect=True, scope="session")


def halves(seed: int, count: int) -> np.ndarray:
    """Draw 16-byte names; their bytes take all values, so that a signed order would show."""
    return as_objects(np.random.default_rng(seed).bytes(16 * count))


PSEUDONYMS, HOLDERS, FRESH = halves(1, PERSONS), halves(2, ACCOUNTS), halves(3, 200)
LINKED = [person for person in range(PERSONS) if person % 10]


def moves() -> list[Move]:
    """Give changes of every kind, over accounts that changes before them touched too."""
    split: list[Move] = [Split(EPOCHS[0], PSEUDONYMS[LINKED[at]], FRESH[at]) for at in range(100)]
    merged: list[Move] = [Merge(EPOCHS[0], HOLDERS[at], HOLDERS[at + 1]) for at in (0, 1, 70, 200)]
    parts = (3_333, 1, BASIS_POINTS - 3_334)
    homes: list[Move] = [
        ShareOut(EPOCHS[1], HOLDERS[at], tuple(zip(FRESH[at : at + 3], parts, strict=True)))
        for at in range(80, 180, 4)
    ]
    closed: list[Move] = [Closure(EPOCHS[1], HOLDERS[at]) for at in (2, 300, 301)]
    return [*split, *merged, *homes, *closed]


class Facts(LogFacts):
    """What a log would say of those changes, of two versions of a programme, and of what measures sum."""

    def __init__(self) -> None:
        super().__init__(LogState(), lambda logged: b"")
        measures = (
            Measure("m", ("bike",), 500, 500),
            Measure("p", ("tier",), 0, 5, MeasureKind.POINTS),
        )
        packs = (PackReference("bike", 1, bytes(32), "travel"), PackReference("tier", 1, bytes(32), "life"))
        read = read_policy(Federation().policy_message(), bytes(32))
        parties = tuple(EnterprisePolicy(one, measures, 1, 1, 1) for one in ENTERPRISES)
        self._policy = replace(read, packs=packs, enterprises=parties)

    def policy_for(self, epoch: Epoch) -> Policy:
        """Give one policy for all time."""
        return self._policy

    def begun(self, epoch: Epoch) -> dict[str, tuple[Span, ...]]:
        """Give the versions that have begun."""
        return {"city": tuple(one for one in spans_of([FIRST, SECOND]) if one.first <= epoch)}

    def merged(self, epoch: Epoch) -> dict[bytes, bytes]:
        """Give each merged account with its last target."""
        into = {one.ends: one.stays for one in moves() if isinstance(one, Merge)}
        return {ends: into.get(stays, stays) for ends, stays in into.items()}


@dataclass(frozen=True, slots=True)
class City:
    """What three enterprises released in two months, as files, and who the persons are."""

    released: list[ReleasedFiles]
    links: Path

    def until(self, epoch: Epoch) -> list[ReleasedFiles]:
        return [one for one in self.released if one.epoch <= epoch]


@pytest.fixture(scope="session")
def city(duckdb: Engine, answers: Path) -> City:
    """Link nine persons of ten, some accounts having several; release months, points and anchors."""
    linked = PSEUDONYMS[LINKED]
    columns = {"pseudonym": linked, "account": HOLDERS[np.arange(len(linked)) % ACCOUNTS]}
    duckdb.register("made", columns, LINK_COLUMNS)
    duckdb.write_parquet("SELECT * FROM made", answers / "links.parquet")
    return City([_release(duckdb, answers, *each) for each in _releases()], answers / "links.parquet")


def _releases() -> list[tuple[int, str, Epoch]]:
    return [(place, one, epoch) for place, one in enumerate(ENTERPRISES) for epoch in EPOCHS]


def _release(engine: Engine, folder: Path, place: int, enterprise: str, epoch: Epoch) -> ReleasedFiles:
    rows = Rows(engine, folder, enterprise, epoch, PSEUDONYMS[place * 3_000 : place * 3_000 + SLOTS])
    anchored = enterprise != "metro" and epoch == EPOCHS[-1]
    return ReleasedFiles(
        enterprise=enterprise,
        epoch=epoch,
        months=rows.write("months", "m"),
        anchors=rows.write("anchors", "m") if anchored else None,
        points=rows.write("points", "p") if enterprise != "metro" else None,
        variances={"m": VARIANCE + epoch},
        anchored={"m": (ANCHOR_VARIANCE, EPOCHS)} if anchored else {},
    )


class Rows:
    """The rows of one release; a slot is there from the month of its number on."""

    def __init__(
        self, engine: Engine, folder: Path, enterprise: str, epoch: Epoch, names: np.ndarray
    ) -> None:
        self.engine, self.folder, self.enterprise, self.epoch = engine, folder, enterprise, epoch
        months = EPOCHS.index(epoch)
        self.slots = np.array([slot for slot in range(SLOTS) if slot % len(EPOCHS) <= months])
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
            "grams": np.random.default_rng(seed).integers(-(10**5), 10**6, count),
            "variance": np.full(count, VARIANCE + self.epoch),
        }
        self.engine.register("made", columns, STATEMENT_COLUMNS)
        self.engine.write_parquet("SELECT * FROM made", path)
        return path


class Outcome(NamedTuple):
    """All that a close says and leaves."""

    accounts: list[Any]
    points: list[Any]
    total: tuple[int, int, bytes]
    close: bytes
    credits: list[Any]
    wallets: list[Any]
    found: dict[bytes, Any]


def closes(engine: Engine, folder: Path, city: City) -> list[Outcome]:
    """Close two epochs; operations come between, on wallets of two ledgers."""
    folder.mkdir()
    outcomes, closed = [], ClosedBooks((), {}, {})
    for epoch in EPOCHS:
        acting = [one for one in moves() if one.effective <= epoch]
        released = apply_moves(engine, folder, Released(city.until(epoch), [city.links]), acting)
        points = list(fold_points(engine, released))
        accounts, total = list(fold_accounts(engine, released)), BooksSum()
        for one in accounts:
            total.add(one)
        credited = credit_books(engine, folder, Facts(), epoch, released, closed.files)
        changed = _reserved(engine, closed.files.get(CITY, NO_FILES))
        gifts = [Received(CITY, HOLDERS[at], epoch, 11) for at in range(420, 430)]
        closed = step_books(engine, folder, credited, Operated(changed, gifts, closed.balances))
        message = books_pb2.EpochClose()
        closed.put_into(message)
        outcomes.append(
            Outcome(
                accounts,
                points,
                (total.total_mg, total.in_two_or_more, total.root()),
                message.SerializeToString(),
                [_rows(walk_credits(engine, one.credits)) for one in credited.ledgers],
                [_rows(walk_wallets(engine, one.files.wallets or folder)) for one in closed.ledgers],
                find_wallets(engine, closed.files[CITY], [*HOLDERS[:30], *FRESH[:90]]),
            )
        )
    return outcomes


def _reserved(engine: Engine, files: LedgerFiles) -> dict[Place, Wallet]:
    """Let operations set aside all that some wallets have."""
    found = find_wallets(engine, files, HOLDERS[400:440])
    return {
        (CITY, account): Wallet(0, one.wallet.claimable, one.wallet.pending + one.wallet.available)
        for account, one in found.items()
        if not one.wallet.deficit
    }


def _rows(batches: Any) -> list[Any]:
    return [{name: array.tolist() for name, array in one.items()} for one in batches]


def test_a_close_is_the_same_on_either_engine(
    spark: Engine, duckdb: Engine, city: City, tmp_path: Path
) -> None:
    found = closes(spark, tmp_path / "spark", city)
    expected = closes(duckdb, tmp_path / "duckdb", city)
    for mine, theirs in zip(found, expected, strict=True):
        for name in Outcome._fields:
            assert getattr(mine, name) == getattr(theirs, name), name
    last = expected[-1]
    ids = [one.account for one in last.accounts]
    assert ids == sorted(ids)
    assert {type(one) for one in ids} == {bytes}
    assert len(ids) > ACCOUNTS * 9 // 10
    assert set(FRESH[:100]) <= set(ids)
    assert not {HOLDERS[0], HOLDERS[1]} & set(ids)
    assert len(last.points) > ACCOUNTS // 2
    assert all(one.lifetime for one in last.found.values())


def test_what_no_account_takes_agrees(spark: Engine, duckdb: Engine, city: City, tmp_path: Path) -> None:
    for name, engine in (("found", spark), ("expected", duckdb)):
        engine.view("statement", [one.months for one in city.released], STATEMENT_COLUMNS)
        engine.view("link", [city.links], LINK_COLUMNS)
        engine.write_parquet(unlinked_sql(), tmp_path / f"{name}.parquet")
    assert_equal_rows(duckdb, [tmp_path / "found.parquet"], [tmp_path / "expected.parquet"], 3)


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
