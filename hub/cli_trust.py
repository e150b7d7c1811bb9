"""Commands for the trust root: keys, proposals, signatures, publication, and the log's next key."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub.cli_options import DOCUMENT_BYTES_MAX, file_argument, home_option, opened_home
from runtime.console import CommandGroup, json_option, print_result

if TYPE_CHECKING:
    from hub.setup import Opened
    from hub.trust_documents import Genesis
    from privacy.trust import TrustRoot
    from privacy.witness_policy import WitnessPolicy


@click.group(cls=CommandGroup)
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
@home_option
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
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Write the proposal here.")
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

    opened = opened_home(folder)
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
@file_argument
@click.option("--key", "key_file", type=click.Path(path_type=Path), help="Signer's private key. 签名者私钥。")
@json_option
def sign(file: Path, key_file: Path | None, *, as_json: bool) -> None:
    """Add a signature to FILE and show what it says; without --key only show it. 签署或查看信任根。"""
    from hub.setup import read_signing_key
    from hub.trust_documents import add_signature
    from privacy.trust import describe
    from runtime.configuration import read_bounded, write_atomic

    proposal = read_bounded(file, DOCUMENT_BYTES_MAX)
    described = describe(proposal)
    if key_file is not None:
        proposal = add_signature(proposal, read_signing_key(key_file))
        described = describe(proposal)
        write_atomic(file, proposal)
    print_result({"file": str(file), **_described(described, proposal)}, as_json=as_json)


@trust.command(name="publish")
@home_option
@file_argument
@json_option
def publish_trust(folder: Path, file: Path, *, as_json: bool) -> None:
    """Put a signed trust root into the log; its fingerprint is what people hand over. 发布信任根。"""
    from hub.operator_client import publish_document
    from privacy.trust import describe
    from runtime.configuration import read_bounded

    data = read_bounded(file, DOCUMENT_BYTES_MAX)
    index = publish_document(opened_home(folder), data)
    print_result({"index": index, **_described(describe(data), data)}, as_json=as_json)


@trust.command()
@home_option
@file_argument
@json_option
def succeed(folder: Path, file: Path, *, as_json: bool) -> None:
    """Go on with the log under the key and origin of FILE; the hub is down. 启用新日志密钥。"""
    from hub.succession import succeed as take_over
    from runtime.configuration import read_bounded

    root = take_over(opened_home(folder), read_bounded(file, DOCUMENT_BYTES_MAX))
    result = {"origin": root.origin, "log_vkey": str(root.log_vkey), "version": root.version}
    print_result(result, as_json=as_json)


@trust.command()
@home_option
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

    opened = opened_home(folder)
    first, latest = first_trust_root(opened), latest_trust_root(opened)
    if first is None or latest is None:
        raise Unavailable(
            REASON_NOT_FOUND, "The log holds no trust root yet.", remedy="cgsp-hub trust publish."
        )
    if out is not None:
        write_atomic(out, first)
    result = {"first_fingerprint": fingerprint(first).hex(), **_described(describe(latest), latest)}
    print_result(result, as_json=as_json)


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


COMMANDS: Mapping[str, click.Command] = {"trust": trust}
