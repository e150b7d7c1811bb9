"""Changes to accounts act from their epoch, move no gram twice and lose none, whoever folds the files."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.duckdb_engine import DuckDbEngine
from engine.folding import fold_accounts, fold_sources
from engine.moved import apply_moves
from engine.released import LINK_COLUMNS, STATEMENT_COLUMNS, Released, ReleasedFiles
from privacy.ownership import BASIS_POINTS, Closure, Merge, Move, ShareOut, Split
from protos.epochs import Epoch

EPOCHS = (Epoch(202101), Epoch(202102), Epoch(202103))
PERSONS = 5
VARIANCE = 1_000


def name(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:16]


PSEUDONYMS = [name(f"pseudonym {person}") for person in range(PERSONS)]
ACCOUNTS = [name(f"account {person}") for person in range(PERSONS)]
FRESH = [name(f"fresh {number}") for number in range(PERSONS)]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDbEngine]:
    with DuckDbEngine(memory_limit_mb=512, threads=1, temp_dir=tmp_path_factory.mktemp("temp")) as built:
        yield built


def objects(values: Sequence[bytes | str]) -> np.ndarray[Any, Any]:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def write_links(engine: DuckDbEngine, folder: Path) -> list[Path]:
    columns = {"pseudonym": objects(PSEUDONYMS), "account": objects(ACCOUNTS)}
    engine.register("made", columns, LINK_COLUMNS)
    engine.write_parquet("SELECT * FROM made", folder / "links.parquet")
    return [folder / "links.parquet"]


def write(
    engine: DuckDbEngine, path: Path, epoch: Epoch, grams: Sequence[int], enterprise: str = "bikes"
) -> Path:
    rows = len(grams)
    columns = {
        "enterprise": objects([enterprise] * rows),
        "epoch": np.full(rows, epoch, dtype=np.int32),
        "measure": objects(["rides"] * rows),
        "slot": np.arange(rows, dtype=np.int64),
        "pseudonym": objects(PSEUDONYMS[:rows]),
        "grams": np.array(grams, dtype=np.int64),
        "variance": np.full(rows, VARIANCE, dtype=np.int64),
    }
    engine.register("made", columns, STATEMENT_COLUMNS)
    engine.write_parquet("SELECT * FROM made", path)
    return path


def released(
    engine: DuckDbEngine, folder: Path, months: Sequence[Sequence[int]], anchor: Sequence[int] = ()
) -> list[ReleasedFiles]:
    found = []
    for epoch, grams in zip(EPOCHS, months, strict=False):
        is_last = epoch == EPOCHS[len(months) - 1]
        anchors = write(engine, folder / f"{epoch}-anchors.parquet", epoch, anchor) if anchor else None
        found.append(
            ReleasedFiles(
                "bikes",
                epoch,
                write(engine, folder / f"{epoch}-months.parquet", epoch, grams),
                anchors if is_last else None,
                None,
                {"rides": VARIANCE},
                {"rides": (VARIANCE, EPOCHS[: len(months)])} if is_last and anchor else {},
            )
        )
    return found


def folded(
    engine: DuckDbEngine, folder: Path, files: Sequence[ReleasedFiles], moves: Sequence[Move]
) -> dict[bytes, int]:
    stands = apply_moves(engine, folder, Released(files, write_links(engine, folder)), moves)
    found = {one.account: one.balance_mg for one in fold_accounts(engine, stands)}
    # Whatever moved between accounts, each mg still has its enterprise, measure and epoch.
    assert sum(fold_sources(engine, stands).values()) == sum(found.values())
    return {account: milligrams // 1000 for account, milligrams in found.items()}


def oracle(months: Sequence[Sequence[int]], moves: Sequence[Move]) -> dict[bytes, int]:
    """Say by the rules in words who gets each row."""
    into = {move.ends: move.stays for move in moves if isinstance(move, Merge)}

    def current(account: bytes) -> bytes:
        while account in into:
            account = into[account]
        return account

    found: dict[bytes, int] = defaultdict(int)
    for epoch, grams in zip(EPOCHS, months, strict=False):
        ordered = sorted((one for one in moves if one.effective <= epoch), key=lambda one: one.effective)
        for person, amount in enumerate(grams):
            account = ACCOUNTS[person]
            for move in ordered:
                if isinstance(move, Split) and move.pseudonym == PSEUDONYMS[person]:
                    account = move.account
            account = current(account)
            if any(isinstance(one, Closure) and current(one.account) == account for one in ordered):
                continue
            shares = [one for one in ordered if isinstance(one, ShareOut)]
            shares = [one for one in shares if current(one.household) == account]
            together: dict[bytes, int] = defaultdict(int)
            for holder, points in shares[-1].parts if shares else ():
                together[current(holder)] += points
            for holder, part in cut(amount, sorted(together.items())) or [(account, amount)]:
                found[holder] += part
    return dict(found)


def cut(amount: int, parts: Sequence[tuple[bytes, int]]) -> list[tuple[bytes, int]]:
    floors = [(holder, amount * points // BASIS_POINTS) for holder, points in parts]
    left = amount - sum(part for _, part in floors)
    order = sorted(parts, key=lambda one: -(amount * one[1] % BASIS_POINTS))
    lucky = {holder for holder, _ in order[:left]}
    return [(holder, part + (holder in lucky)) for holder, part in floors]


def test_without_changes_the_files_are_the_same(engine: DuckDbEngine, tmp_path: Path) -> None:
    files, links = released(engine, tmp_path, [[1, 2], [3, 4]]), write_links(engine, tmp_path)
    stands = Released(files, links)
    assert apply_moves(engine, tmp_path, stands, []) == stands


def test_only_rows_that_moved_are_written(engine: DuckDbEngine, tmp_path: Path) -> None:
    stands = Released(
        released(engine, tmp_path, [[1] * PERSONS, [2] * PERSONS]), write_links(engine, tmp_path)
    )
    merged = apply_moves(engine, tmp_path, stands, [Merge(EPOCHS[0], ACCOUNTS[1], ACCOUNTS[0])])
    assert (merged.files, merged.links, merged.months) == (stands.files, stands.links, stands.months)
    split: list[Move] = [Split(EPOCHS[1], PSEUDONYMS[2], FRESH[0])]
    moved = apply_moves(engine, tmp_path, stands, split)
    assert (moved.files, moved.links) == (stands.files, stands.links)
    [(rows,)] = engine.rows(f"SELECT COUNT(*) FROM read_parquet('{moved.moved.months}')")
    assert rows == len(stands.months)
    before = sorted(tmp_path.iterdir())
    assert apply_moves(engine, tmp_path, stands, split) == moved
    assert sorted(tmp_path.iterdir()) == before


def test_a_merge_brings_everything_and_a_split_only_what_comes(engine: DuckDbEngine, tmp_path: Path) -> None:
    months = [[10, 20, 30], [1, 2, 3], [100, 200, 300]]
    moves: list[Move] = [
        Merge(EPOCHS[1], ACCOUNTS[1], ACCOUNTS[0]),
        Split(EPOCHS[2], PSEUDONYMS[2], FRESH[0]),
    ]
    found = folded(engine, tmp_path, released(engine, tmp_path, months), moves)
    assert found == {ACCOUNTS[0]: 333, ACCOUNTS[2]: 33, FRESH[0]: 300}


def test_a_household_is_shared_to_the_gram_and_its_noise_by_squares(
    engine: DuckDbEngine, tmp_path: Path
) -> None:
    parts = tuple(sorted([(ACCOUNTS[1], 3_333), (ACCOUNTS[2], 3_333), (ACCOUNTS[3], 3_334)]))
    files = released(engine, tmp_path, [[100, 0, 0, 0], [-7, 0, 0, 0], [5, 0, 0, 0]])
    moves: list[Move] = [ShareOut(EPOCHS[1], ACCOUNTS[0], parts), ShareOut(EPOCHS[2], ACCOUNTS[0], ())]
    stands = apply_moves(engine, tmp_path, Released(files, write_links(engine, tmp_path)), moves)
    found = {one.account: one for one in fold_accounts(engine, stands)}
    assert found[ACCOUNTS[0]].balance_mg == 105_000
    assert sum(found[one].balance_mg for one, _ in parts) == -7_000
    third = -(-VARIANCE * 3_333 * 3_333 // BASIS_POINTS**2)
    assert found[ACCOUNTS[1]].variance_mg2 == (3 * VARIANCE + third) * 1_000_000


def test_a_closed_account_earns_nothing_more(engine: DuckDbEngine, tmp_path: Path) -> None:
    files = released(engine, tmp_path, [[10], [20], [40]])
    assert folded(engine, tmp_path, files, [Closure(EPOCHS[1], ACCOUNTS[0])]) == {ACCOUNTS[0]: 10}


def test_an_anchor_counts_for_those_whom_nothing_happened_to_in_its_year(
    engine: DuckDbEngine, tmp_path: Path
) -> None:
    files = released(engine, tmp_path, [[10, 10], [10, 10]], anchor=[50, 50])
    plain = folded(engine, tmp_path, files, [])
    assert plain[ACCOUNTS[0]] == plain[ACCOUNTS[1]] == 40
    moved = folded(engine, tmp_path, files, [Split(EPOCHS[1], PSEUDONYMS[1], FRESH[0])])
    assert moved == {ACCOUNTS[0]: 40, ACCOUNTS[1]: 10, FRESH[0]: 10}
    early = folded(engine, tmp_path, files, [Split(EPOCHS[0], PSEUDONYMS[1], FRESH[1])])
    assert early == {ACCOUNTS[0]: 40, FRESH[1]: 40}


@st.composite
def histories(draw: st.DrawFn) -> list[Move]:
    moves: list[Move] = []
    ended: set[bytes] = set()
    for number in range(draw(st.integers(0, 5))):
        epoch = draw(st.sampled_from(EPOCHS))
        open_accounts = [one for one in ACCOUNTS if one not in ended]
        account = draw(st.sampled_from(open_accounts))
        match draw(st.sampled_from(["merge", "split", "close", "share"])):
            case "merge" if len(open_accounts) > 1:
                ends = draw(st.sampled_from([one for one in open_accounts if one != account]))
                moves.append(Merge(epoch, ends, account))
                ended.add(ends)
            case "split":
                moves.append(Split(epoch, draw(st.sampled_from(PSEUDONYMS)), FRESH[number]))
            case "close":
                moves.append(Closure(epoch, account))
            case "share":
                others = sorted(one for one in ACCOUNTS if one != account)[:3]
                first = draw(st.integers(1, BASIS_POINTS - 2))
                second = draw(st.integers(1, BASIS_POINTS - 1 - first))
                points = (first, second, BASIS_POINTS - first - second)
                moves.append(ShareOut(epoch, account, tuple(zip(others, points, strict=True))))
            case _:
                pass
    return moves


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(moves=histories(), data=st.data())
def test_every_history_gives_what_the_rules_say(
    engine: DuckDbEngine, tmp_path_factory: pytest.TempPathFactory, moves: list[Move], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("history")
    row = st.lists(st.integers(-5_000, 5_000), min_size=PERSONS, max_size=PERSONS)
    months = [data.draw(row) for _ in EPOCHS]
    found = folded(engine, folder, released(engine, folder, months), moves)
    wanted = oracle(months, moves)
    assert {one: grams for one, grams in found.items() if grams} == {
        one: grams for one, grams in wanted.items() if grams
    }
