"""Commands on the ledgers: money of the funds, and units from issuance to use."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub.cli_options import home_option, opened_home
from runtime.console import CommandGroup, json_option, print_result

if TYPE_CHECKING:
    from protos.v1 import ledger_pb2

KEY_BYTES = 16

_programme_option = click.option("--programme", required=True, metavar="ID", help="项目编号。")
_key_option = click.option(
    "--key",
    metavar="HEX",
    help="16 bytes that name this act: given again, the first answer comes again. Fresh by default. 幂等键。",
)
_fen_option = click.option(
    "--fen", type=click.IntRange(min=1), required=True, help="Amount in fen. 金额（分）。"
)
_tonnes_option = click.option("--tonnes", type=click.IntRange(min=1), required=True, help="吨数。")
_batch_option = click.option("--batch", required=True, help="As `units issue` named it. 批次。")
_buyer_option = click.option("--buyer", required=True, help="买方。")
_reference_option = click.option("--reference", default="", help="The payer's own reference. 凭证号。")


@click.group(cls=CommandGroup)
def fund() -> None:
    """Money behind the rewards. 资金。"""


@fund.command()
@home_option
@_programme_option
@click.option("--fund", "fund_name", required=True, metavar="NAME", help="资金名称。")
@click.option(
    "--source", required=True, type=click.Choice(["government", "enterprise", "bank"]), help="Who gives it."
)
@_fen_option
@_reference_option
@_key_option
@json_option
def deposit(
    folder: Path,
    programme: str,
    fund_name: str,
    source: str,
    fen: int,
    reference: str,
    key: str | None,
    *,
    as_json: bool,
) -> None:
    """Record a sponsor's payment into a fund. 资金入账。"""
    act = {"programme": programme, "fund": fund_name, "source": source, "fen": fen, "reference": reference}
    _operate(folder, key, "deposit", act, as_json=as_json)


@fund.command()
@home_option
@click.option("--partner", required=True, help="合作方。")
@_fen_option
@_reference_option
@_key_option
@json_option
def settle(folder: Path, partner: str, fen: int, reference: str, key: str | None, *, as_json: bool) -> None:
    """Record that a partner was paid what it is owed. 与合作方结算。"""
    act = {"partner": partner, "fen": fen, "reference": reference}
    _operate(folder, key, "settle", act, as_json=as_json)


@fund.command()
@home_option
@click.option("--order", required=True, metavar="HEX", help="Key of the order. 兑换单号。")
@_key_option
@json_option
def dispute(folder: Path, order: str, key: str | None, *, as_json: bool) -> None:
    """Take back what a partner had for a delivery it did not make good. 争议退回。"""
    _operate(folder, key, "dispute", {"reserve_key": _bytes(order, "--order")}, as_json=as_json)


@fund.command()
@home_option
@_programme_option
@click.option("--reward", required=True, help="奖励。")
@click.option("--lots", type=click.IntRange(min=1), required=True, help="Trees planted. 棵数。")
@_key_option
@json_option
def plant(folder: Path, programme: str, reward: str, lots: int, key: str | None, *, as_json: bool) -> None:
    """Record that a charity pool's lots were planted. 公益落地。"""
    act = {"programme": programme, "reward": reward, "lots": lots}
    _operate(folder, key, "plant", act, as_json=as_json)


@fund.command()
@home_option
@click.argument("ledger", default="M")
@json_option
def show(folder: Path, ledger: str, *, as_json: bool) -> None:
    """Show the balances of a LEDGER's own accounts: M, R, U or P:<programme>. 查看余额。"""
    from hub.operation_client import OperationClient

    with OperationClient(opened_home(folder)) as client:
        found = client.balances(ledger)
    lines = [f"{path:<60}{balance:>20,}" for path, balance in found.items()]
    print_result({"ledger": ledger, "balances": found}, as_json=as_json, lines=lines or ["nothing yet 暂无"])


@click.group(cls=CommandGroup)
def units() -> None:
    """Issued tonnes. 核证减排量。"""


@units.command()
@home_option
@_programme_option
@click.option("--rule", required=True, metavar="NAME", help="The programme's issue rule. 签发规则。")
@click.option("--last", "last_text", required=True, metavar="YYYY-MM", help="Last closed epoch. 末周期。")
@click.option("--preview", is_flag=True, help="Reckon only. 仅测算。")
@json_option
def issue(folder: Path, programme: str, rule: str, last_text: str, *, preview: bool, as_json: bool) -> None:
    """Issue whole tonnes from a pool, with every figure of the deduction. 签发。"""
    from hub.operation_client import OperationClient, explained
    from protos.epochs import parse_epoch

    with OperationClient(opened_home(folder)) as client:
        answer = client.issue(programme, rule, parse_epoch(last_text), preview=preview)
    result = explained(answer.batch)
    print_result(result if preview else {**result, "entry": answer.index}, as_json=as_json)


@units.command()
@home_option
@_programme_option
@_batch_option
@_buyer_option
@_tonnes_option
@_fen_option
@_key_option
@json_option
def sell(
    folder: Path,
    programme: str,
    batch: str,
    buyer: str,
    tonnes: int,
    fen: int,
    key: str | None,
    *,
    as_json: bool,
) -> None:
    """Sell units of a batch; the proceeds are split by the programme's rule. 出售。"""
    act = {"programme": programme, "batch": batch, "buyer": buyer, "tonnes": tonnes, "fen": fen}
    _operate(folder, key, "sell", act, as_json=as_json)


@units.command()
@home_option
@_programme_option
@_batch_option
@click.option(
    "--buyer", default="", help="Left out: units nobody bought, for no obligation. 买方；不填则注销未售出的。"
)
@_tonnes_option
@click.option("--purpose", type=click.Choice(["compliance", "voluntary"]), required=True, help="用途。")
@click.option("--obligation", type=click.IntRange(min=0), default=0, help="Tonnes surrendered for. 清缴量。")
@_key_option
@json_option
def retire(
    folder: Path,
    programme: str,
    batch: str,
    buyer: str,
    tonnes: int,
    purpose: str,
    obligation: int,
    key: str | None,
    *,
    as_json: bool,
) -> None:
    """Use a buyer's units, within the programme's offset caps. 注销抵销。"""
    act = {
        "programme": programme,
        "batch": batch,
        "buyer": buyer,
        "tonnes": tonnes,
        "purpose": purpose,
        "obligation_tonnes": obligation,
    }
    _operate(folder, key, "retire", act, as_json=as_json)


@units.command()
@home_option
@_programme_option
@_batch_option
@_tonnes_option
@click.option("--reason", required=True, help="原因。")
@_key_option
@json_option
def cancel(
    folder: Path, programme: str, batch: str, tonnes: int, reason: str, key: str | None, *, as_json: bool
) -> None:
    """End units that should not have been issued, the buffer's first. 撤销。"""
    act = {"programme": programme, "batch": batch, "tonnes": tonnes, "reason": reason}
    _operate(folder, key, "cancel_units", act, as_json=as_json)


@units.command()
@home_option
@_batch_option
@json_option
def serials(folder: Path, batch: str, *, as_json: bool) -> None:
    """Show whose the serial numbers of a batch are. 序列号归属。"""
    from hub.operation_client import OperationClient

    with OperationClient(opened_home(folder)) as client:
        found = client.serials(batch)
    lines = [f"{one['first']:>12,} to {one['last']:>12,}  {one['owner']}" for one in found]
    print_result({"batch": batch, "ranges": found}, as_json=as_json, lines=lines)


def _operate(folder: Path, key: str | None, name: str, act: Mapping[str, Any], *, as_json: bool) -> None:
    from hub.operation_client import OperationClient

    operation = _operation(_bytes(key, "--key") if key else secrets.token_bytes(KEY_BYTES), name, act)
    with OperationClient(opened_home(folder)) as client:
        answer = client.operate(operation)
    print_result({"key": operation.key.hex(), **answer}, as_json=as_json)


def _operation(key: bytes, name: str, act: Mapping[str, Any]) -> ledger_pb2.Operation:
    from protos.v1 import ledger_pb2

    operation = ledger_pb2.Operation(key=key)
    chosen = getattr(operation, name)
    for field, value in act.items():
        setattr(chosen, field, value)
    return operation


def _bytes(text: str, option: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != KEY_BYTES:
        raise click.BadParameter(f"write {2 * KEY_BYTES} hex digits.", param_hint=option)
    return value


COMMANDS: Mapping[str, click.Command] = {"fund": fund, "units": units}
