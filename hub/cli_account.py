"""Commands over one account: show, explain, export, freeze, unfreeze."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from hub.cli_options import opened_home
from runtime.console import json_option, print_result

_home_option = click.option(
    "--home",
    "folder",
    type=click.Path(path_type=Path),
    default=Path(),
    show_default=True,
    help="The hub's folder. 中心目录。",
)
_account_argument = click.argument("account_id", metavar="ACCOUNT")


@click.group()
def account() -> None:
    """Show, explain, export and freeze accounts. 碳账户查询、说明、导出与冻结。"""


@account.command("show")
@_home_option
@click.argument("account_id", metavar="ID")
@json_option
def show(folder: Path, account_id: str, *, as_json: bool) -> None:
    """Show one account by its id or the beginning of it. 查询碳账户。"""
    from hub.lookup import look_up

    print_result(look_up(opened_home(folder), account_id), as_json=as_json)


@account.command("explain")
@_home_option
@_account_argument
@json_option
def explain(folder: Path, account_id: str, *, as_json: bool) -> None:
    """Say line by line why the balance is what it is; the hub must run. 说明余额的由来。"""
    content = _content(folder, account_id)
    print_result(content, as_json=as_json, lines=_lines(content))


@account.command("export")
@_home_option
@_account_argument
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def export(folder: Path, account_id: str, target: Path, *, as_json: bool) -> None:
    """Write the signed export into TARGET; it verifies with the hub's key. 导出签名的账户数据。"""
    from runtime.configuration import write_private

    data = _exported(folder, account_id)
    write_private(target, data)
    print_result({"file": str(target), "bytes": len(data)}, as_json=as_json)


@account.command("freeze")
@_home_option
@_account_argument
@json_option
def freeze(folder: Path, account_id: str, *, as_json: bool) -> None:
    """Let nothing be spent from an account until it is unfrozen. 冻结账户。"""
    _set_frozen(folder, account_id, as_json=as_json, frozen=True)


@account.command("unfreeze")
@_home_option
@_account_argument
@json_option
def unfreeze(folder: Path, account_id: str, *, as_json: bool) -> None:
    """Open a frozen account again. 解冻账户。"""
    _set_frozen(folder, account_id, as_json=as_json, frozen=False)


def _set_frozen(folder: Path, account_id: str, *, as_json: bool, frozen: bool) -> None:
    from hub.operator_client import OperatorClient

    with OperatorClient(opened_home(folder)) as client:
        index = client.set_frozen(_account_of(account_id), frozen=frozen)
    state = "frozen 已冻结" if frozen else "open 已解冻"
    print_result(
        {"account": account_id, "frozen": frozen, "entry": index},
        as_json=as_json,
        lines=[f"{account_id}: {state}, entry 条目 {index}"],
    )


def _exported(folder: Path, account_id: str) -> bytes:
    from hub.operator_client import OperatorClient

    with OperatorClient(opened_home(folder)) as client:
        return client.export_account(_account_of(account_id))


def _content(folder: Path, account_id: str) -> dict[str, Any]:
    from privacy.exports import ACCOUNT, open_export

    key = opened_home(folder).hub_key.verify_key
    content: dict[str, Any] = open_export(_exported(folder, account_id), ACCOUNT, [key])
    return content


def _lines(content: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{content['account']}: {content['balance_mg'] / 1000:,.0f} g ± {content['sigma_mg'] / 1000:,.0f} "
        f"({content['state']}, after 截至 {content['epoch']})"
    )
    for line in content["lines"]:
        place = f"  {line['epoch']} {line['enterprise']} {line.get('measure', '')}"
        if "grams" in line:
            yield f"{place}: {line['what']} {line['grams']:,} g ± {line['sigma_grams']:,}"
        elif "points" in line:
            yield f"{place}: points 积分 {line['points']:,} ± {line['sigma_points']:,}"
        else:
            yield f"{place}: {line['what']} {line.get('overlap_class', '')}"


def _account_of(text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-f]{32}", text):
        raise click.BadParameter("write its 32 hex digits.", param_hint="ACCOUNT")
    return bytes.fromhex(text)
