"""One Spark at a time: first inside this process, then on a cluster; and one generated world for both."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from accounting.compiler import CompiledPack
from engine.duckdb_engine import DuckDbEngine
from engine.engine import Engine
from engine.opening import open_engine
from engine.spark_session import check_installed
from protos.problems import Malformed
from tests.spark.cluster import QUICK, Cluster, standalone_cluster
from tests.spark.world import World, all_packs, make_world

LOCAL, CLUSTER = "local", "cluster"
MEMORY_LIMIT_MB = 1024
SETTINGS = {"spark.driver.extraJavaOptions": QUICK, "spark.sql.shuffle.partitions": "2"}


def pytest_collection_modifyitems() -> None:
    """Skip with a reason where Spark cannot run; CI must be able to run it."""
    try:
        check_installed()
    except Malformed as problem:
        _leave(str(problem))


def _leave(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.exit(f"CI does not skip: {reason}", returncode=1)
    pytest.exit(f"skipped: {reason}", returncode=0)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run a master and two workers, for engines here and for programs of their own."""
    with standalone_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="session", params=[LOCAL, CLUSTER])
def spark(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Give Spark inside one process, then on a master and two workers."""
    folder = tmp_path_factory.mktemp("spark")
    if request.param == LOCAL:
        with open_engine(
            "local[2]", memory_limit_mb=MEMORY_LIMIT_MB, temp_dir=folder, settings=SETTINGS
        ) as engine:
            yield engine
        return
    cluster: Cluster = request.getfixturevalue("cluster")
    before = cluster.executors_by_worker()
    with open_engine(
        cluster.master, memory_limit_mb=MEMORY_LIMIT_MB, temp_dir=folder, settings=cluster.settings
    ) as engine:
        yield engine
    assert all(now > then for then, now in zip(before, cluster.executors_by_worker(), strict=True))


@pytest.fixture(scope="session")
def duckdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Give the embedded engine, to compare with and to compare by."""
    folder = tmp_path_factory.mktemp("duckdb")
    with DuckDbEngine(memory_limit_mb=1024, threads=2, temp_dir=folder) as engine:
        yield engine


@pytest.fixture(scope="session")
def packs() -> tuple[CompiledPack, ...]:
    """Give the shipped packs and those of the language."""
    return all_packs()


@pytest.fixture(scope="session")
def world(packs: tuple[CompiledPack, ...], tmp_path_factory: pytest.TempPathFactory) -> World:
    """Generate a million records over all packs."""
    return make_world(tmp_path_factory.mktemp("world"), packs)


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of the embedded engine's answers."""
    return tmp_path_factory.mktemp("answers")
