"""Commands for what the policy's signers sign: packs and policies."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub.cli_options import DOCUMENT_BYTES_MAX, file_argument, home_option, opened_home
from runtime.console import CommandGroup, json_option, print_result

if TYPE_CHECKING:
    from accounting.packs import Pack
    from privacy.keys import SigningKey
    from privacy.policy import Policy

_keys_option = click.option(
    "--key",
    "key_files",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Repeat for t of n.",
)


@click.group(cls=CommandGroup)
def pack() -> None:
    """Methodology packs. 方法学包。"""


@pack.command(name="publish")
@home_option
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@_keys_option
@json_option
def publish_packs(folder: Path, folders: Sequence[Path], key_files: Sequence[Path], *, as_json: bool) -> None:
    """Check packs with their own vectors, sign them and put them into the log. 发布方法学包。"""
    from accounting.compiler import compile_pack
    from hub.operator_client import publish_document
    from privacy import codec, envelope
    from privacy.envelope import Kind
    from protos.v1 import policy_pb2
    from runtime.pack_files import load_pack

    opened = opened_home(folder)
    signing = _signing_keys(key_files)
    packs = [load_pack(one) for one in folders]
    results: list[dict[str, Any]] = []
    for one in packs:
        compile_pack(one)
        body = one.canonical_bytes()
        record = policy_pb2.PackRecord(
            origin=opened.settings.origin, id=one.id, version=one.version, sha256=one.sha256, size=len(body)
        )
        index = publish_document(opened, envelope.sign(codec.encode(record), Kind.PACK, signing), [body])
        results.append({"id": one.id, "version": one.version, "sha256": one.sha256.hex(), "index": index})
    lines = [f"{one['id']}@{one['version']}  entry {one['index']}  {one['sha256']}" for one in results]
    print_result({"packs": results}, as_json=as_json, lines=lines)


@click.group(cls=CommandGroup)
def policy() -> None:
    """Release policies. 发布策略。"""


@policy.command(name="publish")
@home_option
@file_argument
@_keys_option
@json_option
def publish_policy(folder: Path, file: Path, key_files: Sequence[Path], *, as_json: bool) -> None:
    """Compute reaches, sign a policy and put it into the log; prints its whole cost. 发布策略。"""
    from hub import limits, policies
    from hub.lookup import logged_packs
    from hub.operator_client import publish_document
    from privacy import codec, envelope
    from privacy.envelope import Kind
    from privacy.policy_reading import read_policy
    from runtime.configuration import read_bounded

    opened = opened_home(folder)
    signing = _signing_keys(key_files)
    written = policies.parse_policy_file(read_bounded(file, DOCUMENT_BYTES_MAX), str(file))
    found: Sequence[Pack] = logged_packs(opened)
    message = policies.build_policy(written, found, origin=opened.settings.origin, issued_at=int(time.time()))
    data = envelope.sign(codec.encode(message), Kind.POLICY, signing)
    checked = read_policy(message, envelope.envelope_hash(data))
    limits.require(limits.judge(checked))
    index = publish_document(opened, data)
    result = {"index": index, "id": checked.id, "version": checked.version, **_whole_cost(checked)}
    print_result(result, as_json=as_json, lines=_cost_lines(checked, result))


@policy.command(name="simulate")
@file_argument
@click.option(
    "--packs",
    "packs_folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of packs; the installed ones by default. 方法学目录。",
)
@json_option
def simulate_policy(file: Path, packs_folder: Path | None, *, as_json: bool) -> int:
    """Show what a policy's noise does to accounts, before it is signed. 策略模拟。

    By type of participant: error over the years, share who can spend and when, clamp losses; what an idle
    account takes at best. Exit code 1 if the policy is beyond its own limits.
    """
    import importlib.resources

    from hub import limits, policies
    from privacy.policy_reading import read_policy
    from runtime.configuration import read_bounded
    from runtime.pack_files import load_packs

    written = policies.parse_policy_file(read_bounded(file, DOCUMENT_BYTES_MAX), str(file))
    found = load_packs(packs_folder or Path(str(importlib.resources.files("packs"))))
    message = policies.build_policy(
        written, found, origin="simulation.invalid/log", issued_at=int(time.time())
    )
    judged = limits.judge(read_policy(message, bytes(32)))
    print_result(judged.to_json(), as_json=as_json, lines=judged.lines())
    return 1 if judged.beyond else 0


def _signing_keys(files: Sequence[Path]) -> list[SigningKey]:
    from hub.setup import read_signing_key

    return [read_signing_key(file) for file in files]


def _whole_cost(policy: Policy) -> dict[str, Any]:
    """State what one epoch's releases cost a person at each enterprise, and at all of them together."""
    from privacy.charges import cost_table
    from protos.epochs import days_in

    costs = cost_table(policy, days_in(policy.first_epoch))
    ids = [one.enterprise_id for one in policy.enterprises]
    series = {
        one: [
            {
                "series": item.name,
                "reach": item.claim.reach,
                "scale": item.claim.scale,
                "epsilon": str(item.claim.epsilon),
            }
            for item in policy.series(one)
        ]
        for one in ids
    }
    return {"whole_cost": {name: cost.to_json() for name, cost in costs.items()}, "series": series}


def _cost_lines(policy: Policy, result: Mapping[str, Any]) -> list[str]:
    from privacy.charges import cost_table
    from protos.epochs import days_in

    lines = [f"policy {result['id']} version {result['version']}: entry {result['index']}"]
    for enterprise, series in result["series"].items():
        lines += [
            f"  {enterprise:20} {one['series']:44} reach {one['reach']:>9}  scale {one['scale']:>9}  "
            f"epsilon {one['epsilon']}"
            for one in series
        ]
    lines.append("whole cost of an epoch (epsilon) 总隐私成本:")
    costs = cost_table(policy, days_in(policy.first_epoch))
    return [*lines, *(f"  {name:20} {cost.line()}" for name, cost in costs.items())]


COMMANDS: Mapping[str, click.Command] = {"pack": pack, "policy": policy}
