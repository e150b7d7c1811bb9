"""The program cgsp-custodian; a command imports what it needs when it runs, so that help stays quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from custodian.cli_ceremony import ceremony
from runtime.console import CommandGroup, json_option, log_options, print_result

_home_option = click.option(
    "--home",
    "folder",
    type=click.Path(path_type=Path),
    required=True,
    help="The custodian's folder. 托管方目录。",
)
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(cls=CommandGroup, name="cgsp-custodian")
@click.version_option(package_name="cgsp-gateway")
def custodian(**_: Any) -> None:
    """Hold a share of the pseudonym key. 假名密钥托管方。"""


@custodian.command()
@_home_option
@click.option("--token", required=True, help="What cgsp-hub invite printed. 接入令牌。")
@click.option("--listen", default="127.0.0.1:0", show_default=True, help="Port 0: choose a free one once.")
@json_option
def init(folder: Path, token: str, listen: str, *, as_json: bool) -> None:
    """Make keys and join the hub; again with a new token, renew the certificate. 初始化并接入。"""
    from custodian.setup import init_home

    opened = init_home(folder, token, listen=listen)
    result = {
        "id": opened.settings.id,
        "origin": opened.settings.origin,
        "listen": opened.settings.listen,
        "public": str(opened.home.public),
        "keyid": opened.home.signing_key().keyid,
        "certificate_until": opened.identity().not_after.isoformat(),
    }
    print_result(result, as_json=as_json)


@custodian.command("import-share")
@_home_option
@click.argument("share_file", type=_file, metavar="FILE")
@click.option("--trust-root", type=_file, help="The first trust root, where none is pinned. 首个信任根文件。")
@click.option("--passphrase-file", default="", help="Seal the share under this file's content.")
@json_option
def import_share(
    folder: Path, share_file: Path, trust_root: Path | None, passphrase_file: str, *, as_json: bool
) -> None:
    """Take a share and pin the trust root; a later share waits until that names it. 导入密钥份额。"""
    from custodian.setup import import_share as imported

    share, root = imported(folder, share_file, trust_root, passphrase_file=passphrase_file)
    result = {
        "key_id": share.key_id.hex(),
        "index": share.share.index,
        "threshold": share.key.threshold,
        "origin": root.origin,
        "trust_root": root.envelope_hash.hex(),
    }
    print_result(result, as_json=as_json)


@custodian.command()
@_home_option
@log_options
@json_option
def serve(folder: Path, log_form: Any, log_level: str, *, as_json: bool) -> None:
    """Serve until SIGTERM, then finish what runs. 运行服务。"""
    from custodian.app import Custodian
    from custodian.setup import Opened
    from runtime.logs import configure_logs
    from runtime.stopping import stop_event

    configure_logs("custodian", level=log_level, form=log_form)
    stop = stop_event()
    with Custodian(Opened.load(folder), on_broken=stop.set) as running:
        print_result({"address": running.address, "waiting_for": running.waiting_for()}, as_json=as_json)
        sys.stdout.flush()
        stop.wait()
    running.raise_broken()


@custodian.command()
@_home_option
@json_option
def status(folder: Path, *, as_json: bool) -> None:
    """Show share, trust root, quotas and counts. 查看状态。"""
    from custodian.status import describe

    print_result(describe(folder), as_json=as_json)


@custodian.command()
@_home_option
@json_option
def doctor(folder: Path, *, as_json: bool) -> int:
    """Check home, share, certificate and log; exit 0 if all is well. 自检。"""
    from custodian.doctor import examine
    from runtime.checks import print_checks

    return print_checks(examine(folder), as_json=as_json)


custodian.add_command(ceremony)


def main() -> None:
    """Run the program."""
    from runtime.programs import run_cli

    run_cli(custodian)
