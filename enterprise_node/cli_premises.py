"""Commands for an auditor on the premises: rehearse, exact. What they write stays in the enterprise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from enterprise_node.cli_release import EPOCH, HOME
from runtime.console import json_option, print_result

if TYPE_CHECKING:
    from protos.epochs import Epoch

OUT = click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="File to write, readable by its owner alone. 输出文件。",
)


@click.command("rehearse")
@EPOCH
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="The policy, unsigned, as serialized protobuf. 未签名策略。",
)
@OUT
@HOME
@json_option
def rehearse(epoch: Epoch, policy_file: Path, out: Path, home: Path, as_json: bool) -> None:
    """Noise the statements of a home of invented persons; nothing is sent. 虚构数据演练。"""
    from enterprise_node import rehearsal
    from enterprise_node.store.outward import SCHEMAS
    from enterprise_node.workspace import open_workspace

    workspace = open_workspace(home, schemas=SCHEMAS)
    try:
        rows = rehearsal.rehearse(workspace, epoch, rehearsal.read_policy(policy_file), out)
    finally:
        workspace.close()
    print_result({"rows": rows, "out": str(out)}, as_json=as_json)


@click.command("exact")
@EPOCH
@OUT
@HOME
@json_option
def exact(epoch: Epoch, out: Path, home: Path, as_json: bool) -> None:
    """Write the exact figures behind a release for an auditor here; never sent. 导出精确值（仅限现场）。"""
    from enterprise_node.app import open_app
    from enterprise_node.rehearsal import write_exact

    app = open_app(home)
    try:
        rows = write_exact(app, epoch, out)
    finally:
        app.close()
    print_result({"rows": rows, "out": str(out)}, as_json=as_json)


@click.command("open")
@click.argument("challenge", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="A new folder on the premises, for the auditor. 现场新目录。",
)
@HOME
@json_option
def open_sample(challenge: Path, out: Path, home: Path, as_json: bool) -> None:
    """Open the leaves that CHALLENGE draws, with their records; nothing is sent. 打开抽样（仅限现场）。"""
    from enterprise_node.app import open_app
    from enterprise_node.openings import open_challenge
    from privacy.sampling import CHALLENGE_BYTES_MAX
    from runtime.files import read_bounded

    app = open_app(home)
    try:
        opening = open_challenge(app, read_bounded(challenge, CHALLENGE_BYTES_MAX), out)
    finally:
        app.close()
    records = sum(len(one.records) for one in opening.leaves)
    print_result({"leaves": len(opening.leaves), "records": records, "out": str(out)}, as_json=as_json)


COMMANDS: Mapping[str, click.Command] = {"rehearse": rehearse, "exact": exact, "open": open_sample}
