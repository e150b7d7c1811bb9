"""Each program and each of its groups prints its help quickly, without the heavy libraries."""

from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

HEAVY = (
    "grpc",
    "fastapi",
    "uvicorn",
    "opendp",
    "numpy",
    "duckdb",
    "sqlalchemy",
    "sqlite3",
    "pydantic",
    "nacl",
    "cryptography",
    "prometheus_client",
)
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


def groups() -> list[tuple[str, ...]]:
    """List the programs and, in each, the groups of commands, as they are typed."""
    scripts = importlib.metadata.entry_points(group="console_scripts")
    found: list[tuple[str, ...]] = []
    for name in programs():
        module = importlib.import_module(scripts[name].module)
        [program] = [
            one for one in vars(module).values() if isinstance(one, click.Group) and one.name == name
        ]
        found += [(name, *path) for path in paths(program)]
    return found


def paths(group: click.Group) -> Iterator[tuple[str, ...]]:
    yield ()
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ((name, *path) for path in paths(command))


@pytest.mark.parametrize("words", groups(), ids=" ".join)
def test_help_is_light(words: tuple[str, ...]) -> None:
    name, *arguments = words
    probe = PROBE.format(name=name, arguments=[*arguments, "--help"], heavy=HEAVY)
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
