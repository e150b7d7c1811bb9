"""Spark behind the Protocol: exact types, whole files or none, no settings that change a figure."""

from __future__ import annotations

import logging
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from engine.engine import Engine
from engine.opening import open_engine
from engine.spark_engine import SparkEngine
from protos.problems import Conflict, InvariantBroken, Malformed, Unavailable
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID, REASON_NOT_FOUND
from tests.spark.conftest import LOCAL

BIG = 9_007_199_254_740_993  # 2^53 + 1: the first integer a double cannot hold
SCHEMA = {"person": "BIGINT", "name": "VARCHAR", "mark": "BLOB", "day": "INTEGER"}

HANDLER = signal.getsignal(signal.SIGINT)

pytestmark = pytest.mark.parametrize("spark", [LOCAL], indirect=True, scope="session")


def register(engine: Engine, name: str = "people") -> None:
    columns = {
        "person": np.array([BIG, -1, 3], dtype=np.int64),
        "name": np.array(["a", "公", None], dtype=object),
        "mark": np.array([b"\x00\xff", b"", None], dtype=object),
        "day": np.array([1, None, 3], dtype=object),
    }
    engine.register(name, columns, SCHEMA)


def test_arrays_come_back_as_they_went(spark: Engine) -> None:
    register(spark)
    assert sorted(spark.rows("SELECT * FROM people")) == [
        (-1, "公", b"", None),
        (3, None, None, 3),
        (BIG, "a", b"\x00\xff", 1),
    ]
    columns = spark.columns("SELECT * FROM people ORDER BY person")
    assert columns["person"].dtype == np.int64
    assert columns["person"].tolist() == [-1, 3, BIG]
    assert columns["mark"].tolist() == [b"", None, b"\x00\xff"]
    assert {type(one) for one in columns["mark"]} == {bytes, type(None)}
    assert columns["name"].tolist() == ["公", None, "a"]
    assert columns["day"].tolist() == [None, 3, 1]
    assert spark.columns("SELECT day FROM people WHERE day = 1")["day"].dtype == np.int64


def test_names_are_taken_anew(spark: Engine, tmp_path: Path) -> None:
    register(spark)
    assert spark.write_parquet("SELECT * FROM people", tmp_path / "people.parquet") == 3
    spark.view("people", [tmp_path / "people.parquet"])
    spark.view("people", [tmp_path / "people.parquet"] * 2)
    assert len(spark.rows("SELECT * FROM people")) == 6
    spark.register("people", {"x": np.array([], dtype=np.int64)}, {"x": "BIGINT"})
    assert spark.rows("SELECT * FROM people") == []


def test_a_view_of_no_files_is_an_empty_table(spark: Engine) -> None:
    spark.view("people", [], SCHEMA)
    assert spark.rows("SELECT * FROM people") == []
    assert spark.columns("SELECT person FROM people")["person"].dtype == np.int64


def test_paths_are_no_patterns_and_types_are_those_asked_for(spark: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "it's [1]{a}*?"
    path, other = folder / "x y.parquet", tmp_path / "it's 1a" / "x y.parquet"
    spark.write_parquet("SELECT 7 AS person, 'it''s \\n ${x} // BLOB\\' AS \"the name\"", path)
    spark.write_parquet("SELECT 8 AS person, '' AS \"the name\"", other)
    spark.view("people", [path], {"person": "BIGINT"})
    assert spark.rows("SELECT * FROM people") == [(7,)]
    assert spark.columns("SELECT person + 9000000000000000000 AS p FROM people")["p"].tolist() == [
        9 * 10**18 + 7
    ]
    spark.view("people", [path])
    assert spark.rows('SELECT "the name" FROM people') == [("it's \\n ${x} // BLOB\\",)]
    assert [one.name for one in folder.iterdir()] == ["x y.parquet"]


def test_order_is_kept_in_one_file(spark: Engine, duckdb: Engine, tmp_path: Path) -> None:
    path = tmp_path / "ordered.parquet"
    rows = spark.write_parquet("SELECT 300000 - id AS x FROM range(300000) ORDER BY x", path)
    duckdb.view("ordered", [path])
    column = duckdb.columns("SELECT x FROM ordered")["x"]
    assert rows == len(column) == 300_000
    assert bool(np.all(column[:-1] < column[1:]))


@pytest.mark.parametrize(
    "sql", ["SELECT AVG(person) AS s FROM people", "SELECT 1.5 AS s", "SELECT NULL AS s"]
)
def test_inexact_columns_stop_the_program(spark: Engine, sql: str, tmp_path: Path) -> None:
    register(spark)
    for run in (spark.rows, spark.columns, lambda text: spark.write_parquet(text, tmp_path / "out.parquet")):
        with pytest.raises(InvariantBroken, match="BIGINT"):
            run(sql)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT CAST(9223372036854775807 AS BIGINT) + CAST(1 AS BIGINT) AS x",
        "SELECT CAST(SUM(x) AS BIGINT) FROM (VALUES (9223372036854775807), (1)) AS t(x)",
        "SELECT CAST(x AS BIGINT) FROM (VALUES ('13912345678x')) AS t(x)",
        "SELECT CAST(9223372036854775807 AS INTEGER) AS x",
        "SELECT x // 0 AS x FROM (VALUES (1)) AS t(x)",
        "SELECT * FROM nobody",
    ],
)
def test_what_does_not_fit_is_loud_and_quotes_nothing(
    spark: Engine,
    sql: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    spark.write_parquet("SELECT 1 AS x", tmp_path / "out.parquet")
    before = (tmp_path / "out.parquet").read_bytes()
    with caplog.at_level(logging.DEBUG), pytest.raises(InvariantBroken) as raised:
        spark.write_parquet(sql, tmp_path / "out.parquet")
    assert (tmp_path / "out.parquet").read_bytes() == before
    told = "".join(capfd.readouterr()) + str(raised.value)
    assert "139" not in told
    assert "9223" not in told


def test_a_file_that_is_gone_is_unavailable(spark: Engine, tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as raised:
        spark.view("gone", [tmp_path / "gone.parquet"])
    assert raised.value.reason == REASON_NOT_FOUND
    spark.write_parquet("SELECT 1 AS x", tmp_path / "out.parquet")
    spark.view("gone", [tmp_path / "out.parquet"])
    (tmp_path / "out.parquet").unlink()
    with pytest.raises(Unavailable) as raised:
        spark.rows("SELECT * FROM gone")
    assert raised.value.reason == REASON_NOT_FOUND


def test_rows_written_out_of_sight_are_missed(spark: Engine) -> None:
    """Take one file of a result away before it is read, as a disk that is not shared would."""
    assert isinstance(spark, SparkEngine)

    class Thief(SparkEngine):
        def _read_back(self, folder: Path, written: int) -> None:
            sorted(folder.glob("part-*.parquet"))[-1].unlink()
            super()._read_back(folder, written)

    spark.__class__ = Thief
    try:
        for sql in ("SELECT 1 AS x", "SELECT id FROM range(0, 1000, 1, 2)"):
            with pytest.raises(Unavailable, match="of which"):
                spark.rows(sql)
    finally:
        spark.__class__ = SparkEngine


@pytest.mark.parametrize(
    ("key", "value", "right"),
    [
        ("spark.sql.ansi.enabled", "false", "true"),
        ("spark.sql.session.timeZone", "Asia/Shanghai", "UTC"),
        ("spark.sql.files.ignoreMissingFiles", "true", "false"),
    ],
)
def test_a_session_set_to_other_rules_is_refused(spark: Engine, key: str, value: str, right: str) -> None:
    spark.execute(f"SET {key}={value}")
    try:
        for run in (spark.rows, spark.columns, spark.execute):
            with pytest.raises(Malformed, match=key) as raised:
                run("SELECT 1 AS x")
            assert raised.value.reason == REASON_CONFIGURATION_INVALID
            assert raised.value.remedy
    finally:
        assert isinstance(spark, SparkEngine)
        assert spark._session is not None
        spark._session.conf.set(key, right)
    assert spark.rows("SELECT 1 AS x") == [(1,)]


def test_one_process_holds_one_spark(spark: Engine) -> None:
    spark.execute("SELECT 1")
    with open_engine("local[1]") as second, pytest.raises(Conflict):
        second.rows("SELECT 1 AS x")
    assert spark.rows("SELECT 1 AS x") == [(1,)]


def test_another_thread_works_under_the_same_rules(spark: Engine, tmp_path: Path) -> None:
    def work() -> None:
        register(spark, "people")
        spark.write_parquet("SELECT * FROM people", tmp_path / "people.parquet")
        spark.view("people", [tmp_path / "people.parquet"], {"person": "BIGINT"})
        with pytest.raises(InvariantBroken):
            spark.rows("SELECT person * 9223372036854775807 AS x FROM people")

    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


def test_numbers_follow_the_order_of_all_workers(spark: Engine, tmp_path: Path) -> None:
    text = "SELECT CAST(id * 7919 % 300007 AS BIGINT) AS x FROM range(0, 300007, 1, 7)"
    assert spark.write_numbered(text, tmp_path / "numbered.parquet", "x") == 300_007
    spark.view("numbered", [tmp_path / "numbered.parquet"])
    spark.keep_numbered("kept", text, "x")
    for name in ("numbered", "kept"):
        batches = list(spark.walk(name, ("number", "x"), 100_000))
        assert [len(one["x"]) for one in batches] == [100_000, 100_000, 100_000, 7]
        assert np.array_equal(np.concatenate([one["x"] for one in batches]), np.arange(300_007))
        assert np.array_equal(np.concatenate([one["number"] for one in batches]), np.arange(1, 300_008))


def test_interrupts_stay_the_programs_own(spark: Engine) -> None:
    spark.execute("SELECT 1")
    assert signal.getsignal(signal.SIGINT) is HANDLER


@pytest.mark.parametrize("name", ["people; drop table x", "People", "", "a" * 64])
def test_names_are_names(spark: Engine, name: str, tmp_path: Path) -> None:
    with pytest.raises(InvariantBroken):
        spark.register(name, {"x": np.array([1])}, {"x": "BIGINT"})
    with pytest.raises(InvariantBroken):
        spark.view(name, [tmp_path / "x.parquet"])
