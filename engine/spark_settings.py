"""What Spark must be told, and what nobody may tell it otherwise: the laws of exactness as settings.

Without ANSI mode Spark wraps sums and turns what it cannot read into NULL; with other switches it skips files
that are gone or reads words differently. A session that does not run under these settings is not used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID

EXACT_SETTINGS: Mapping[str, str] = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
    "spark.sql.ansi.enforceReservedKeywords": "false",
    "spark.sql.parser.escapedStringLiterals": "false",
    "spark.sql.variable.substitute": "false",
    "spark.sql.caseSensitive": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.parquet.binaryAsString": "false",
}
LEGACY = "spark.sql.legacy."
LOG_LEVEL = "spark.log.level"
# Spark refuses to start with a heap below 450 MB.
DRIVER_MB_MIN = 512
# What the embedded engine beside Spark uses, which reads results and writes files.
LOCAL_MB = 256
SETTINGS_MAX = 100

_MASTER = re.compile(r"local\[(?P<threads>[1-9][0-9]{0,2})\]|spark://[A-Za-z0-9.\-\[\]:,]{1,500}")
_SETTING = re.compile(r"spark\.[A-Za-z0-9._\-]{1,120}")


def is_spark(at: str) -> bool:
    """Tell whether words name a Spark: `local[n]` or `spark://host:port`."""
    return _MASTER.fullmatch(at) is not None


def is_local(master: str) -> bool:
    """Tell whether Spark runs inside this machine's own process."""
    return master.startswith("local[")


def session_settings(
    master: str, settings: Mapping[str, str], *, memory_limit_mb: int, folder: Path
) -> dict[str, str]:
    """Put a session's settings together: ours, then the operator's, then those exactness needs."""
    check_settings(settings)
    driver_mb = max(DRIVER_MB_MIN, memory_limit_mb - LOCAL_MB)
    ours = {
        "spark.app.name": "cgsp",
        "spark.driver.memory": f"{driver_mb}m",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.sql.warehouse.dir": f"file://{folder / 'warehouse'}",
        LOG_LEVEL: "FATAL",
    }
    return {
        **ours,
        **(_local_settings(master, folder) if is_local(master) else {}),
        **settings,
        **EXACT_SETTINGS,
    }


def _local_settings(master: str, folder: Path) -> dict[str, str]:
    """Keep a Spark of one process on loopback, its spilled rows in the engine's own folder."""
    found = _MASTER.fullmatch(master)
    threads = int(found["threads"]) if found else 1
    return {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": str(folder / "spill"),
        "spark.sql.shuffle.partitions": str(max(8, 4 * threads)),
    }


def check_settings(settings: Mapping[str, str]) -> None:
    """Refuse an operator's settings that would change what a query means; CONFIGURATION_INVALID names it."""
    if len(settings) > SETTINGS_MAX:
        raise _wrong(f"{len(settings)} settings for Spark are given, at most {SETTINGS_MAX} are taken")
    for key, value in settings.items():
        if not _SETTING.fullmatch(key):
            raise _wrong(f"a setting for Spark has no name of one ({key[:40]!r})", "Names begin with spark.")
        if key.startswith(LEGACY) or EXACT_SETTINGS.get(key, value) != value:
            raise _inexact(key, EXACT_SETTINGS.get(key))


def check_running(settings: Mapping[str, str]) -> None:
    """Refuse a session whose settings in force are not the exact ones; CONFIGURATION_INVALID names it."""
    for key, expected in EXACT_SETTINGS.items():
        if settings.get(key) != expected:
            raise _inexact(key, expected)
    for key in settings:
        if key.startswith(LEGACY):
            raise _inexact(key, None)


def _inexact(key: str, expected: str | None) -> Malformed:
    remedy = (
        f"Leave it out; it is {expected}." if expected else "Leave it out, here and in spark-defaults.conf."
    )
    return _wrong(f"Spark's setting {key} would make figures inexact", remedy)


def _wrong(problem: str, remedy: str = "") -> Malformed:
    return Malformed(REASON_CONFIGURATION_INVALID, f"Query engine: {problem}.", remedy=remedy)
