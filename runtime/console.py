"""What commands write on standard output: text for people, one JSON document with --json."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """Add `--json` to a command; it arrives as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON. 输出 JSON。")(command)


def print_result(value: Mapping[str, Any], *, as_json: bool, lines: Iterable[str] | None = None) -> None:
    """Print the result: JSON, or the lines given, or one `key: value` a line."""
    raise NotImplementedError
