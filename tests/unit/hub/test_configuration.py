"""What hub.toml may say of closes: any engine that is exact, and a folder that nobody else reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.duckdb_engine import DuckDbEngine
from engine.engine import OWN_FOLDER
from engine.opening import DUCKDB
from hub.accounts import Resources, opened_engine
from hub.configuration import CloseSettings, HubSettings
from protos.problems import Malformed
from runtime.configuration import parse_settings

HEAD = """
origin = "hub.example/log"
listen_grpc = "127.0.0.1:1"
listen_https = "127.0.0.1:2"
root_threshold = 1
policy_threshold = 1
root_keys = {}
policy_keys = {}
"""


def read(text: str = "") -> CloseSettings:
    return parse_settings((HEAD + text).encode(), HubSettings, name="hub.toml").close


def test_a_hub_closes_within_itself_unless_it_is_told_otherwise() -> None:
    assert (read().engine.at, read().folder) == (DUCKDB, None)


@pytest.mark.parametrize("at", ["duckdb", "local[2]", "spark://h:7077"])
def test_an_engine_is_named_in_a_word_or_with_its_limits(at: str) -> None:
    assert read(f'[close]\nfolder = "/mnt/cgsp"\nengine = "{at}"\n').engine.at == at
    whole = read(f'[close]\nfolder = "/mnt/cgsp"\n[close.engine]\nat = "{at}"\nthreads = 3\n')
    assert (whole.engine.at, whole.engine.threads) == (at, 3)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ('engine = "postgresql"', "no query engine"),
        ('engine = "spark://h:7077"', "a folder that its workers see"),
        ('folder = "work"', "folder"),
        ('engine = { at = "local[2]", spark = { "spark.sql.ansi.enabled" = "false" } }', "ansi"),
        ('engine = { spark = { "spark.executor.memory" = "1g" } }', "no use to DuckDB"),
    ],
)
def test_what_would_not_close_exactly_is_refused(section: str, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        read(f"[close]\n{section}\n")


def test_an_engine_takes_a_folder_of_its_own_and_clears_what_a_killed_one_left(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    (folder / f"{OWN_FOLDER}killed").mkdir(parents=True)
    (folder / "links.parquet").touch()
    resources = Resources(folder, read().engine)
    folder.chmod(0o755)
    with pytest.raises(Malformed, match="open to other users"):
        opened_engine(resources)
    folder.chmod(0o700)
    with opened_engine(resources) as engine:
        assert isinstance(engine, DuckDbEngine)
        assert not (folder / f"{OWN_FOLDER}killed").exists()
    assert [one.name for one in folder.iterdir()] == ["links.parquet"]
    spark = read('[close]\nengine = { at = "local[2]", threads = 3 }\n').engine
    assert Resources(folder, spark).embedded() == Resources(
        folder, read("[close.engine]\nthreads = 3\n").engine
    )
