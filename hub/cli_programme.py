"""Commands for programmes: check, simulate, sign and publish by two persons, show, withdraw."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub.cli_options import file_argument, home_option, opened_home
from runtime.console import CommandGroup, json_option, print_result

if TYPE_CHECKING:
    from accounting.programmes.programme import Programme
    from hub.setup import Opened
    from privacy.policy import Policy
    from protos.v1 import programme_pb2

CODES_BYTES_MAX = 16 << 20

_keys_option = click.option(
    "--key",
    "key_files",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A policy key; two distinct ones publish. 策略密钥，两把方可发布。",
)
_proposal_option = click.option(
    "--proposal",
    type=click.Path(path_type=Path),
    help="Envelope that one signs and another completes. 待复核的签名文件。",
)


@click.group(cls=CommandGroup)
def programme() -> None:
    """Incentive programmes. 激励方案。"""


@programme.command()
@click.argument("programme_id", metavar="ID")
@click.option("--first-epoch", "epoch_text", required=True, metavar="YYYY-MM", help="First month. 首个周期。")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file to write. 输出文件。")
@json_option
def new(programme_id: str, epoch_text: str, out: Path, *, as_json: bool) -> None:
    """Write a commented programme to begin with: one reward of each kind, a fund, a board. 新建方案模板。"""
    from accounting.programmes.parse import parse_programme
    from protos.epochs import parse_epoch
    from runtime.configuration import write_atomic
    from runtime.programme_files import new_programme

    if out.exists():
        raise click.BadParameter(f"{out} exists; it is not written over.", param_hint="--out")
    data = new_programme(programme_id, parse_epoch(epoch_text)).encode()
    found = parse_programme(data, str(out))
    write_atomic(out, data)
    lines = [f"{out}: edit it, then run cgsp-hub programme check {out}"]
    print_result({**_described(found), "out": str(out)}, as_json=as_json, lines=lines)


@programme.command()
@file_argument
@click.option("--home", "folder", type=click.Path(path_type=Path), help="Check against its policy too.")
@json_option
def check(file: Path, folder: Path | None, *, as_json: bool) -> None:
    """Read a programme strictly; with a home, hold its names against the policy in force. 检查方案。"""
    found = _read(file)
    warnings: list[str] = []
    if folder is not None:
        from hub.programmes import check_terms

        with _lines_of(file):
            warnings = check_terms(found, _policy_of(opened_home(folder), found))
    result = {**_described(found), "warnings": warnings}
    lines = [f"{found.id} version {found.version}: sha256 {found.sha256.hex()}", *warnings]
    print_result(result, as_json=as_json, lines=lines)


@programme.command()
@file_argument
@home_option
@click.option("--epoch", "epoch_text", required=True, metavar="YYYY-MM", help="A past epoch. 历史周期。")
@click.option(
    "--html", "html_file", type=click.Path(path_type=Path), help="Draw it into this file. 图表文件。"
)
@json_option
def simulate(file: Path, folder: Path, epoch_text: str, html_file: Path | None, *, as_json: bool) -> None:
    """Try a programme on a past epoch, and on five simulated years of each type of participant. 模拟。"""
    from hub.programme_outlook import NEVER_SHARE_MAX, lines, waits
    from hub.programme_trial import try_on
    from protos.epochs import parse_epoch

    found = _read(file)
    trial, policy = try_on(opened_home(folder), found, parse_epoch(epoch_text))
    outlook = waits(found, policy)
    warned = [one for one in outlook if one.is_too_long]
    if html_file is not None:
        from hub.outlook_page import outlook_page
        from runtime.configuration import write_atomic

        write_atomic(html_file, outlook_page(found, trial, outlook).encode())
    result = {
        **_described(found),
        "trial": trial.to_json(),
        "waits": [one.to_json() for one in outlook],
        "never_share_max": NEVER_SHARE_MAX,
        "warnings": len(warned),
    }
    print_result(result, as_json=as_json, lines=[*trial.lines(), *lines(outlook)])


@programme.command()
@file_argument
@home_option
@_keys_option
@_proposal_option
@json_option
def publish(
    file: Path, folder: Path, key_files: Sequence[Path], proposal: Path | None, *, as_json: bool
) -> None:
    """Sign a programme, and put it into the log once two policy keys have. 签署并发布方案。"""
    from hub.programmes import check_terms

    found, opened = _read(file), opened_home(folder)
    with _lines_of(file):
        check_terms(found, _policy_of(opened, found))
    record = _record(opened, found)
    result = _sign_and_publish(opened, record, [found.canonical_bytes()], key_files, proposal)
    print_result({**_described(found), **result}, as_json=as_json)


@programme.command()
@click.argument("programme_id", metavar="ID")
@home_option
@click.option("--from", "epoch_text", required=True, metavar="YYYY-MM", help="First epoch without it.")
@_keys_option
@_proposal_option
@json_option
def withdraw(
    programme_id: str,
    folder: Path,
    epoch_text: str,
    key_files: Sequence[Path],
    proposal: Path | None,
    *,
    as_json: bool,
) -> None:
    """End a programme for good, signed by two: nothing more is earned or redeemed from then on. 撤回方案。"""
    from hub.lookup import logged_programmes
    from protos.epochs import parse_epoch

    opened, epoch = opened_home(folder), parse_epoch(epoch_text)
    last = _latest(logged_programmes(opened), programme_id)
    record = _record(opened, last)
    record.first_epoch, record.withdrawn = epoch, True
    result = _sign_and_publish(opened, record, [], key_files, proposal)
    print_result({"id": last.id, "withdrawn_from": epoch, **result}, as_json=as_json)


@programme.command()
@home_option
@click.argument("programme_id", metavar="[ID]", required=False)
@json_option
def show(folder: Path, programme_id: str | None, *, as_json: bool) -> None:
    """List the programmes in the log, or show one whole. 查看方案。"""
    from hub.lookup import logged_programmes

    found = logged_programmes(opened_home(folder))
    if programme_id is not None:
        print_result(_latest(found, programme_id).model_dump(mode="json"), as_json=True)
        return
    listed = [_described(one) for one in found]
    lines = [f"{one['id']}@{one['version']}  from {one['first_epoch']}  {one['sha256']}" for one in listed]
    print_result({"programmes": listed}, as_json=as_json, lines=lines)


@programme.command()
@click.argument("programme_id", metavar="ID")
@click.argument("reward")
@file_argument
@home_option
@json_option
def vouchers(programme_id: str, reward: str, file: Path, folder: Path, *, as_json: bool) -> None:
    """Load FILE's voucher codes, one a line; those loaded before are left out. 导入券码。"""
    from hub.operator_client import OperatorClient
    from hub.vouchers import CODES_TOGETHER_MAX
    from runtime.configuration import read_bounded

    lines = read_bounded(file, CODES_BYTES_MAX).decode("utf-8").splitlines()
    codes = [code for line in lines if (code := line.strip())]
    loaded = 0
    with OperatorClient(opened_home(folder)) as client:
        for start in range(0, len(codes), CODES_TOGETHER_MAX):
            loaded += client.load_vouchers(programme_id, reward, codes[start : start + CODES_TOGETHER_MAX])
    print_result({"programme": programme_id, "reward": reward, "loaded": loaded}, as_json=as_json)


@programme.command()
@click.argument("partner")
@home_option
@click.option("--from", "first", type=click.IntRange(min=0), default=0, help="First operation. 起始操作号。")
@click.option("--to", "end", type=click.IntRange(min=0), help="First operation after. 截止操作号（不含）。")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Write envelope and lines here."
)
@json_option
def settlement(
    partner: str, folder: Path, first: int, end: int | None, out: Path | None, *, as_json: bool
) -> None:
    """State, signed, what a partner delivered and is owed in a range of operations. 合作方结算单。"""
    from hub.lookup import settlement_of
    from runtime.configuration import write_atomic

    found = settlement_of(opened_home(folder), partner, first, end, now=int(time.time()))
    said = found.statement
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(out / "statement", found.envelope)
        write_atomic(out / "lines", b"".join(len(one).to_bytes(4, "big") + one for one in found.lines))
    result = {
        "partner": said.partner,
        "first_operation": said.first_operation,
        "end_operation": said.end_operation,
        "lines": said.count,
        "fen": said.fen,
        "lines_root": said.lines_root.hex(),
    }
    print_result(result, as_json=as_json)


def _sign_and_publish(
    opened: Opened,
    record: programme_pb2.ProgrammeRecord,
    bodies: Sequence[bytes],
    key_files: Sequence[Path],
    proposal: Path | None,
) -> dict[str, Any]:
    """Add signatures; publish once there are two, else leave the proposal for the next person."""
    from hub.operator_client import publish_document
    from hub.setup import read_signing_key
    from privacy import codec, envelope
    from privacy.envelope import Kind
    from privacy.programme_rules import SIGNERS
    from runtime.configuration import write_atomic

    data = _proposed(proposal, codec.encode(record))
    for file in key_files:
        data = envelope.add_signature(data, read_signing_key(file))
    signed = len(envelope.read_unsigned(data).signatures)
    if signed < SIGNERS:
        if proposal is None:
            raise click.UsageError(f"{signed} signed, {SIGNERS} must: name --key twice, or a --proposal.")
        write_atomic(proposal, data)
        return {"signatures": signed, "signatures_needed": SIGNERS, "proposal": str(proposal)}
    assert envelope.read_unsigned(data).kind is Kind.PROGRAMME
    return {"signatures": signed, "index": publish_document(opened, data, bodies)}


def _proposed(proposal: Path | None, payload: bytes) -> bytes:
    """Take up a proposal that says exactly what this file says, or begin one."""
    from privacy import envelope
    from privacy.envelope import ENTRY_BYTES_MAX, Kind
    from protos.problems import Conflict
    from protos.v1.problem_pb2 import REASON_BODY_MISMATCH
    from runtime.configuration import read_bounded

    if proposal is None or not proposal.exists():
        return envelope.unsigned(payload, Kind.PROGRAMME)
    data = read_bounded(proposal, ENTRY_BYTES_MAX)
    opened = envelope.read_unsigned(data)
    if opened.kind is not Kind.PROGRAMME or opened.payload != payload:
        raise Conflict(
            REASON_BODY_MISMATCH,
            "The proposal was signed for something else than this file says.",
            remedy="Read the file again with whoever signed first; sign a new proposal.",
        )
    return data


def _record(opened: Opened, found: Programme) -> programme_pb2.ProgrammeRecord:
    from protos.v1 import programme_pb2

    return programme_pb2.ProgrammeRecord(
        origin=opened.settings.origin,
        id=found.id,
        version=found.version,
        sha256=found.sha256,
        size=len(found.canonical_bytes()),
        first_epoch=found.first_epoch,
    )


def _read(file: Path) -> Programme:
    """Read a file, or an installed programme by its id, conditions compiled."""
    from accounting.programmes.eligibility import check_conditions
    from engine.eligibility import CelConditions
    from runtime.programme_files import load_programme

    found = load_programme(_path(file))
    with _lines_of(file):
        check_conditions(found, CelConditions())
    return found


def _path(file: Path) -> Path:
    from runtime.programme_files import installed_programmes

    return file if file.exists() else installed_programmes().get(str(file), file)


@contextmanager
def _lines_of(file: Path) -> Iterator[None]:
    """Let a refusal of a programme name the lines of the file it was read from."""
    from accounting.programmes.parse import with_lines
    from protos.problems import Malformed
    from runtime.programme_files import programme_text

    try:
        yield
    except Malformed as problem:
        path = _path(file)
        problem.message = with_lines(problem.message, programme_text(path), str(path))
        raise


def _policy_of(opened: Opened, found: Programme) -> Policy:
    from hub.lookup import policy_for

    return policy_for(opened, found.first)


def _latest(found: Sequence[Programme], programme_id: str) -> Programme:
    from protos.problems import Unavailable
    from protos.v1.problem_pb2 import REASON_PROGRAMME_UNKNOWN

    mine = [one for one in found if one.id == programme_id]
    if not mine:
        raise Unavailable(REASON_PROGRAMME_UNKNOWN, f"The log holds no programme {programme_id}.")
    return mine[-1]


def _described(found: Programme) -> dict[str, Any]:
    return {
        "id": found.id,
        "version": found.version,
        "first_epoch": found.first_epoch,
        "sha256": found.sha256.hex(),
        "rewards": len(found.rewards),
        "illustrative": found.cited.illustrative,
    }


COMMANDS: Mapping[str, click.Command] = {"programme": programme}
