"""One Spark a process: inside it or on a cluster, side by side; and one generated world for both."""

from __future__ import annotations

import contextlib
import fcntl
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
from tests.spark.world import World, all_packs, make_world, world_at

LOCAL, CLUSTER = "local", "cluster"
MEMORY_LIMIT_MB = 1024
SETTINGS = {"spark.driver.extraJavaOptions": QUICK, "spark.sql.shuffle.partitions": "2"}


def pytest_sessionstart() -> None:
    """Skip with a reason where Spark cannot run; CI must be able to run it."""
    try:
        check_installed()
    except Malformed as problem:
        _leave(str(problem))


def _leave(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.exit(f"CI does not skip: {reason}", returncode=1)
    pytest.exit(f"skipped: {reason}", returncode=0)


@contextlib.contextmanager
def made_once(folder: Path) -> Iterator[bool]:
    """Let one process of a run fill a folder while others wait; tell each whether it is the one."""
    folder.mkdir(exist_ok=True)
    made = folder / "made"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not made.exists()
        made.touch()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder that all processes of this run see."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run a master and two workers, for engines here and for programs of their own."""
    with standalone_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="session", params=[LOCAL, CLUSTER])
def spark(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Give Spark inside one process, or on a master and two workers."""
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
def world(packs: tuple[CompiledPack, ...], shared: Path) -> World:
    """Generate a million records over all packs."""
    folder = shared / "world"
    with made_once(folder) as first:
        return make_world(folder, packs) if first else world_at(folder, packs)


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of the embedded engine's answers."""
    return tmp_path_factory.mktemp("answers")
