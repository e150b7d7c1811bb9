"""Commands around the hub's database: migrate it, copy it, make it again from a copy, prove its books."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from hub.cli_options import home_option, opened_home
from runtime.console import json_option, print_result


@click.command()
@home_option
@click.option("--dry-run", is_flag=True, help="Try every step, then take all back.")
@json_option
def migrate(folder: Path, *, dry_run: bool, as_json: bool) -> None:
    """Bring the database to the form this program needs; the hub must be down. 升级数据库。"""
    from hub.log import WriterLock
    from hub.store.migrate import migrate as bring

    home = opened_home(folder).home
    with WriterLock(home.lock):
        done = bring(home.database, dry_run=dry_run)
    said = "tried and taken back" if dry_run else "done"
    lines = [f"{done.before} -> {done.after}", *(f"  {step}: {said}" for step in done.steps)]
    print_result(done.to_json(), as_json=as_json, lines=lines)


@click.command()
@home_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
@json_option
def backup(folder: Path, out: Path, *, as_json: bool) -> None:
    """Copy the database as it is at one moment, also while the hub serves. 备份。"""
    from hub.backup import backup as copy_out

    manifest = copy_out(opened_home(folder), out)
    result = {
        "folder": str(out),
        "log_size": manifest.log_size,
        "log_root": manifest.log_root,
        "rows": sum(one.rows for one in manifest.tables.values()),
    }
    print_result(result, as_json=as_json)


@click.command()
@home_option
@click.argument("copy", type=click.Path(path_type=Path))
@json_option
def restore(folder: Path, copy: Path, *, as_json: bool) -> int:
    """Make the database again from a COPY and prove it against the log; the hub must be down. 恢复。

    Exit codes: 0 the books are those of the log; 1 some differ (rebuild --write puts them right).
    """
    from hub.backup import restore as bring_back

    manifest, made = bring_back(opened_home(folder), copy)
    result = {"log_size": manifest.log_size, "log_root": manifest.log_root, **made.to_json()}
    print_result(result, as_json=as_json)
    return 1 if made.differences else 0


@click.command()
@home_option
@json_option
def reconcile(folder: Path, *, as_json: bool) -> int:
    """Prove the books against each other in one pass, also while the hub serves. 对账。

    Exit codes: 0 everything adds up; 1 something does not.
    """
    from hub.reconcile import reconcile as prove
    from runtime.checks import print_checks

    return print_checks(prove(opened_home(folder)), as_json=as_json)


@click.command()
@home_option
@json_option
def scrub(folder: Path, *, as_json: bool) -> int:
    """Take erased bytes out of the database's files, also while the hub serves. 清除已删除的字节。

    On PostgreSQL the tables concerned are written anew, and nobody gets at them meanwhile.
    Exit codes: 0 done; 1 readers prevent it, ask again.
    """
    from hub.store.database import told
    from hub.store.dialects import scrub as take_out
    from hub.store.erasures import ERASED_TABLES

    with told():
        is_done = take_out(opened_home(folder).home.database, ERASED_TABLES)
    print_result({"scrubbed": is_done}, as_json=as_json)
    return 0 if is_done else 1


COMMANDS: Mapping[str, click.Command] = {
    command.name: command for command in (migrate, backup, restore, reconcile, scrub) if command.name
}
