"""How programs take commands and answer them: groups that load late, shared options, text or JSON."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


# Longer than any first sentence of a command's help.
_SENTENCE_CHARACTERS_MAX = 400


class CommandGroup(click.Group):
    """Lists its commands with the whole first sentence of each."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands; click's own cuts what is longer than a line."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, found.get_short_help_str(_SENTENCE_CHARACTERS_MAX))
                    for name, found in commands
                    if found
                ]
            )


class LazyGroup(CommandGroup):
    """Imports a command's module only when the command is named, so that help stays quick.

    `modules` names each command's module, in the order of use; there the mapping COMMANDS holds the command.
    """

    def __init__(self, *args: Any, modules: Mapping[str, str], **rest: Any) -> None:
        super().__init__(*args, **rest)
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List all commands in the order of use."""
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command by its name in the module that holds it."""
        if cmd_name not in self._modules:
            return None
        commands: Mapping[str, click.Command] = importlib.import_module(self._modules[cmd_name]).COMMANDS
        return commands[cmd_name]


def json_option(command: Command) -> Command:
    """Add `--json` to a command; it arrives as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON. 输出 JSON。")(command)


def log_options(command: Command) -> Command:
    """Add `--log-form` and `--log-level` to a command that serves."""
    form = click.option(
        "--log-form",
        type=click.Choice(["json", "human"]),
        default="json",
        show_default=True,
        help="For machines, or people. 日志格式。",
    )
    level = click.option("--log-level", default="INFO", show_default=True, help="DEBUG to ERROR. 日志级别。")
    return form(level(command))


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
