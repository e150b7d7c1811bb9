"""Which engine a configuration names, and what is said when something is missing; no Java is needed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from engine import spark_session
from engine.duckdb_engine import DuckDbEngine
from engine.opening import check_engine, open_engine
from engine.spark_settings import (
    EXACT_SETTINGS,
    SETTINGS_MAX,
    check_running,
    check_settings,
    session_settings,
)
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID


def test_the_embedded_engine_is_the_usual_one(tmp_path: Path) -> None:
    with open_engine(memory_limit_mb=128, threads=1, temp_dir=tmp_path) as engine:
        assert isinstance(engine, DuckDbEngine)
        assert engine.rows("SELECT 1") == [(1,)]


@pytest.mark.parametrize("at", ["duckdb", "local[2]", "spark://h:7077", "spark://h1:7077,h2:7077"])
def test_engines_have_names(at: str) -> None:
    check_engine(at)


@pytest.mark.parametrize(
    "at", ["", "spark", "local", "local[0]", "local[*]", "spark://", "spark://h:1 --conf x", "yarn", "DuckDB"]
)
def test_other_words_are_refused(at: str) -> None:
    with pytest.raises(Malformed) as raised:
        open_engine(at)
    assert raised.value.reason == REASON_CONFIGURATION_INVALID
    assert "local[2]" in raised.value.remedy


def java(folder: Path, says: str) -> None:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "java").write_text(f"#!/bin/sh\n{says}\n")
    (folder / "bin" / "java").chmod(0o755)


@pytest.mark.parametrize(
    ("says", "major", "problem"),
    [
        ("echo 'openjdk version \"17.0.15\" 2025-04-15' >&2", 17, None),
        ("echo 'openjdk version \"21\" 2023-09-19' >&2", 21, None),
        ("echo 'java version \"1.8.0_402\"' >&2", 8, "Java is version 8"),
        ("echo what >&2", None, "there is no Java"),
        ("exit 1", None, "there is no Java"),
    ],
)
def test_java_is_found_and_its_version_read(
    says: str, major: int | None, problem: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    java(tmp_path / "java", says)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert spark_session.java_major() == major
    if problem is None:
        spark_session.check_installed()
        return
    with pytest.raises(Malformed, match=problem) as raised:
        open_engine("local[2]", temp_dir=tmp_path)
    assert "duckdb" in raised.value.remedy
    assert [one.name for one in tmp_path.iterdir()] == ["java"]


def test_a_machine_without_java_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    with pytest.raises(Malformed, match="there is no Java") as raised:
        open_engine("spark://127.0.0.1:7077")
    assert "JAVA_HOME" in raised.value.remedy


def test_a_machine_without_pyspark_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(Malformed, match="pyspark is not installed") as raised:
        open_engine("local[2]")
    assert "[spark]" in raised.value.remedy


@pytest.mark.parametrize(
    "settings",
    [
        {"spark.sql.ansi.enabled": "false"},
        {"spark.sql.session.timeZone": "Asia/Shanghai"},
        {"spark.sql.files.ignoreCorruptFiles": "true"},
        {"spark.sql.legacy.integerGroupingId": "true"},
        {"executor.memory": "1g"},
        {"spark.x y": "1"},
        {f"spark.x{number}": "1" for number in range(SETTINGS_MAX + 1)},
    ],
)
def test_settings_that_would_change_a_figure_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(Malformed) as raised:
        check_settings(settings)
    assert raised.value.reason == REASON_CONFIGURATION_INVALID


def test_the_operators_settings_hold_but_not_over_exactness(tmp_path: Path) -> None:
    own = {"spark.executor.memory": "4g", "spark.ui.enabled": "true", "spark.sql.ansi.enabled": "true"}
    merged = session_settings("local[3]", own, memory_limit_mb=2048, folder=tmp_path)
    assert merged["spark.executor.memory"] == "4g"
    assert merged["spark.ui.enabled"] == "true"
    assert merged["spark.driver.memory"] == "1792m"
    assert merged["spark.driver.host"] == "127.0.0.1"
    assert EXACT_SETTINGS.items() <= merged.items()
    remote = session_settings("spark://h:7077", own, memory_limit_mb=128, folder=tmp_path)
    assert "spark.driver.host" not in remote
    assert remote["spark.driver.memory"] == "512m"


@pytest.mark.parametrize("key", EXACT_SETTINGS)
def test_a_session_without_one_of_the_settings_is_refused(key: str) -> None:
    check_running(EXACT_SETTINGS)
    for settings in (
        {other: value for other, value in EXACT_SETTINGS.items() if other != key},
        dict(EXACT_SETTINGS) | {key: "other"},
        dict(EXACT_SETTINGS) | {"spark.sql.legacy.timeParserPolicy": "LEGACY"},
    ):
        with pytest.raises(Malformed, match=r"inexact"):
            check_running(settings)
