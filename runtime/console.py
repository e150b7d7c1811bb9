"""What commands write on standard output: text for people, one JSON document with --json."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """Add `--json` to a command; it arrives as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON. 输出 JSON。")(command)


def print_result(value: Mapping[str, Any], *, as_json: bool, lines: Iterable[str] | None = None) -> None:
    """Print the result: JSON, or the lines given, or one `key: value` a line."""
    if as_json:
        click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))
        return
    for line in lines if lines is not None else (f"{key}: {_text(item)}" for key, item in value.items()):
        click.echo(line)


def _text(item: Any) -> str:
    if isinstance(item, str):
        return item
    return json.dumps(item, ensure_ascii=False, default=str)
