"""Commands for authors of packs, and what one act comes to: pack check, pack diff, pack test, footprint."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runtime.console import CommandGroup, json_option, print_result

if TYPE_CHECKING:
    from enterprise_node.footprint import Estimator

EXIT_CHECK = 1
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.group(cls=CommandGroup)
def pack() -> None:
    """Write and compare methodology packs. 编写与比较方法学包。"""


@pack.command("check")
@click.argument("folder", type=_FOLDER, metavar="DIR")
@click.option(
    "--day-clamp", default=1000, show_default=True, help="Grams a person-day is clamped at. 每人日截断克数。"
)
@json_option
def pack_check(folder: Path, day_clamp: int, *, as_json: bool) -> None:
    """Prove a pack, or all of a packs folder: schema, units, bounds, reach, examples. 校验方法学包。"""
    from enterprise_node.authoring import check_pack
    from protos.problems import Problem
    from runtime.pack_files import load_pack

    folders = _packs_in(folder)
    checked, failed = [], {}
    for one in folders:
        try:
            checked.append(check_pack(load_pack(one), day_clamp))
        except Problem as problem:
            if len(folders) == 1:
                raise
            failed[f"{one.parent.name}/{one.name}"] = f"{problem.message} {problem.remedy}".strip()
    lines = [line for one in checked for line in one.lines()]
    lines += [f"FAIL {name}: {text}" for name, text in failed.items()]
    report = {"packs": [one.to_json() for one in checked], "failed": failed}
    print_result(report, as_json=as_json, lines=lines)
    if failed:
        sys.exit(EXIT_CHECK)


@pack.command("diff")
@click.argument("old", type=_FOLDER)
@click.argument("new", type=_FOLDER)
@json_option
def pack_diff(old: Path, new: Path, *, as_json: bool) -> None:
    """Say what differs between two packs and what follows from it. 比较两个版本。"""
    from dataclasses import asdict

    from enterprise_node.authoring import differences
    from runtime.pack_files import load_pack

    found = differences(load_pack(old), load_pack(new))
    lines = [one.line() for one in found] or ["Nothing differs. 无差异。"]
    print_result({"differences": [asdict(one) for one in found]}, as_json=as_json, lines=lines)


@pack.command("test")
@click.argument("folder", type=_FOLDER, metavar="DIR")
@click.option("--old", type=_FOLDER, help="The version to compare with. 对比的旧版本。")
@click.option(
    "--on",
    "data",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="A node's home, or a Parquet or CSV file of the activity's columns. 节点目录或活动数据文件。",
)
@json_option
def pack_test(folder: Path, old: Path | None, data: Path, *, as_json: bool) -> None:
    """Run a pack over real records: grams, points, caps hit. 用真实数据试算。"""
    from enterprise_node.trial import records_of, try_pack
    from runtime.pack_files import load_pack

    packs = [load_pack(one) for one in (old, folder) if one is not None]
    tested = []
    for one in packs:
        with records_of(data, one.activity) as (engine, activities, persons):
            tested.append(try_pack(engine, one, activities, persons))
    lines = [line for one in tested for line in one.lines()]
    if old is not None:
        change = tested[1].milligrams - tested[0].milligrams
        lines.append(f"change 变化: {change // 1000:+,} g")
    print_result({"packs": [one.to_json() for one in tested]}, as_json=as_json, lines=lines)


def _packs_in(folder: Path) -> list[Path]:
    from protos.problems import Unavailable
    from protos.v1.problem_pb2 import REASON_NOT_FOUND
    from runtime.pack_files import PACK_FILE

    if (folder / PACK_FILE).is_file():
        return [folder]
    found = [path.parent for pattern in ("*", "*/*") for path in folder.glob(f"{pattern}/{PACK_FILE}")]
    if not found:
        raise Unavailable(
            REASON_NOT_FOUND,
            f"There is no pack in {folder}.",
            remedy="Give a folder with pack.toml, or one of packs as <id>/<version>/pack.toml.",
        )
    return sorted(found)


@click.command()
@click.option(
    "--home",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A node's folder, whose packs come first. 节点目录。",
)
@click.option("--pack", "pack_id", default="", help="The pack to ask. 方法学包。")
@click.option("--activity", default="", help="Or the activity, all of whose packs are asked. 或活动代码。")
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="In the pack's units. 输入。")
@click.option("--date", default="", help="Day of the act, as 2026-01-31; today by default. 日期。")
@click.option("--region", default="", help="Where it happened. 地区。")
@click.option("--equivalence", default="", help="What to liken it to, as tree_year. 折算方式。")
@json_option
def footprint(
    folder: Path | None,
    pack_id: str,
    activity: str,
    inputs: Sequence[str],
    date: str,
    region: str,
    equivalence: str,
    *,
    as_json: bool,
) -> None:
    """Say what one purchase or trip comes to; nothing is stored. 估算一次消费或出行，不保存。"""
    from enterprise_node.footprint import Question

    if bool(pack_id) == bool(activity):
        raise click.UsageError("Give --pack or --activity.")
    pairs = [text.partition("=") for text in inputs]
    if any(not sign for _, sign, _ in pairs):
        raise click.UsageError("Write inputs as NAME=VALUE.")
    question = Question({name: value for name, _, value in pairs}, pack_id, activity, date, region)
    found = _estimator(folder).estimate(question, equivalence)
    lines = [line for one in found for line in one.lines()]
    print_result({"estimates": [one.to_json() for one in found]}, as_json=as_json, lines=lines)


def _estimator(folder: Path | None) -> Estimator:
    from enterprise_node.footprint import Estimator, civil_today

    if folder is None:
        return Estimator([], civil_today)
    from enterprise_node.configuration import load_configuration

    return Estimator([folder / entry for entry in load_configuration(folder).packs], civil_today)


COMMANDS: dict[str, click.Command] = {"pack": pack, "footprint": footprint}
