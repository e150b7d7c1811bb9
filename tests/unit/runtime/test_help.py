"""Each program prints its help quickly, without the heavy libraries."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

HEAVY = ("grpc", "fastapi", "opendp", "numpy", "duckdb", "sqlalchemy", "uvicorn", "prometheus_client")
# The goal is 250 ms on an idle machine; a loaded one takes longer, so only what is far off fails here.
CPU_SECONDS_MAX = 1.0

PROBE = """
import resource, sys
sys.argv = [{name!r}, *{arguments!r}]
from importlib.metadata import entry_points
main = next(point for point in entry_points(group="console_scripts") if point.name == {name!r}).load()
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
used = resource.getrusage(resource.RUSAGE_SELF)
loaded = [name for name in {heavy!r} if name in sys.modules]
print("probe", used.ru_utime + used.ru_stime, ",".join(loaded))
"""


def programs() -> list[str]:
    scripts = importlib.metadata.entry_points(group="console_scripts")
    return sorted(script.name for script in scripts if script.name.startswith("cgsp-"))


def test_there_is_a_program_for_each_role() -> None:
    assert programs() == ["cgsp-audit", "cgsp-custodian", "cgsp-hub", "cgsp-node"]


@pytest.mark.parametrize("name", programs())
def test_help_is_light(name: str) -> None:
    probe = PROBE.format(name=name, arguments=["--help"], heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout
    _, seconds, loaded = done.stdout.splitlines()[-1].split(" ")
    assert loaded == ""
    assert float(seconds) < CPU_SECONDS_MAX


def test_runtimes_command_line_part_is_light() -> None:
    probe = "import sys, runtime.problems, runtime.console, runtime.progress, runtime.files, runtime.logs\n"
    probe += f"sys.exit(','.join(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr.strip() == ""
