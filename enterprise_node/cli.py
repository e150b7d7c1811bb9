"""The program cgsp-node: data (cli_data), persons (cli_person), out (cli_release), auditors (cli_premises),
authors (cli_pack)."""

from __future__ import annotations

from typing import Any

import click

_DATA = ("check", "ingest", "explain", "status", "doctor")
_PERSON = ("person", "ticket")
_RELEASE = ("join", "enrol", "preview", "release", "submit", "recover", "run", "egress", "deposit")
_PACK = ("pack", "footprint")
_PREMISES = ("rehearse", "exact", "open")


class _LazyGroup(click.Group):
    """Imports a command's module only when the command is named, so that help stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List all commands in the order of use."""
        return [*_RELEASE[:1], *_DATA, *_PERSON, *_RELEASE[1:], *_PREMISES, *_PACK]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command by its name in the module that holds it."""
        if cmd_name in _DATA:
            from enterprise_node.cli_data import COMMANDS

            return COMMANDS[cmd_name]
        if cmd_name in _PERSON:
            from enterprise_node.cli_person import COMMANDS as PERSON_COMMANDS

            return PERSON_COMMANDS[cmd_name]
        if cmd_name in _RELEASE:
            from enterprise_node.cli_release import COMMANDS as RELEASE_COMMANDS

            return RELEASE_COMMANDS[cmd_name]
        if cmd_name in _PREMISES:
            from enterprise_node.cli_premises import COMMANDS as PREMISES_COMMANDS

            return PREMISES_COMMANDS[cmd_name]
        if cmd_name in _PACK:
            from enterprise_node.cli_pack import COMMANDS as PACK_COMMANDS

            return PACK_COMMANDS[cmd_name]
        return None


@click.group(cls=_LazyGroup, name="cgsp-node")
@click.version_option(package_name="cgsp-gateway")
def node(**_: Any) -> None:
    """Run an enterprise's node. 企业节点。"""


def main() -> None:
    """Run the program."""
    from runtime.problems import run_cli

    run_cli(node)
