"""The program cgsp-hub: makes and runs a hub (cli_home), keeps its database (cli_store), publishes what its
signers sign (cli_trust, cli_publish, cli_programme), acts on the ledgers (cli_operations)."""

from __future__ import annotations

from typing import Any

import click

_HOME = (
    "init",
    "serve",
    "invite",
    "close",
    "status",
    "beacon",
    "export",
    "erase",
    "rebuild",
    "doctor",
)
_ACCOUNT = ("account",)
_STORE = ("migrate", "backup", "restore", "reconcile", "scrub")
_TRUST = ("trust",)
_PUBLISH = ("pack", "policy")
_PROGRAMME = ("programme",)
_OPERATIONS = ("fund", "units")


class _LazyGroup(click.Group):
    """Imports a command's module only when the command is named, so that help stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List all commands in the order of use."""
        return [*_HOME[:3], *_TRUST, *_PUBLISH, *_PROGRAMME, *_OPERATIONS, *_HOME[3:], *_ACCOUNT, *_STORE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command by its name in the module that holds it."""
        if cmd_name in _HOME:
            from hub.cli_home import COMMANDS

            return COMMANDS[cmd_name]
        if cmd_name in _ACCOUNT:
            from hub.cli_account import account

            return account
        if cmd_name in _STORE:
            from hub.cli_store import COMMANDS as STORE_COMMANDS

            return STORE_COMMANDS[cmd_name]
        if cmd_name in _TRUST:
            from hub.cli_trust import trust

            return trust
        if cmd_name in _PUBLISH:
            from hub.cli_publish import COMMANDS as PUBLISH_COMMANDS

            return PUBLISH_COMMANDS[cmd_name]
        if cmd_name in _PROGRAMME:
            from hub.cli_programme import COMMANDS as PROGRAMME_COMMANDS

            return PROGRAMME_COMMANDS[cmd_name]
        if cmd_name in _OPERATIONS:
            from hub.cli_operations import COMMANDS as OPERATION_COMMANDS

            return OPERATION_COMMANDS[cmd_name]
        return None


@click.group(cls=_LazyGroup, name="cgsp-hub")
@click.version_option(package_name="cgsp-gateway")
def hub(**_: Any) -> None:
    """Run the hub: log, accounts and read API. 运行中心节点。"""


def main() -> None:
    """Run the program."""
    from runtime.problems import run_cli

    run_cli(hub)
