"""The program cgsp-hub: makes and runs a hub (cli_home), keeps its database (cli_store), publishes what its
signers sign (cli_trust, cli_publish, cli_programme), acts on the ledgers (cli_operations)."""

from __future__ import annotations

from typing import Any

import click

from runtime.console import LazyGroup

MODULES = {
    "init": "hub.cli_home",
    "serve": "hub.cli_home",
    "invite": "hub.cli_home",
    "trust": "hub.cli_trust",
    "pack": "hub.cli_publish",
    "policy": "hub.cli_publish",
    "programme": "hub.cli_programme",
    "fund": "hub.cli_operations",
    "units": "hub.cli_operations",
    "close": "hub.cli_home",
    "status": "hub.cli_home",
    "beacon": "hub.cli_home",
    "export": "hub.cli_home",
    "erase": "hub.cli_home",
    "rebuild": "hub.cli_home",
    "doctor": "hub.cli_home",
    "account": "hub.cli_account",
    "migrate": "hub.cli_store",
    "backup": "hub.cli_store",
    "restore": "hub.cli_store",
    "reconcile": "hub.cli_store",
    "scrub": "hub.cli_store",
}


@click.group(cls=LazyGroup, name="cgsp-hub", modules=MODULES)
@click.version_option(package_name="cgsp-gateway")
def hub(**_: Any) -> None:
    """Run the hub: log, accounts and read API. 运行中心节点。"""


def main() -> None:
    """Run the program."""
    from runtime.programs import run_cli

    run_cli(hub)
