"""Commands towards the outside: join, enrol, preview, release, submit, recover, run, egress."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtime.console import json_option, print_result

if TYPE_CHECKING:
    from enterprise_node.app import App
    from protos.epochs import Epoch

RELEASE_LOCK = "release.lock"

HOME = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    show_default=True,
    help="Folder with node.toml. 节点目录。",
)


def _parsed_epoch(context: click.Context, parameter: click.Parameter, value: str) -> Epoch:
    from protos.epochs import parse_epoch

    return parse_epoch(value)


def _parsed_epochs(context: click.Context, parameter: click.Parameter, value: str) -> list[Epoch]:
    from protos.epochs import parse_epoch

    return sorted({parse_epoch(text.strip()) for text in value.split(",")})


EPOCH = click.argument("epoch", callback=_parsed_epoch)


@contextmanager
def _opened(home: Path, *, as_json: bool) -> Iterator[App]:
    """Open the app of a home, telling on standard error what it does."""
    from enterprise_node.app import open_app
    from enterprise_node.pipeline import Course
    from runtime.logs import configure_logs

    configure_logs("node", level="WARNING", form="json" if as_json else "human")
    app = open_app(home, Course(tell=_teller()))
    try:
        yield app
    finally:
        app.close()


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Keep other processes from enrolling or releasing with the same home meanwhile."""
    from enterprise_node.exclusive import exclusive

    with exclusive(home / RELEASE_LOCK, "enrolling or releasing"):
        yield


def _teller() -> Callable[[str], None]:
    """Give what writes progress lines."""

    def tell(text: str) -> None:
        click.echo(f"… {text}", err=True)
        sys.stderr.flush()

    return tell


@click.command("join")
@click.argument("token")
@click.option(
    "--trust-root",
    "trust_root_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The first trust root, where the token carries no fingerprint of it. 首个信任根文件。",
)
@HOME
@json_option
def join(token: str, trust_root_file: Path | None, home: Path, as_json: bool) -> None:
    """Join the hub that a token invites to. 加入平台。"""
    from enterprise_node import membership
    from enterprise_node.app import open_state
    from enterprise_node.assembly import open_journal
    from enterprise_node.configuration import load_configuration
    from enterprise_node.outbox import send_join
    from privacy.envelope import ENTRY_BYTES_MAX
    from runtime.configuration import open_home
    from runtime.files import read_bounded
    from runtime.joining import JoinToken

    home = open_home(home)
    configuration = load_configuration(home)
    parsed = JoinToken.decode(token)
    membership.check_token(parsed, configuration.enterprise_id)
    given = read_bounded(trust_root_file, ENTRY_BYTES_MAX) if trust_root_file else None
    key = membership.open_signing_key(home, configuration.enterprise_id)
    database = open_state(home)
    try:
        joined = send_join(open_journal(database), parsed, key, configuration.service.listen_grpc)
    finally:
        database.close()
    membership.keep(home, parsed, joined, given)
    print_result(
        {
            "enterprise_id": parsed.id,
            "origin": joined.origin,
            "hub": joined.grpc_address,
            "public_key": key.verify_key.public.hex(),
            "certificate_until": joined.identity.not_after.isoformat(),
        },
        as_json=as_json,
    )


@click.command("enrol")
@click.option("--effective", "epoch", required=True, callback=_parsed_epoch, help="First epoch. 生效周期。")
@click.option(
    "--rotate", "is_rotation", is_flag=True, help="The pseudonym key was replaced. 假名密钥已轮换。"
)
@HOME
@json_option
def enrol(epoch: Epoch, is_rotation: bool, home: Path, as_json: bool) -> None:
    """Give new persons slots, end those of ended consents. 登记新用户，注销退出者。"""
    with _opened(home, as_json=as_json) as app, _alone(home):
        done = app.pipeline.rotate(epoch) if is_rotation else app.pipeline.enrol(epoch)
        print_result(asdict(done), as_json=as_json)


@click.command("preview")
@EPOCH
@HOME
@json_option
def preview(epoch: Epoch, home: Path, as_json: bool) -> None:
    """Show what releasing an epoch would say and cost. 发布预览。"""
    with _opened(home, as_json=as_json) as app, _alone(home):
        shown = app.pipeline.preview(epoch)
        print_result(shown.to_json(), as_json=as_json, lines=shown.lines())


@click.command("release")
@EPOCH
@HOME
@json_option
def release(epoch: Epoch, home: Path, as_json: bool) -> None:
    """Reserve the charge, log it, draw the noise and keep the release. 生成发布。"""
    with _opened(home, as_json=as_json) as app, _alone(home):
        app.pipeline.release(epoch)
        print_result(_figures(app), as_json=as_json)


@click.command("submit")
@HOME
@json_option
def submit(home: Path, as_json: bool) -> None:
    """Send every kept message and wait for the log to show it. 提交。"""
    from enterprise_node.overview import overview

    with _opened(home, as_json=as_json) as app, _alone(home):
        app.pipeline.settle()
        for one in overview(app.workspace.database).epochs:
            app.pipeline.submit(one.epoch)
        print_result(_figures(app), as_json=as_json)


@click.command("recover")
@HOME
@json_option
def recover(home: Path, as_json: bool) -> None:
    """Take this node's own messages, charges and roster back from the log. 从日志恢复。

    For a state restored from a copy, lost while the keys were kept, or overtaken by a twin (stop it first).
    """
    with _opened(home, as_json=as_json) as app, _alone(home):
        app.pipeline.ingest()
        recovered = app.recovery.recover()
    with _opened(home, as_json=as_json) as app, _alone(home):
        app.pipeline.settle()
        print_result(asdict(recovered), as_json=as_json)


@click.command("run")
@click.option("--epochs", required=True, callback=_parsed_epochs, help="As 2020-12,2021-01. 周期列表。")
@click.option("--once", is_flag=True, help="End when all of them are in the log. 完成后退出。")
@HOME
@json_option
def run(epochs: list[Epoch], once: bool, home: Path, as_json: bool) -> None:
    """Read, enrol, release and submit; go on where a run was stopped. 运行节点。"""
    from enterprise_node.serving import serving
    from runtime.stopping import stop_event

    with _opened(home, as_json=as_json) as app, serving(app):
        stop = None if once else stop_event()
        with _alone(home):
            app.pipeline.run(epochs)
        print_result(_figures(app), as_json=as_json)
        if stop is not None:
            stop.wait()


@click.command("egress")
@HOME
@json_option
def egress(home: Path, as_json: bool) -> None:
    """Show everything that left this node. 出境日志。"""
    from enterprise_node.app import open_state
    from enterprise_node.assembly import open_journal
    from runtime.configuration import open_home

    database = open_state(open_home(home))
    try:
        journal = open_journal(database)
        entries = journal.entries()
        total = journal.bytes_total()
    finally:
        database.close()
    rows = [
        {
            "number": entry.number,
            "time": entry.time,
            "destination": entry.destination,
            "kind": entry.kind,
            "bytes": entry.size,
            "sha256": entry.sha256.hex(),
            "envelope_hash": entry.envelope_hash.hex(),
            "chain": entry.chain.hex(),
        }
        for entry in entries
    ]
    by_kind: dict[str, dict[str, int]] = {}
    for entry in entries:
        figures = by_kind.setdefault(entry.kind, {"count": 0, "bytes": 0})
        figures["count"] += 1
        figures["bytes"] += entry.size
    value = {"entries": rows, "by_kind": by_kind, "bytes_total": total, "chain": "holds"}
    print_result(value, as_json=as_json, lines=_egress_lines(rows, total))


@click.command("deposit")
@EPOCH
@click.option("--witness", "url", required=True, help="The witness's http or https address. 见证方地址。")
@HOME
@json_option
def deposit(epoch: Epoch, url: str, home: Path, as_json: bool) -> None:
    """Have a witness date the answers signed for EPOCH, should the hub not take them. 向见证方存证。

    Only hashes leave. What the witness signs is kept in the folder deposits, for `cgsp-audit verify`.
    """
    from enterprise_node.deposits import FOLDER
    from enterprise_node.deposits import deposit as deposit_answers
    from enterprise_node.outbox import send_deposit
    from enterprise_node.store.outbox import OutboxTable
    from privacy.deadlines import moment

    with _opened(home, as_json=as_json) as app:
        kept = deposit_answers(
            OutboxTable(app.workspace.database),
            epoch,
            app.workspace.home / FOLDER,
            app.pipeline.following.trust.witness_vkeys,
            app.membership.origin,
            lambda origin, envelope_hash: send_deposit(app.journal, url, origin, envelope_hash),
        )
    rows = [
        {"kind": one.message.kind, "witness": one.deposit.witness, "at": moment(one.deposit.deposited_at)}
        for one in kept
    ]
    lines = [f"{one['kind']}: seen by 见证于 {one['witness']}, {one['at']}" for one in rows]
    print_result({"deposits": rows}, as_json=as_json, lines=lines)


def _egress_lines(rows: list[dict[str, Any]], total: int) -> Iterator[str]:
    for row in rows:
        time = datetime.datetime.fromtimestamp(row["time"], datetime.UTC).isoformat()
        yield (
            f"{row['number']:>6} {time} {row['kind']:<18} {row['bytes']:>12} B "
            f"{row['sha256'][:16]} → {row['destination']}"
        )
    yield f"{len(rows)} rows 行, {total} bytes 字节; the chain holds 链完整"


def _figures(app: App) -> dict[str, Any]:
    from enterprise_node.overview import overview

    return {"enterprise_id": app.membership.enterprise_id} | overview(app.workspace.database).to_json()


COMMANDS: dict[str, click.Command] = {
    command.name or "": command
    for command in (join, enrol, preview, release, submit, recover, run, egress, deposit)
}
