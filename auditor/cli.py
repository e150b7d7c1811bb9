"""The program cgsp-audit: verify a hub from its log, trusting nobody. 审计工具。"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from auditor.cli_documents import check_document
from auditor.cli_egress import compare_egress
from auditor.cli_sample import check_sample, sample
from auditor.cli_witness import witness
from runtime.console import CommandGroup, json_option, print_result


@click.group(cls=CommandGroup, name="cgsp-audit")
@click.version_option(package_name="cgsp-gateway")
def audit(**_: Any) -> None:
    """Verify a hub from outside, from its log alone. 独立核验平台日志。"""


audit.add_command(witness)
audit.add_command(compare_egress)
audit.add_command(sample)
audit.add_command(check_sample)
audit.add_command(check_document)


@audit.command()
@click.argument("token")
@click.option(
    "--home", type=click.Path(path_type=Path), required=True, help="The auditor's folder. 审计方目录。"
)
@json_option
def join(token: str, home: Path, *, as_json: bool) -> None:
    """Join a hub with an operator's TOKEN, to be allowed to read bodies. 注册为审计方。"""
    from auditor.joining import join_hub

    print_result(join_hub(token, home), as_json=as_json)


@audit.command()
@click.argument("source")
@click.option(
    "--trust-root",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="The first trust root, handed over out of band. 线下取得的信任根。",
)
@click.option("--identity", type=click.Path(path_type=Path), help="Folder made by `join`. 审计方身份目录。")
@click.option(
    "--receipts",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of receipts kept by a node. 节点保存的回执目录。",
)
@click.option(
    "--deposits",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of deposits kept by a node. 节点保存的存证目录。",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep what was verified in this file; a killed or later audit goes on from it. 断点文件。",
)
@click.option("--report", type=click.Path(path_type=Path), help="Write the JSON report here. 报告文件。")
@click.option(
    "--html",
    "html_file",
    type=click.Path(path_type=Path),
    help="Write a self-contained HTML report here. 可归档的网页报告。",
)
@json_option
def verify(
    source: str,
    trust_root: Path,
    identity: Path | None,
    receipts: Path | None,
    deposits: Path | None,
    state: Path | None,
    report: Path | None,
    html_file: Path | None,
    *,
    as_json: bool,
) -> int:
    """Verify SOURCE, a hub's https address (host:port) or an exported bundle's folder. 核验。

    Exit codes: 0 everything holds; 1 findings; 2 wrong use; 3 something could not be checked.
    """
    from auditor.app import Options, verify_source
    from auditor.report import Report
    from runtime.files import write_atomic
    from runtime.progress import Progress

    _check_source(source)
    with Progress("verify 核验", unit="entries", silent_if_short=True) as progress:
        options = Options(receipts, deposits, state, progress.reach)
        outcome: Report = verify_source(source, trust_root, identity, options)
    if report is not None:
        import json

        write_atomic(report, json.dumps(outcome.to_json(), ensure_ascii=False, indent=2).encode())
    if html_file is not None:
        import datetime

        from auditor.html_report import render

        made_at = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
        write_atomic(html_file, render(outcome, made_at=made_at).encode())
    print_result(outcome.to_json(), as_json=as_json, lines=outcome.lines())
    return outcome.verdict.exit_code


@audit.command(name="selftest-privacy")
@click.option(
    "--node", "program", default="cgsp-node", show_default=True, help="The node's program. 节点程序。"
)
@click.option("--canaries", default=5000, show_default=True, help="Invented persons. 虚构用户数。")
@json_option
def selftest_privacy(program: str, canaries: int, *, as_json: bool) -> int:
    """Audit an installed node with canaries of a temporary home: bound beside claim. 节点隐私自检。

    Exit codes: 0 the bound is under the claim; 1 it is not; 2 wrong use; else it could not be run.
    """
    from auditor.selftest import selftest

    outcome = selftest(program, canaries)
    print_result(outcome.to_json(), as_json=as_json, lines=outcome.lines())
    return outcome.verdict.exit_code


@audit.command()
@click.argument("exact", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--trust-root",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="The first trust root, handed over out of band. 线下取得的信任根。",
)
@json_option
def residuals(exact: Path, bundle: Path, trust_root: Path, *, as_json: bool) -> int:
    """Hold released minus EXACT (from `cgsp-node exact`) against the claimed noise. 残差检验（仅限现场）。

    Prints verdicts and how fine they are, never an amount. Exit codes: 0 all hold; 1 one does not.
    """
    from auditor.residuals import residuals as compare

    outcome = compare(exact, bundle, trust_root)
    print_result(outcome.to_json(), as_json=as_json, lines=outcome.lines())
    return outcome.verdict.exit_code


@audit.command()
@click.argument("source", required=False)
@click.option(
    "--trust-root",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The first trust root, handed over out of band. 线下取得的信任根。",
)
@click.option("--home", type=click.Path(path_type=Path), help="Folder made by `join`. 审计方目录。")
@click.option("--witness", type=click.Path(path_type=Path), help="A witness's folder. 见证方目录。")
@json_option
def doctor(
    source: str | None, trust_root: Path | None, home: Path | None, witness: Path | None, *, as_json: bool
) -> int:
    """Check libraries and what is named, and whether SOURCE can be read; exit 0 if all is well. 自检。"""
    from auditor.doctor import examine
    from runtime.checks import print_checks

    if source is not None:
        _check_source(source)
        if trust_root is None:
            raise click.UsageError("SOURCE is looked at with --trust-root.")
    checks = examine(trust_root=trust_root, source=source, home=home, witness=witness)
    return print_checks(checks, as_json=as_json)


def _check_source(source: str) -> None:
    """Refuse what is neither a folder nor an address as wrong use."""
    from protos.problems import Problem
    from runtime.addresses import parse_address

    if Path(source).is_dir():
        return
    try:
        parse_address(source)
    except Problem:
        raise click.BadParameter("It is neither a folder nor host:port.", param_hint="SOURCE") from None


def main() -> None:
    """Run the program."""
    from runtime.programs import run_cli

    run_cli(audit)
