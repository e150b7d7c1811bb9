"""Commands for what the signers sign: trust roots, packs and policies."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtime.console import json_option, print_result

if TYPE_CHECKING:
    from accounting.packs import Pack
    from hub.setup import Opened
    from hub.trust_documents import Genesis
    from privacy.keys import SigningKey
    from privacy.policy import Policy
    from privacy.trust import TrustRoot
    from privacy.witness_policy import WitnessPolicy

DOCUMENT_BYTES_MAX = 65_535

_home_option = click.option(
    "--home",
    "folder",
    type=click.Path(path_type=Path),
    required=True,
    help="The hub's folder. 中心节点目录。",
)
_keys_option = click.option(
    "--key",
    "key_files",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Repeat for t of n.",
)
_file_argument = click.argument("file", type=click.Path(path_type=Path))


@click.group()
def trust() -> None:
    """Keys and versions of the trust root. 信任根。"""


@trust.command()
@click.argument("name")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Private key file; FILE.pub beside it."
)
@json_option
def keygen(name: str, out: Path, *, as_json: bool) -> None:
    """Make a signing key called NAME. 生成签名密钥。"""
    from hub.setup import make_key

    key = make_key(name, out)
    result = {"name": name, "private": str(out), "public": f"{out}.pub", "keyid": key.keyid}
    print_result(result, as_json=as_json)


@trust.command()
@_home_option
@click.option("--pseudonym-key", type=click.Path(path_type=Path), help="pseudonym-key.json of the ceremony.")
@click.option("--beacon-key", type=click.Path(path_type=Path), help="beacon-key.json of the ceremony.")
@click.option(
    "--witnesses",
    type=click.Path(path_type=Path),
    help="Policy file (c2sp.org/tlog-policy); kept in the home, where the hub learns whom to ask.",
)
@click.option(
    "--quota",
    "quotas",
    multiple=True,
    metavar="ID=N",
    help="Another quota for an enterprise; repeat. 调整配额。",
)
@click.option(
    "--replace-log-key",
    "next_origin",
    metavar="ORIGIN",
    help="Another key goes on with the log under ORIGIN, which must be new. 更换日志密钥。",
)
@click.option("--remove", multiple=True, metavar="ID", help="An enterprise or auditor, for good. 撤销注册。")
@click.option("--readmit", multiple=True, metavar="ID", help="Somebody removed before. 重新接纳。")
@click.option("--suspend", multiple=True, metavar="ID", help="Take nothing more from it; repeat. 暂停企业。")
@click.option("--resume", multiple=True, metavar="ID", help="Take from it again; repeat. 恢复企业。")
@click.option("--out", type=click.Path(path_type=Path), required=True)
@json_option
def propose(
    folder: Path,
    pseudonym_key: Path | None,
    beacon_key: Path | None,
    witnesses: Path | None,
    quotas: Sequence[str],
    next_origin: str | None,
    remove: Sequence[str],
    readmit: Sequence[str],
    suspend: Sequence[str],
    resume: Sequence[str],
    out: Path,
    *,
    as_json: bool,
) -> None:
    """Write the next trust root, unsigned, with everybody who has joined. 提出信任根。"""
    from hub import trust_documents
    from hub.lookup import trust_roots
    from hub.operator_client import OperatorClient
    from hub.removals import admitted
    from privacy.trust import describe
    from runtime.configuration import read_bounded, write_atomic

    opened = _opened(folder)
    with OperatorClient(opened) as client:
        parties = client.list_parties()
    keys = [
        trust_documents.parse_shared_key(read_bounded(file, DOCUMENT_BYTES_MAX)) if file else None
        for file in (pseudonym_key, beacon_key)
    ]
    policy = _witness_policy(opened, witnesses) if witnesses is not None else None
    genesis, checkpoint = opened.genesis, b""
    if next_origin is not None:
        genesis, checkpoint = _replacing(opened, next_origin)
    history = trust_roots(opened)
    proposal = trust_documents.propose(
        genesis,
        admitted(parties, history, readmit),
        previous=history[-1] if history else None,
        pseudonym_key=keys[0],
        beacon_key=keys[1],
        issued_at=int(time.time()),
        witnesses=policy,
        quotas=_quotas(quotas),
        predecessor_checkpoint=checkpoint,
        suspensions={**dict.fromkeys(suspend, True), **dict.fromkeys(resume, False)},
        removed=remove,
    )
    described = _described(describe(proposal), proposal)
    write_atomic(out, proposal)
    print_result({"file": str(out), **described}, as_json=as_json)


def _replacing(opened: Opened, origin: str) -> tuple[Genesis, bytes]:
    """Give what the next log key makes of the home, and the checkpoint the log goes on from."""
    from dataclasses import replace

    from hub.log import CHECKPOINT_FILE
    from hub.succession import next_vkeys
    from privacy.checkpoint import NOTE_BYTES_MAX
    from runtime.configuration import read_bounded

    vkey, subtree = next_vkeys(opened.home, origin)
    genesis = replace(opened.genesis, origin=origin, log_vkey=vkey, log_subtree_vkey=subtree)
    return genesis, read_bounded(opened.home.folder / CHECKPOINT_FILE, NOTE_BYTES_MAX)


def _quotas(texts: Sequence[str]) -> dict[str, int]:
    """Read ID=N."""
    parts = [text.partition("=") for text in texts]
    if not all(name and number.isdecimal() for name, _, number in parts):
        raise click.BadParameter("write ID=N, a whole number of persons.", param_hint="--quota")
    return {name: int(number) for name, _, number in parts}


def _witness_policy(opened: Opened, file: Path) -> WitnessPolicy:
    """Read a witness policy and keep it where the hub looks for addresses."""
    from hub.witnesses import POLICY_FILE
    from privacy.witness_policy import POLICY_BYTES_MAX, parse_policy
    from runtime.configuration import read_bounded, write_atomic

    data = read_bounded(file, POLICY_BYTES_MAX)
    policy = parse_policy(data)
    write_atomic(opened.home.folder / POLICY_FILE, data)
    return policy


@trust.command()
@_file_argument
@click.option("--key", "key_file", type=click.Path(path_type=Path), required=True)
@json_option
def sign(file: Path, key_file: Path, *, as_json: bool) -> None:
    """Add a signature to FILE after showing what it says. 签署信任根。"""
    from hub.setup import read_signing_key
    from hub.trust_documents import add_signature
    from privacy.trust import describe
    from runtime.configuration import read_bounded, write_atomic

    proposal = read_bounded(file, DOCUMENT_BYTES_MAX)
    describe(proposal)
    signed = add_signature(proposal, read_signing_key(key_file))
    write_atomic(file, signed)
    print_result({"file": str(file), **_described(describe(signed), signed)}, as_json=as_json)


@trust.command(name="publish")
@_home_option
@_file_argument
@json_option
def publish_trust(folder: Path, file: Path, *, as_json: bool) -> None:
    """Put a signed trust root into the log; its fingerprint is what people hand over. 发布信任根。"""
    from privacy.trust import describe
    from runtime.configuration import read_bounded

    data = read_bounded(file, DOCUMENT_BYTES_MAX)
    index = publish_document(_opened(folder), data)
    print_result({"index": index, **_described(describe(data), data)}, as_json=as_json)


@trust.command()
@_home_option
@_file_argument
@json_option
def succeed(folder: Path, file: Path, *, as_json: bool) -> None:
    """Go on with the log under the key and origin of FILE; the hub is down. 启用新日志密钥。"""
    from hub.succession import succeed as take_over
    from runtime.configuration import read_bounded

    root = take_over(_opened(folder), read_bounded(file, DOCUMENT_BYTES_MAX))
    result = {"origin": root.origin, "log_vkey": str(root.log_vkey), "version": root.version}
    print_result(result, as_json=as_json)


@trust.command()
@_home_option
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write the first trust root for those who pin it."
)
@json_option
def show(folder: Path, out: Path | None, *, as_json: bool) -> None:
    """Show the first trust root's fingerprint and the version in force. 查看信任根。"""
    from hub.lookup import first_trust_root, latest_trust_root
    from privacy.trust import describe, fingerprint
    from protos.problems import Unavailable
    from protos.v1.problem_pb2 import REASON_NOT_FOUND
    from runtime.configuration import write_atomic

    opened = _opened(folder)
    first, latest = first_trust_root(opened), latest_trust_root(opened)
    if first is None or latest is None:
        raise Unavailable(
            REASON_NOT_FOUND, "The log holds no trust root yet.", remedy="cgsp-hub trust publish."
        )
    if out is not None:
        write_atomic(out, first)
    result = {"first_fingerprint": fingerprint(first).hex(), **_described(describe(latest), latest)}
    print_result(result, as_json=as_json)


@click.group()
def pack() -> None:
    """Methodology packs. 方法学包。"""


@pack.command(name="publish")
@_home_option
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@_keys_option
@json_option
def publish_packs(folder: Path, folders: Sequence[Path], key_files: Sequence[Path], *, as_json: bool) -> None:
    """Check packs with their own vectors, sign them and put them into the log. 发布方法学包。"""
    from accounting.compiler import compile_pack
    from privacy import codec, envelope
    from privacy.envelope import Kind
    from protos.v1 import policy_pb2
    from runtime.pack_files import load_pack

    opened = _opened(folder)
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


@click.group()
def policy() -> None:
    """Release policies. 发布策略。"""


@policy.command(name="publish")
@_home_option
@_file_argument
@_keys_option
@json_option
def publish_policy(folder: Path, file: Path, key_files: Sequence[Path], *, as_json: bool) -> None:
    """Compute reaches, sign a policy and put it into the log; prints its whole cost. 发布策略。"""
    from hub import limits, policies
    from hub.lookup import logged_packs
    from privacy import codec, envelope
    from privacy import policy as policy_form
    from privacy.envelope import Kind
    from runtime.configuration import read_bounded

    opened = _opened(folder)
    signing = _signing_keys(key_files)
    written = policies.parse_policy_file(read_bounded(file, DOCUMENT_BYTES_MAX), str(file))
    found: Sequence[Pack] = logged_packs(opened)
    message = policies.build_policy(written, found, origin=opened.settings.origin, issued_at=int(time.time()))
    data = envelope.sign(codec.encode(message), Kind.POLICY, signing)
    checked = policy_form.from_wire(message, envelope.envelope_hash(data))
    limits.require(limits.judge(checked))
    index = publish_document(opened, data)
    result = {"index": index, "id": checked.id, "version": checked.version, **_whole_cost(checked)}
    print_result(result, as_json=as_json, lines=_cost_lines(checked, result))


@policy.command(name="simulate")
@_file_argument
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
    from privacy import policy as policy_form
    from runtime.configuration import read_bounded
    from runtime.pack_files import load_packs

    written = policies.parse_policy_file(read_bounded(file, DOCUMENT_BYTES_MAX), str(file))
    found = load_packs(packs_folder or Path(str(importlib.resources.files("packs"))))
    message = policies.build_policy(
        written, found, origin="simulation.invalid/log", issued_at=int(time.time())
    )
    judged = limits.judge(policy_form.from_wire(message, bytes(32)))
    print_result(judged.to_json(), as_json=as_json, lines=judged.lines())
    return 1 if judged.beyond else 0


def _opened(folder: Path) -> Opened:
    from hub.configuration import Home
    from hub.setup import Opened

    return Opened.load(Home(folder.absolute()))


def _signing_keys(files: Sequence[Path]) -> list[SigningKey]:
    from hub.setup import read_signing_key

    return [read_signing_key(file) for file in files]


def publish_document(opened: Opened, data: bytes, bodies: Sequence[bytes] = ()) -> int:
    """Send a document and check the receipt; give its index."""
    from hub.operator_client import OperatorClient
    from privacy.receipts import open_receipt

    with OperatorClient(opened) as client:
        receipt = client.publish(data, bodies)
    hub_key = opened.hub_key.verify_key
    return open_receipt(receipt, hub_key, origin=opened.settings.origin, entry=data).index


def _described(root: TrustRoot, data: bytes) -> dict[str, Any]:
    from privacy.envelope import read_unsigned
    from privacy.trust import fingerprint

    keyids = {signature.keyid for signature in read_unsigned(data).signatures}
    return {
        "version": root.version,
        "fingerprint": fingerprint(data).hex(),
        "signed_by": sorted(key.name for key in root.root_keys if key.keyid in keyids),
        "signatures_needed": root.root_threshold,
        "custodians": [one.id for one in root.custodians],
        "enterprises": [one.id for one in root.enterprises],
        "auditors": [one.id for one in root.auditors],
        "witness_quorum": root.witness_quorum,
    }


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


COMMANDS: Mapping[str, click.Command] = {"trust": trust, "pack": pack, "policy": policy}
