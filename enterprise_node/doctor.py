"""Looks for what would stop the node: folder, configuration, packs, files, key, state, space."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.opening import DUCKDB
from engine.spark_session import check_installed
from enterprise_node.configuration import NodeConfiguration, SourceSettings, load_configuration
from enterprise_node.file_settings import FileSettings
from enterprise_node.local_keys import KEY_FILE, open_keys
from enterprise_node.sources.files import find_files
from enterprise_node.store.database import check_integrity
from enterprise_node.workspace import STATE_FILE, load_node_packs
from runtime.checks import Check, looked_at
from runtime.configuration import open_home

SPACE_BYTES_MIN = 1 << 30


def examine(folder: Path) -> Iterator[Check]:
    """Look at one thing after the other; without a readable node.toml there is nothing more to look at."""
    home = looked_at("home folder 目录", lambda: str(open_home(folder)))
    configuration = looked_at("node.toml", lambda: load_configuration(folder).enterprise_id)
    yield home
    yield configuration
    if not (home.is_good and configuration.is_good):
        return
    settings = load_configuration(folder)
    yield looked_at("engine 计算引擎", lambda: _installed(settings.engine.at))
    yield looked_at("packs 方法学", lambda: ", ".join(load_node_packs(folder, settings)))
    for source in settings.source:
        if source.kind == "postgresql":
            yield looked_at(f"source 数据源 {source.id}", _connectable(folder, source))
    for subject, part in _files(settings):
        yield looked_at(subject, _counted(folder, part))
    if (folder / KEY_FILE).exists():
        yield looked_at("local key 本地密钥", lambda: f"{len(open_keys(folder).lookup)} bytes")
    if (folder / STATE_FILE).exists():
        yield looked_at("state 状态库", lambda: check_integrity(folder / STATE_FILE))
    yield _space(folder)


def _files(settings: NodeConfiguration) -> Iterator[tuple[str, FileSettings]]:
    """Name everything that is read."""
    for source in settings.source:
        if source.path is not None:
            yield f"source 数据源 {source.id}", source.files()
        for lookup in source.lookup:
            yield f"lookup 对照表 {source.id}/{lookup.key}", lookup
    if settings.persons is not None:
        yield "register 人员登记表", settings.persons


def _installed(at: str) -> str:
    if at != DUCKDB:
        check_installed()
    return at


def _counted(folder: Path, part: FileSettings) -> Callable[[], str]:
    return lambda: f"{len(find_files(folder, part))} file(s) at {part.path}"


def _connectable(folder: Path, source: SourceSettings) -> Callable[[], str]:
    from enterprise_node.sources.postgres import connection_string

    return lambda: f"has a connection string of {len(connection_string(folder, source))} characters"


def _space(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    is_enough = free >= SPACE_BYTES_MIN
    remedy = "" if is_enough else "Free at least 1 GB. 请至少腾出 1 GB。"
    return Check("disk 磁盘", is_enough, f"{free >> 20:,} MB free", remedy)
