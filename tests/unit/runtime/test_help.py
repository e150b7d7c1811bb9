"""Each program and each of its groups prints its help quickly, without the heavy libraries."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
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


def program(name: str) -> click.Group:
    """Load a program's group of commands."""
    module = importlib.import_module(importlib.metadata.entry_points(group="console_scripts")[name].module)
    [found] = [one for one in vars(module).values() if isinstance(one, click.Group) and one.name == name]
    return found


def walked(command: click.Command, *words: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Give the command and all below it, as they are typed."""
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from walked(below, *words, name)


COMMANDS = [one for name in programs() for one in walked(program(name), name)]
GROUPS = [words for words, command in COMMANDS if isinstance(command, click.Group)]
LEAVES = [
    (words, command)
    for words, command in COMMANDS
    if not isinstance(command, click.Group) or command.invoke_without_command
]


@pytest.mark.parametrize("words", GROUPS, ids=" ".join)
def test_help_is_light(words: tuple[str, ...]) -> None:
    name, *arguments = words
    probe = PROBE.format(name=name, arguments=[*arguments, "--help"], heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=300, check=False
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
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stderr.strip() == ""


@pytest.mark.parametrize("name", programs())
def test_help_of_every_command_is_light(name: str) -> None:
    probe = f"""
import sys
import click
from tests.unit.runtime.test_help import program, walked
def told(command):
    return command.get_help(click.Context(command))
assert all(told(command) for _, command in walked(program({name!r})))
sys.exit(",".join(one for one in {HEAVY!r} if one in sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stderr.strip() == ""


@pytest.mark.parametrize(("words", "command"), LEAVES, ids=[" ".join(words) for words, _ in LEAVES])
def test_every_command_speaks_json_and_explains_itself(
    words: tuple[str, ...], command: click.Command
) -> None:
    options = [one for one in command.params if isinstance(one, click.Option)]
    assert any("--json" in one.opts for one in options)
    assert [one.opts for one in options if not one.help] == []
    assert command.help and re.search("[\u4e00-\u9fff]", command.help)


@pytest.mark.parametrize("name", programs())
def test_every_program_has_a_doctor(name: str) -> None:
    assert (name, "doctor") in dict(COMMANDS)
