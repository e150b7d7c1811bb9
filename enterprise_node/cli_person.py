"""Commands for one person: show, export, correct, erase, reassign; and tickets the enterprise signs."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from enterprise_node.cli_options import home_option, opened_workspace
from runtime.console import CommandGroup, json_option, print_result

if TYPE_CHECKING:
    import datetime

    from enterprise_node.workspace import Workspace


def _person_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Name a person by the node's number or by identifier."""
    command = click.option(
        "--identifier",
        type=click.File("r"),
        help="File with the identifier, or - to read it from standard input. 身份标识文件，- 表示标准输入。",
    )(command)
    return click.option("--number", type=int, help="The node's own number of the person. 内部编号。")(command)


def _number(workspace: Workspace, number: int | None, identifier: TextIO | None) -> int:
    from protos.problems import Unavailable
    from protos.v1.problem_pb2 import REASON_NOT_FOUND

    if (number is None) == (identifier is None):
        raise click.UsageError("Give --number or --identifier.")
    if identifier is not None:
        number = workspace.persons.find(identifier.read().strip())
    if number is None:
        raise Unavailable(
            REASON_NOT_FOUND, "No such person is known here.", remedy="Check the identifier, or ingest first."
        )
    return number


@click.group(cls=CommandGroup)
def person() -> None:
    """Show, export, correct, erase a person's data; reassign a number. 查看、导出、更正、删除、换人。"""


@person.command("show")
@home_option
@_person_options
@click.option("--epoch", "epochs", multiple=True, metavar="YYYY-MM", help="Months to show; all by default.")
@json_option
def person_show(
    folder: Path,
    number: int | None,
    identifier: TextIO | None,
    epochs: Sequence[str],
    *,
    as_json: bool,
) -> None:
    """Show one person's exact figures. 显示个人的精确数据。"""
    from enterprise_node.person import show_person
    from protos.epochs import parse_epoch

    with opened_workspace(folder) as workspace:
        found = _number(workspace, number, identifier)
        view = show_person(workspace, found, tuple(parse_epoch(epoch) for epoch in epochs))
    print_result(view.to_json(), as_json=as_json, lines=view.lines())


@person.command("export")
@home_option
@_person_options
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def person_export(
    folder: Path, number: int | None, identifier: TextIO | None, target: Path, *, as_json: bool
) -> None:
    """Write all that is kept of a person into TARGET, signed JSON. 导出个人全部数据（签名 JSON）。"""
    from enterprise_node.membership import Membership
    from enterprise_node.person_export import export_person
    from runtime.configuration import write_private

    with opened_workspace(folder) as workspace:
        found = _number(workspace, number, identifier)
        data = export_person(workspace, Membership.load(workspace.home), found)
    write_private(target, data)
    print_result({"file": str(target), "bytes": len(data)}, as_json=as_json)


@person.command("correct")
@home_option
@_person_options
@click.option("--record", required=True, help="The record's id as `person show` gives it. 记录编号。")
@click.option(
    "--set", "changes", multiple=True, required=True, metavar="INPUT=VALUE", help="A new value, in its unit."
)
@click.option("--reason", required=True, help="Why it is corrected. 更正原因。")
@json_option
def person_correct(
    folder: Path,
    number: int | None,
    identifier: TextIO | None,
    record: str,
    changes: Sequence[str],
    reason: str,
    *,
    as_json: bool,
) -> None:
    """Correct a record of a person's, with the reason. 按本人要求更正记录。"""
    import time

    from enterprise_node.correct import correct

    pairs = [change.partition("=") for change in changes]
    if any(not middle for _, middle, _ in pairs):
        raise click.UsageError("Write --set INPUT=VALUE.")
    with opened_workspace(folder) as workspace:
        found = _number(workspace, number, identifier)
        inputs = {name.strip(): value.strip() for name, _, value in pairs}
        done = correct(workspace, found, record, inputs, reason, now=int(time.time()))
    print_result(done.to_json(), as_json=as_json, lines=done.lines())


@person.command("erase")
@home_option
@_person_options
@json_option
def person_erase(folder: Path, number: int | None, identifier: TextIO | None, *, as_json: bool) -> None:
    """Erase a person's activities, identifier and figures here. 删除个人的行为记录、身份标识与数据。"""
    from enterprise_node.erase import erase

    with opened_workspace(folder) as workspace:
        erasure = erase(workspace, _number(workspace, number, identifier))
    print_result(erasure.to_json(), as_json=as_json, lines=erasure.lines())


@person.command("reassign")
@home_option
@click.option(
    "--identifier",
    type=click.File("r"),
    required=True,
    help="File with the identifier, or - to read it from standard input. 身份标识文件，- 表示标准输入。",
)
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    required=True,
    help="First civil day of the new holder. 新持有人首日。",
)
@click.option(
    "--consents", is_flag=True, help="The new holder consents; where no register says so. 新持有人已同意。"
)
@json_option
def person_reassign(
    folder: Path, identifier: TextIO, since: datetime.datetime, *, consents: bool, as_json: bool
) -> None:
    """Give a number that changed hands a new person from a day on. 号码换人：自该日起归新持有人。"""
    from enterprise_node.reassign import reassign

    with opened_workspace(folder) as workspace:
        done = reassign(workspace, identifier.read().strip(), since.date(), consents=consents)
    print_result(done.to_json(), as_json=as_json, lines=done.lines())


@click.command()
@home_option
@_person_options
@click.option(
    "--purpose",
    required=True,
    type=click.Choice(["prove", "merge", "split", "choose", "redeem", "share", "close", "view"]),
    help="What the person may do with it. 用途。",
)
@click.option(
    "--recording",
    metavar="CLASS=ENTERPRISE",
    help="To choose: who records an overlap class; CLASS= leaves it to the policy. 由谁记录。",
)
@click.option("--pool", metavar="PROGRAMME=yes|no", help="To choose: whether grams may be pooled. 是否入池。")
@click.option("--after", metavar="TICKET", help="To merge: the other account's ticket. 合并的第一张凭证。")
@click.option("--household", metavar="ACCOUNT", help="To share: the household's account. 家庭账户。")
@click.option(
    "--part",
    "parts",
    multiple=True,
    metavar="ACCOUNT=N",
    help="To share: N of 10,000; repeat. 份额（万分比）。",
)
@click.option(
    "--subject", default="", metavar="HEX", help="SHA-256 of anything else agreed to. 约定内容的摘要。"
)
@json_option
def ticket(
    folder: Path,
    number: int | None,
    identifier: TextIO | None,
    purpose: str,
    recording: str | None,
    pool: str | None,
    after: str | None,
    household: str | None,
    parts: Sequence[str],
    subject: str,
    *,
    as_json: bool,
) -> None:
    """Sign that a person is logged in, for ten minutes and one purpose. 签发登录凭证。

    A ticket for a choice, a merge or a share-out names what the person agreed to, and is good for that alone.
    """
    from enterprise_node import agreements
    from enterprise_node.app import open_tickets
    from enterprise_node.membership import Membership
    from protos.v1 import node_pb2

    asked = node_pb2.IssueTicketRequest(purpose=purpose, subject=_hex(subject, "--subject"))
    if recording is not None:
        overlap_class, _, enterprise = recording.partition("=")
        asked.choice.recording.overlap_class = overlap_class.strip()
        asked.choice.recording.enterprise_id = enterprise.strip()
    elif pool is not None:
        asked.choice.pool.programme, asked.choice.pool.consents = _pool(pool)
    elif after is not None:
        asked.first_ticket = _ticket_bytes(after)
    elif household is not None:
        asked.shares.account = _hex(household, "--household")
        for account, points in sorted(_part(one) for one in parts):
            asked.shares.shares_accounts.append(account)
            asked.shares.shares_basis_points.append(points)
    with opened_workspace(folder) as workspace:
        found = _number(workspace, number, identifier)
        tickets = open_tickets(workspace, Membership.load(workspace.home))
        issued = tickets.issue(found, purpose, agreements.subject(asked))
    text = base64.b64encode(issued.ticket).decode()
    print_result({"ticket": text, "expires_at": issued.expires_at}, as_json=as_json, lines=[text])


def _hex(text: str, option: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise click.BadParameter("write hex digits.", param_hint=option) from None


def _pool(text: str) -> tuple[str, bool]:
    programme, _, answer = text.partition("=")
    if answer not in ("yes", "no"):
        raise click.BadParameter("write PROGRAMME=yes or PROGRAMME=no.", param_hint="--pool")
    return programme.strip(), answer == "yes"


def _ticket_bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except ValueError:
        raise click.BadParameter("write the ticket as it was printed.", param_hint="--after") from None


def _part(text: str) -> tuple[bytes, int]:
    account, _, points = text.partition("=")
    if not points.isdecimal():
        raise click.BadParameter("write ACCOUNT=N, N of 10,000.", param_hint="--part")
    return _hex(account, "--part"), int(points)


COMMANDS: dict[str, click.Command] = {"person": person, "ticket": ticket}
