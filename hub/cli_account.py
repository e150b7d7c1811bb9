"""Commands over one account: show, explain, export, freeze, unfreeze."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from hub.cli_options import opened_home
from runtime.console import CommandGroup, json_option, print_result

_home_option = click.option(
    "--home",
    "folder",
    type=click.Path(path_type=Path),
    default=Path(),
    show_default=True,
    help="The hub's folder. 中心目录。",
)
_account_argument = click.argument("account_id", metavar="ACCOUNT")


@click.group(cls=CommandGroup)
def account() -> None:
    """Show, explain, export and freeze accounts. 碳账户查询、说明、导出与冻结。"""


@account.command("show")
@_home_option
@click.argument("account_id", metavar="ID")
@click.option(
    "--after",
    metavar="YYYY-MM",
    help="Show its wallets as that epoch's close left them; takes a whole id. 指定周期结账后的余额。",
)
@json_option
def show(folder: Path, account_id: str, after: str | None, *, as_json: bool) -> None:
    """Show one account by its id or the beginning of it. 查询碳账户。"""
    if after is not None:
        _show_past(folder, account_id, after, as_json=as_json)
        return
    from hub.lookup import look_up

    found = look_up(opened_home(folder), account_id)
    print_result(found, as_json=as_json, lines=_shown(found))


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


def _show_past(folder: Path, account_id: str, after: str, *, as_json: bool) -> None:
    from hub.point_in_time import wallets_after
    from protos.epochs import parse_epoch

    found = wallets_after(opened_home(folder), _account_of(account_id), parse_epoch(after))
    print_result(found, as_json=as_json, lines=_past(found))


def _past(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found['account']}, after 截至 {found['after']} (entry 条目 {found['entry']})"
    for ledger, wallet in found["wallets"].items():
        amounts = (f"{part} {wallet[part]:,}" for part in ("available", "claimable", "pending", "deficit"))
        yield f"  {ledger}: {', '.join(amounts)}"


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


def _shown(found: dict[str, Any]) -> Iterator[str]:
    """Show one account, or those that begin alike."""
    if "accounts" in found:
        yield from found["accounts"]
        return
    yield _balance(found) + f", after 截至 {found['epoch']}"
    yield f"  {found['enterprises']} enterprises 家企业, {found['pseudonyms']} pseudonyms 个假名"
    if found["points"] is not None:
        points = found["points"]
        yield f"  released points 发布积分: {points['points']:,} ± {points['sigma_points']:,}"


def _balance(found: dict[str, Any]) -> str:
    return f"{found['account']}: {found['balance_mg'] / 1000:,.0f} g ± {found['sigma_mg'] / 1000:,.0f}"


# What happened with a released figure, or why there is none.
_WORDS = {
    "month": "month 月度",
    "year": "year, months and anchor combined 年度（各月与年度锚值合并）",
    "points": "points 积分",
    "counts at the next close": "counts at the next close 下次结账计入",
    "recorded elsewhere": "recorded by another enterprise 由其他企业记录",
    "missing": "nothing released 未发布",
    "came late": "released after the close 结账后补发布",
}
_PURPOSES = {
    "prove": "proved control 证明控制权",
    "merge": "merged 合并",
    "split": "split off a number 拆分",
    "choose": "chose 选择",
    "share": "shared out a household 家庭分配",
    "close": "closed 注销",
    "view": "looked 查看",
}
_STATES = {
    "open": "open 正常",
    "frozen": "frozen 已冻结",
    "closed": "closed 已注销",
    "merged": "merged 已合并",
}


def _lines(content: dict[str, Any]) -> Iterator[str]:
    yield f"{_balance(content)} ({_STATES[content['state']]}, after 截至 {content['epoch']})"
    for section in content["wallets"]:
        held = {one["key"]: f"{one['amount']:,} {one['unit']}" for one in section["figures"]}
        if "spendable" in held:
            yield f"  {section['name_en']} {section['name_zh']}: held 持有 {held['available']}"
            yield f"    may be spent 可用 {held['spendable']}, kept for the noise 噪声储备 {held['reserve']}"
            yield f"    in open orders 订单占用 {held['pending']}, owed 待抵补 {held['deficit']}"
        if "due" in held:
            yield f"  {section['name_en']} {section['name_zh']}: given 投入 {held['contributed']}"
            yield f"    waiting 待签发 {held['waiting']}, owed by sales 出售应分 {held['owed']}"
            yield f"    drawn 已领取 {held['drawn']}, due 可领取 {held['due']}"
        if "taken" in held:
            took = f"took 计入 {held['taken']}, owed 应分 {held['owed']}"
            yield f"  {section['name_en']} {section['name_zh']}: {took}"
    for line in content["lines"]:
        yield f"  {line['epoch']} {line['enterprise']}: {_figure(line)}"
    for act in content["acts"]:
        entry = "" if act["entry"] is None else f", entry 条目 {act['entry']}"
        did = _PURPOSES.get(act["purpose"], act["purpose"])
        yield f"  {act['at']} {did}, logged in by 登录企业 {act['enterprise']}{entry}"


def _figure(line: dict[str, Any]) -> str:
    words = _WORDS[line["what"]]
    if "grams" in line:
        return f"{line['measure']}, {words} {line['grams']:,} g ± {line['sigma_grams']:,}"
    if "points" in line:
        return f"{line['measure']}, {words} {line['points']:,} ± {line['sigma_points']:,}"
    return f"{words} {line['overlap_class']}" if "overlap_class" in line else words


def _account_of(text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-f]{32}", text):
        raise click.BadParameter("write its 32 hex digits.", param_hint="ACCOUNT")
    return bytes.fromhex(text)


COMMANDS: Mapping[str, click.Command] = {"account": account}
