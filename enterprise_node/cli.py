"""The program cgsp-node: data (cli_data), persons (cli_person), out (cli_release), auditors (cli_premises),
authors (cli_pack)."""

from __future__ import annotations

from typing import Any

import click

from runtime.console import LazyGroup

MODULES = {
    "join": "enterprise_node.cli_release",
    "check": "enterprise_node.cli_data",
    "ingest": "enterprise_node.cli_data",
    "explain": "enterprise_node.cli_data",
    "status": "enterprise_node.cli_data",
    "doctor": "enterprise_node.cli_data",
    "person": "enterprise_node.cli_person",
    "ticket": "enterprise_node.cli_person",
    "enrol": "enterprise_node.cli_release",
    "preview": "enterprise_node.cli_release",
    "release": "enterprise_node.cli_release",
    "submit": "enterprise_node.cli_release",
    "recover": "enterprise_node.cli_release",
    "run": "enterprise_node.cli_release",
    "egress": "enterprise_node.cli_release",
    "deposit": "enterprise_node.cli_release",
    "rehearse": "enterprise_node.cli_premises",
    "exact": "enterprise_node.cli_premises",
    "open": "enterprise_node.cli_premises",
    "pack": "enterprise_node.cli_pack",
    "footprint": "enterprise_node.cli_pack",
}


@click.group(cls=LazyGroup, name="cgsp-node", modules=MODULES)
@click.version_option(package_name="cgsp-gateway")
def node(**_: Any) -> None:
    """Run an enterprise's node. 企业节点。"""


def main() -> None:
    """Run the program."""
    from runtime.programs import run_cli

    run_cli(node)
