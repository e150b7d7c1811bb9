"""The command that holds a node's egress journal against the record."""

from __future__ import annotations

from pathlib import Path

import click

from runtime.console import json_option, print_result


@click.command(name="compare-egress")
@click.argument("journal", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("source")
@click.option("--enterprise", "enterprise_id", required=True, help="Whose node wrote the journal. 企业标识。")
@click.option(
    "--trust-root",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="The first trust root, handed over out of band. 线下取得的信任根。",
)
@click.option("--identity", type=click.Path(path_type=Path), help="Folder made by `join`. 审计方身份目录。")
@json_option
def compare_egress(
    journal: Path, source: str, enterprise_id: str, trust_root: Path, identity: Path | None, *, as_json: bool
) -> int:
    """Compare JOURNAL (from `cgsp-node egress --json`) with the log at SOURCE, both ways. 出境比对。

    Exit codes: 0 everything fits; 1 findings; 2 wrong use; 3 something could not be told.
    """
    from auditor.app import open_log
    from auditor.egress import compare_egress as compare

    with open_log(source, trust_root, identity) as (reader, root):
        found = compare(journal, reader, root, enterprise_id)
    print_result(found.to_json(), as_json=as_json, lines=found.lines())
    return found.verdict.exit_code
