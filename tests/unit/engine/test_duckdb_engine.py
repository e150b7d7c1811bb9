"""The embedded engine: exact types only, whole files or none, bounded memory, no foreign exceptions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.duckdb_engine import DuckDbEngine
from engine.engine import Engine
from protos.problems import InvariantBroken, Unavailable
from protos.v1.problem_pb2 import REASON_BUSY, REASON_INVARIANT_BROKEN, REASON_NOT_FOUND

BIG = 9_007_199_254_740_993  # 2^53 + 1: the first integer a double cannot hold
SCHEMA = {"person": "BIGINT", "name": "VARCHAR", "mark": "BLOB", "day": "INTEGER"}


@pytest.fixture
def engine() -> Iterator[Engine]:
    with DuckDbEngine(memory_limit_mb=128, threads=1) as opened:
        yield opened


def register(engine: Engine, name: str = "people") -> None:
    columns = {
        "person": np.array([BIG, -1, 3], dtype=np.int64),
        "name": np.array(["a", "公", None], dtype=object),
        "mark": np.array([b"\x00\xff", b"", None], dtype=object),
        "day": np.array([1, None, 3], dtype=object),
    }
    engine.register(name, columns, SCHEMA)


def test_arrays_come_back_as_they_went(engine: Engine) -> None:
    register(engine)
    assert engine.rows("SELECT * FROM people") == [
        (BIG, "a", b"\x00\xff", 1),
        (-1, "公", b"", None),
        (3, None, None, 3),
    ]
    columns = engine.columns("SELECT * FROM people")
    assert columns["person"].dtype == np.int64
    assert columns["person"].tolist() == [BIG, -1, 3]
    assert columns["mark"].tolist() == [b"\x00\xff", b"", None]
    assert columns["day"].tolist() == [1, None, 3]
    assert columns["name"].tolist() == ["a", "公", None]
    assert engine.columns("SELECT day FROM people WHERE day = 1")["day"].dtype == np.int64


def test_names_are_taken_anew(engine: Engine, tmp_path: Path) -> None:
    register(engine)
    engine.write_parquet("SELECT * FROM people", tmp_path / "people.parquet")
    engine.view("people", [tmp_path / "people.parquet"])
    engine.view("people", [tmp_path / "people.parquet"] * 2)
    assert len(engine.rows("SELECT * FROM people")) == 6
    register(engine)
    assert len(engine.rows("SELECT * FROM people")) == 3
    engine.register("people", {"x": np.array([], dtype=np.int64)}, {"x": "BIGINT"})
    assert engine.rows("SELECT * FROM people") == []


def test_a_view_of_no_files_is_an_empty_table(engine: Engine) -> None:
    engine.view("people", [], SCHEMA)
    assert engine.rows("SELECT * FROM people") == []
    assert engine.columns("SELECT person FROM people")["person"].dtype == np.int64


def test_a_view_gives_the_types_asked_for(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "it's.parquet"
    engine.write_parquet("SELECT 7 AS person, 'x' AS name", path)
    engine.view("people", [path], {"person": "BIGINT", "name": "VARCHAR"})
    assert engine.rows("SELECT typeof(person), name FROM people") == [("BIGINT", "x")]


@pytest.mark.parametrize("sql", ["SELECT SUM(person) AS s FROM people", "SELECT 1.5::DOUBLE AS s"])
def test_inexact_columns_stop_the_program(engine: Engine, sql: str, tmp_path: Path) -> None:
    register(engine)
    for run in (engine.columns, lambda text: engine.write_parquet(text, tmp_path / "out.parquet")):
        with pytest.raises(InvariantBroken, match="BIGINT") as raised:
            run(sql)
        assert raised.value.reason == REASON_INVARIANT_BROKEN
    assert list(tmp_path.iterdir()) == []


def test_rows_refuse_floats_but_take_wide_integers(engine: Engine) -> None:
    register(engine)
    assert engine.rows("SELECT SUM(person) FROM people") == [(BIG + 2,)]
    with pytest.raises(InvariantBroken):
        engine.rows("SELECT AVG(person) FROM people")


def test_sums_survive_parquet_exactly(engine: Engine, tmp_path: Path) -> None:
    register(engine)
    path = tmp_path / "deep" / "sums.parquet"
    assert engine.write_parquet("SELECT CAST(SUM(person) AS BIGINT) AS s FROM people", path) == 1
    engine.view("sums", [path])
    assert engine.rows("SELECT s FROM sums") == [(BIG + 2,)]
    assert [one.name for one in path.parent.iterdir()] == ["sums.parquet"]


def test_a_failed_write_leaves_the_old_file(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    engine.write_parquet("SELECT 1 AS x", path)
    before = path.read_bytes()
    with pytest.raises(InvariantBroken):
        engine.write_parquet("SELECT CAST(text AS BIGINT) AS x FROM (VALUES ('a')) AS t(text)", path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["out.parquet"]


def test_order_is_kept_in_files(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "ordered.parquet"
    engine.write_parquet("SELECT 300000 - range AS x FROM range(300000) ORDER BY x", path)
    engine.view("ordered", [path])
    columns = engine.columns("SELECT x FROM ordered")["x"]
    assert bool(np.all(columns[:-1] < columns[1:]))


def test_overflow_is_loud(engine: Engine) -> None:
    with pytest.raises(InvariantBroken):
        engine.rows("SELECT CAST(9223372036854775807 AS BIGINT) + CAST(1 AS BIGINT)")
    with pytest.raises(InvariantBroken):
        engine.rows("SELECT CAST(SUM(x) AS BIGINT) FROM (VALUES (9223372036854775807), (1)) AS t(x)")


def test_no_query_leaves_the_connection_busy(engine: Engine) -> None:
    register(engine)
    for _ in range(3):
        engine.rows("SELECT * FROM people")
        with pytest.raises(InvariantBroken):
            engine.rows("SELECT * FROM nobody")
        register(engine)


def test_numbered_rows_are_walked_in_their_order(engine: Engine, tmp_path: Path) -> None:
    text = "SELECT CAST(range * 7919 % 3001 AS BIGINT) AS x FROM range(3001)"
    assert engine.write_numbered(text, tmp_path / "numbered.parquet", "x") == 3001
    engine.view("numbered", [tmp_path / "numbered.parquet"])
    for _ in range(2):
        engine.keep_numbered("kept", text, "x")
    for name in ("numbered", "kept"):
        batches = list(engine.walk(name, ("number", "x"), 1000))
        assert [len(one["x"]) for one in batches] == [1000, 1000, 1000, 1]
        assert np.concatenate([one["x"] for one in batches]).tolist() == list(range(3001))
        assert np.concatenate([one["number"] for one in batches]).tolist() == list(range(1, 3002))
    with pytest.raises(InvariantBroken):
        engine.keep_numbered("kept", text, "x; DROP")


def test_problems_do_not_quote_values(engine: Engine) -> None:
    with pytest.raises(InvariantBroken) as raised:
        engine.rows("SELECT CAST(x AS BIGINT) FROM (VALUES ('13912345678x')) AS t(x)")
    assert "139" not in str(raised.value)


def test_missing_files_and_exhausted_memory_are_unavailable(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as raised:
        engine.view("gone", [tmp_path / "gone.parquet"])
    assert raised.value.reason == REASON_NOT_FOUND
    with DuckDbEngine(memory_limit_mb=16, threads=1) as small:
        with pytest.raises(Unavailable) as raised:
            small.rows(
                "SELECT COUNT(*) FROM (SELECT list(range) AS l FROM range(40000000)) AS t WHERE len(l) > 1"
            )
        assert raised.value.reason == REASON_BUSY


@pytest.mark.parametrize("name", ["people; drop table x", "People", "", "a" * 64])
def test_names_are_names(engine: Engine, name: str) -> None:
    with pytest.raises(InvariantBroken):
        engine.register(name, {"x": np.array([1])}, {"x": "BIGINT"})


@pytest.mark.parametrize(
    ("columns", "schema"),
    [
        ({"x": np.array([1])}, {"y": "BIGINT"}),
        ({"x": np.array([1]), "y": np.array([1, 2])}, {"x": "BIGINT", "y": "BIGINT"}),
        ({"x": np.array([1])}, {"x": "BIGINT; DROP"}),
    ],
)
def test_arrays_and_schema_must_fit(
    engine: Engine, columns: dict[str, np.ndarray], schema: dict[str, str]
) -> None:
    with pytest.raises(InvariantBroken):
        engine.register("t", columns, schema)


def test_spill_files_go_with_the_session(tmp_path: Path) -> None:
    with DuckDbEngine(memory_limit_mb=64, threads=1, temp_dir=tmp_path) as opened:
        assert len(list(tmp_path.iterdir())) == 1
        opened.rows("SELECT COUNT(DISTINCT range) FROM range(1000)")
    assert list(tmp_path.iterdir()) == []
