"""Commands around one hub's home folder: make it, run it, invite, close, look, export."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from hub.cli_options import home_option, opened_home
from runtime.console import json_option, log_options, print_result

if TYPE_CHECKING:
    from hub.configuration import StoreSettings
    from hub.operator_client import OperatorClient
    from hub.setup import Opened
    from privacy.keys import VerifyKey
    from protos.epochs import Epoch
    from protos.v1 import hub_pb2

CLOSE_POLL_SECONDS = 1.0


@click.command()
@home_option
@click.option("--origin", required=True, help="Name of the log, such as cgsp.example/log.")
@click.option("--root-key", "root_keys", multiple=True, required=True, metavar="NAME=FILE", help="Repeat.")
@click.option("--root-threshold", type=int, required=True, help="How many of them sign.")
@click.option(
    "--policy-key", "policy_keys", multiple=True, required=True, metavar="NAME=FILE", help="Repeat."
)
@click.option("--policy-threshold", type=int, required=True, help="How many of them sign.")
@click.option(
    "--listen-grpc", default="127.0.0.1:0", show_default=True, help="Port 0: choose a free one once."
)
@click.option("--listen-https", default="127.0.0.1:0", show_default=True, help="Likewise.")
@click.option("--store-dsn-file", metavar="FILE", help="PostgreSQL instead of SQLite: a 0600 file in --home.")
@click.option("--store-dsn-variable", metavar="NAME", help="The same, from an environment variable.")
@json_option
def init(
    folder: Path,
    root_keys: Sequence[str],
    policy_keys: Sequence[str],
    store_dsn_file: str | None,
    store_dsn_variable: str | None,
    *,
    as_json: bool,
    **options: Any,
) -> None:
    """Make a hub: keys, certificate authority, database. 初始化中心节点。"""
    from hub.setup import Plan, init_home

    plan = Plan(
        root_keys=_named_keys(root_keys),
        policy_keys=_named_keys(policy_keys),
        store=_store(store_dsn_file, store_dsn_variable),
        **options,
    )
    opened = init_home(folder, plan)
    print_result(
        {
            "home": str(opened.home.folder),
            "origin": opened.settings.origin,
            "grpc_address": opened.settings.grpc_address,
            "https_address": opened.settings.https_address,
            "log_vkey": opened.log_vkey,
            "hub_key": opened.hub_key.verify_key.public.hex(),
            "ca_fingerprint": opened.authority.fingerprint,
        },
        as_json=as_json,
    )


@click.command()
@home_option
@log_options
@json_option
def serve(folder: Path, log_form: Any, log_level: str, *, as_json: bool) -> None:
    """Serve until SIGTERM, then finish what runs. 运行服务。"""
    from hub.app import Hub
    from runtime.logs import configure_logs
    from runtime.stopping import stop_event

    configure_logs("hub", level=log_level, form=log_form)
    stop = stop_event()
    with Hub(opened_home(folder), on_broken=stop.set) as hub:
        addresses = {"grpc_address": hub.grpc_address, "https_address": hub.https_address}
        print_result({**addresses, "log_size": hub.log_size}, as_json=as_json)
        sys.stdout.flush()
        stop.wait()
    hub.raise_broken()


@click.command()
@home_option
@click.option(
    "--role", type=click.Choice(["node", "custodian", "auditor"]), required=True, help="What it is."
)
@click.option("--id", "party_id", required=True, help="Its id, for good.")
@click.option("--name", required=True, help="English name.")
@click.option("--name-zh", default="", help="中文名称。")
@click.option(
    "--quota",
    type=click.IntRange(min=0),
    help="How many persons a node may ever pseudonymise; needed for a node. 节点可登记人数上限，节点必填。",
)
@json_option
def invite(
    folder: Path, role: str, party_id: str, name: str, name_zh: str, quota: int | None, *, as_json: bool
) -> None:
    """Print a one-time token for a party. 生成一次性接入令牌。"""
    from protos.v1 import hub_pb2

    if role == "node" and quota is None:
        raise click.UsageError("A node needs --quota: without one it can enrol nobody.")
    request = hub_pb2.InviteRequest(
        role=role, id=party_id, name=name, name_zh=name_zh, evaluation_quota=quota or 0
    )
    with _client(opened_home(folder)) as client:
        response = client.invite(request)
    result = {"token": response.token, "expires_at": response.expires_at}
    print_result(result, as_json=as_json, lines=[response.token])


@click.command()
@home_option
@click.argument("epoch")
@click.option(
    "--wait",
    "wait_seconds",
    type=click.IntRange(min=0),
    default=0,
    help="Seconds to wait for who is missing. 等待秒数。",
)
@click.option("--allow-missing", is_flag=True, help="Close without those who said nothing.")
@json_option
def close(folder: Path, epoch: str, wait_seconds: int, *, allow_missing: bool, as_json: bool) -> None:
    """Close EPOCH (2020-12): link, fold, sign the books. 结账。"""
    from protos.epochs import parse_epoch

    number = parse_epoch(epoch)
    with _client(opened_home(folder)) as client:
        response = _close(client, number, wait_seconds, allow_missing=allow_missing)
    print_result(_described_close(response.close, epoch), as_json=as_json)


@click.command()
@home_option
@json_option
def status(folder: Path, *, as_json: bool) -> None:
    """Show the log's head, the epochs, and whom the hub waits for. 查看状态。"""
    with _client(opened_home(folder)) as client:
        found = client.status()
        parties = client.list_parties()
    epochs = [
        {
            "epoch": _epoch_text(one.epoch),
            "state": one.state,
            "released": list(one.released),
            "waiting_for": list(one.waiting_for),
            "due": [
                {"role": due.role, "id": due.id, "until": _utc(due.due_at), "missing": due.is_missing}
                for due in one.due
            ],
        }
        for one in found.epochs
    ]
    result = {
        "origin": found.origin,
        "log_size": found.log_size,
        "log_root": found.log_root.hex(),
        "accounts": found.accounts,
        "witness_quorum": found.witness_quorum,
        "parties": [{"role": one.role, "id": one.id, "address": one.address} for one in parties],
        "epochs": epochs,
    }
    print_result(result, as_json=as_json)


@click.command()
@home_option
@click.argument("epoch", metavar="YYYY-MM")
@json_option
def beacon(folder: Path, epoch: str, *, as_json: bool) -> None:
    """Have the custodians draw the beacon of EPOCH's samples, once; again, show it. 生成抽样信标。"""
    from protos.epochs import parse_epoch

    with _client(opened_home(folder)) as client:
        drawn = client.draw_beacon(parse_epoch(epoch))
    result = {"epoch": epoch, "index": drawn.index, "beacon": drawn.value.hex()}
    print_result(result, as_json=as_json)


@click.command()
@home_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
@json_option
def export(folder: Path, out: Path, *, as_json: bool) -> None:
    """Write a bundle that can be verified offline; it holds pseudonyms. 导出可离线核验的数据包。"""
    from hub.export import export_bundle
    from hub.store.database import readers_of

    opened = opened_home(folder)
    with readers_of(opened.home.database) as readers:
        exported = export_bundle(
            opened.home.folder, readers, out, origin=opened.settings.origin, log_key=opened.log_key.verify_key
        )
    result = {
        "folder": str(out),
        "size": exported.size,
        "root": exported.root.hex(),
        "bodies": exported.bodies,
        "body_bytes": exported.body_bytes,
    }
    print_result(result, as_json=as_json)


@click.command()
@home_option
@click.argument("account_id", metavar="ACCOUNT")
@json_option
def erase(folder: Path, account_id: str, *, as_json: bool) -> None:
    """Erase the person behind ACCOUNT (32 hex digits) by signed orders, for good. 按申请删除个人。

    Salts and pseudonyms go from rosters, links and later exports; grams stay on the enterprises' accounts.
    """
    from hub.operator_client import OperatorClient
    from privacy.envelope import open_envelope
    from protos.v1.evidence_pb2 import ErasureOrder

    if not re.fullmatch(r"[0-9a-f]{32}", account_id):
        raise click.BadParameter("write its 32 hex digits.", param_hint="ACCOUNT")
    with OperatorClient(opened_home(folder)) as client:
        orders = client.erase_account(bytes.fromhex(account_id))
    found = [open_envelope(order).parse(ErasureOrder) for order in orders]
    result = {"orders": [{"enterprise": one.enterprise_id, "slots": len(one.slots)} for one in found]}
    lines = [f"{one.enterprise_id}: {len(one.slots)} slots erased 个登记位已删除" for one in found]
    print_result(result, as_json=as_json, lines=lines)


@click.command()
@home_option
@json_option
def doctor(folder: Path, *, as_json: bool) -> int:
    """Check the home folder, keys, database and log; exit 0 if all is well. 自检。"""
    from hub.doctor import examine
    from runtime.checks import print_checks

    return print_checks(examine(folder), as_json=as_json)


@click.command()
@home_option
@click.option("--write", is_flag=True, help="Put the rebuilt books in the stored ones' place.")
@json_option
def rebuild(folder: Path, *, write: bool, as_json: bool) -> int:
    """Make the books again from the log and compare; the hub must be down. 由日志重建账目。

    Exit codes: 0 nothing differed; 1 something did (with --write it is put right where the log gives it).
    """
    from hub.rebuild import rebuild as remake

    made = remake(opened_home(folder), write=write)
    result = made.to_json()
    lines = [f"{key}: {value}" for key, value in result.items() if key != "differences"]
    print_result(result, as_json=as_json, lines=[*lines, *(f"  ! {one}" for one in made.differences)])
    return 1 if made.differences else 0


def _store(dsn_file: str | None, dsn_variable: str | None) -> StoreSettings:
    from hub.configuration import StoreSettings
    from protos.problems import Malformed
    from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID

    if dsn_file and dsn_variable:
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            "The store's connection string was given two places.",
            remedy="Give --store-dsn-file or --store-dsn-variable.",
        )
    kind: Literal["sqlite", "postgresql"] = "postgresql" if dsn_file or dsn_variable else "sqlite"
    return StoreSettings(kind=kind, dsn_file=dsn_file, dsn_variable=dsn_variable)


def _client(opened: Opened) -> OperatorClient:
    from hub.operator_client import OperatorClient

    return OperatorClient(opened)


def _named_keys(texts: Sequence[str]) -> Mapping[str, VerifyKey]:
    """Read NAME=FILE options."""
    from privacy.keys import VerifyKey, checked_id, decode_public
    from protos.problems import Malformed
    from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID
    from runtime.configuration import read_bounded

    found: dict[str, VerifyKey] = {}
    for text in texts:
        name, _, path = text.partition("=")
        if not path or name in found:
            raise Malformed(
                REASON_CONFIGURATION_INVALID,
                "A key is given as NAME=FILE, each name once.",
                remedy=f"Not {text}.",
            )
        public = decode_public(read_bounded(Path(path), 1024)).public
        found[checked_id(name, "A key's name")] = VerifyKey(public, name=name)
    return found


def _close(
    client: OperatorClient, epoch: Epoch, wait_seconds: int, *, allow_missing: bool
) -> hub_pb2.CloseEpochResponse:
    """Ask until the epoch closes; each new reason to wait is told."""
    from protos.problems import Refused
    from protos.v1.problem_pb2 import REASON_EPOCH_NOT_READY

    deadline = time.monotonic() + wait_seconds
    told = ""
    while True:
        try:
            return client.close(epoch, allow_missing=allow_missing)
        except Refused as problem:
            if problem.reason != REASON_EPOCH_NOT_READY or time.monotonic() >= deadline:
                raise
            if problem.message != told:
                told = problem.message
                seconds = int(deadline - time.monotonic())
                click.echo(f"waiting up to {seconds} s more: {told}", err=True)
        time.sleep(CLOSE_POLL_SECONDS)


def _described_close(data: bytes, epoch: str) -> dict[str, Any]:
    from privacy import envelope
    from protos.v1 import books_pb2

    close = envelope.open_envelope(data).parse(books_pb2.EpochClose)
    return {
        "epoch": epoch,
        "log_size": close.log_size,
        "accounts": close.accounts,
        "accounts_in_two_or_more": close.accounts_in_two_or_more,
        "accounts_root": close.accounts_root.hex(),
        "total_mg": close.total_mg,
        "missing": list(close.missing),
    }


def _utc(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _epoch_text(epoch: int) -> str:
    from protos.epochs import checked_epoch, format_epoch

    return format_epoch(checked_epoch(epoch))


COMMANDS: Mapping[str, click.Command] = {
    command.name: command
    for command in (
        init,
        serve,
        invite,
        close,
        status,
        beacon,
        export,
        erase,
        rebuild,
        doctor,
    )
    if command.name
}
