"""Commands over the node's own data: check, ingest, explain, status, doctor."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from enterprise_node.cli_options import home_option, opened_workspace
from runtime.console import json_option, print_result

EXIT_DOCTOR = 1


@click.command()
@home_option
@json_option
def check(folder: Path, *, as_json: bool) -> None:
    """Rehearse reading: first rows mapped, counts, what would be set aside. 试读：映射与隔离预览。"""
    from enterprise_node.check import check_sources

    with opened_workspace(folder) as workspace:
        register = workspace.register()
        persons = [] if register is None else list(register.rehearse())
        files = list(check_sources(workspace))
    report = {"register": persons, "files": [one.to_json() for one in files]}
    lines = [
        *(
            f"{one['file']}: {one['rows']:,} persons 人, set aside 隔离 {one['quarantined']}"
            for one in persons
        ),
        *(line for one in files for line in one.lines()),
        "Nothing was stored. 未写入任何数据。",
    ]
    print_result(report, as_json=as_json, lines=lines)


@click.command()
@home_option
@json_option
def ingest(folder: Path, *, as_json: bool) -> None:
    """Read what is new in all sources. 读取全部数据源的新内容。"""
    from runtime.progress import Progress

    reports = []
    with opened_workspace(folder) as workspace, Progress("ingest", unit="rows") as progress:
        for report in workspace.read(progress.note):
            progress.advance(report.outcome.lines if report.outcome is not None else 0)
            reports.append(report)
    lines = [line for report in reports for line in report.lines()]
    print_result({"files": [report.to_json() for report in reports]}, as_json=as_json, lines=lines)


@click.command()
@home_option
@click.option(
    "--record", required=True, help="The record's id as `check` shows it, or its raw columns joined by /."
)
@json_option
def explain(folder: Path, record: str, *, as_json: bool) -> None:
    """Say how one record became its milligrams. 说明一条记录的减排量如何得出。"""
    from enterprise_node.explain import explain as explain_record

    with opened_workspace(folder) as workspace:
        found = explain_record(workspace, record)
    lines = [line for one in found for line in one.lines()]
    print_result({"records": [one.to_json() for one in found]}, as_json=as_json, lines=lines)


@click.command()
@home_option
@click.option(
    "--epoch", "epochs", multiple=True, metavar="YYYY-MM", help="Epochs to sum up beside those released."
)
@json_option
def status(folder: Path, epochs: Sequence[str], *, as_json: bool) -> None:
    """Say what was read, kept, set aside and reduced. 显示读取、入库、隔离与减排情况。"""
    from enterprise_node.dues import read_dues
    from enterprise_node.overview import overview
    from enterprise_node.status import data_status, status_lines
    from protos.epochs import parse_epoch

    with opened_workspace(folder) as workspace:
        figures = data_status(workspace, [parse_epoch(epoch) for epoch in epochs])
        figures["outward"] = overview(workspace.database).to_json()
        figures["dues"] = read_dues(workspace.home)
    print_result(figures, as_json=as_json, lines=status_lines(figures))


@click.command()
@home_option
@json_option
def doctor(folder: Path, *, as_json: bool) -> None:
    """Look for what would stop the node. 检查节点能否运行。"""
    from enterprise_node.doctor import examine
    from runtime.checks import check_lines

    found = list(examine(folder))
    healthy = all(one.is_good for one in found)
    symptoms = [
        {"subject": one.name, "good": one.is_good, "text": one.detail, "remedy": one.remedy} for one in found
    ]
    print_result({"healthy": healthy, "symptoms": symptoms}, as_json=as_json, lines=check_lines(found))
    if not healthy:
        sys.exit(EXIT_DOCTOR)


COMMANDS: dict[str, click.Command] = {
    "check": check,
    "ingest": ingest,
    "explain": explain,
    "status": status,
    "doctor": doctor,
}
