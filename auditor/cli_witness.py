"""Commands of a witness: make it, serve, cosign once, show what it has seen."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtime.console import CommandGroup, json_option, print_result

if TYPE_CHECKING:
    from auditor.witness_home import WitnessHome
    from privacy.checkpoint import Vkey

_home_option = click.option(
    "--home", type=click.Path(path_type=Path), required=True, help="The witness's folder. 见证方目录。"
)
_trust_root_option = click.option(
    "--trust-root",
    "trust_roots",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="First trust root of a log to follow; repeat. 要见证的日志之信任根。",
)


@click.group(cls=CommandGroup)
def witness() -> None:
    """Cosign logs that only grow. 见证日志只增不改。"""


@witness.command()
@_home_option
@click.option("--name", required=True, help="Such as witness.example/w1; goes into trust roots.")
@json_option
def init(home: Path, name: str, *, as_json: bool) -> None:
    """Make a witness: its key and name. 初始化见证方。"""
    from auditor.witness_home import init_witness

    print_result(_described(init_witness(home, name)), as_json=as_json)


@witness.command()
@_home_option
@_trust_root_option
@click.option("--log", "vkeys", multiple=True, metavar="VKEY", help="Verifier key of a log; repeat.")
@click.option("--listen", default="127.0.0.1:0", show_default=True, help="host:port.")
@click.option("--certificate", type=click.Path(path_type=Path, exists=True), help="PEM; without it HTTP.")
@click.option("--key", type=click.Path(path_type=Path, exists=True), help="PEM of the certificate's key.")
@json_option
def serve(
    home: Path,
    trust_roots: Sequence[Path],
    vkeys: Sequence[str],
    listen: str,
    certificate: Path | None,
    key: Path | None,
    *,
    as_json: bool,
) -> None:
    """Answer add-checkpoint until SIGTERM (c2sp.org/tlog-witness). 运行见证服务。"""
    import time

    from auditor.witness import Witness
    from auditor.witness_home import WitnessHome
    from auditor.witness_server import WitnessServer
    from privacy.checkpoint import parse_vkey
    from runtime.logs import configure_logs
    from runtime.stopping import stop_event

    configure_logs("witness", level="INFO", form="json")
    opened = WitnessHome(home)
    for vkey in [*map(_log_key, trust_roots), *map(parse_vkey, vkeys)]:
        opened.follow(vkey)
    stop = stop_event()
    server = WitnessServer(
        Witness(opened, clock=lambda: int(time.time())), listen, certificate=certificate, key=key
    )
    server.start()
    print_result({"address": server.address, **_described(opened)}, as_json=as_json)
    sys.stdout.flush()
    stop.wait()
    server.stop()


@witness.command()
@click.argument("source")
@_home_option
@click.option(
    "--trust-root",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="The log's first trust root, handed over out of band. 线下取得的信任根。",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write the cosigned checkpoint here.")
@json_option
def once(source: str, home: Path, trust_root: Path, out: Path | None, *, as_json: bool) -> None:
    """Fetch SOURCE (a hub's https address or a folder) by its tiles and cosign its growth. 见证一次。"""
    import time

    from auditor.app import open_log
    from auditor.witness import Witness, visit
    from auditor.witness_home import WitnessHome
    from privacy.checkpoint import append_lines
    from runtime.files import write_atomic

    opened = WitnessHome(home)
    with open_log(source, trust_root) as (reader, root):
        seen = visit(opened, Witness(opened, clock=lambda: int(time.time())), reader, root)
    if out is not None:
        write_atomic(out, append_lines(opened.cosigned_note(seen.origin), seen.lines))
    result = {"origin": seen.origin, "before": seen.before, "size": seen.size}
    print_result({**result, "lines": seen.lines.decode().splitlines()}, as_json=as_json)


@witness.command()
@_home_option
@json_option
def show(home: Path, *, as_json: bool) -> None:
    """Show verifier keys, logs followed and evidence kept. 查看见证方。"""
    from auditor.witness_home import WitnessHome

    print_result(_described(WitnessHome(home)), as_json=as_json)


def _log_key(trust_root: Path) -> Vkey:
    from privacy.envelope import ENTRY_BYTES_MAX
    from privacy.trust import verify_first
    from runtime.files import read_bounded

    return verify_first(read_bounded(trust_root, ENTRY_BYTES_MAX)).log_vkey


def _described(home: WitnessHome) -> dict[str, Any]:
    return {
        "name": home.keys.name,
        "vkeys": [str(vkey) for vkey in home.keys.vkeys],
        "logs": {origin: home.cosigned(origin).size for origin in home.logs()},
        "evidence": [str(path) for path in home.evidence()],
    }
