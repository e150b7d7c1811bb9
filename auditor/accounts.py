"""The account fold, replayed: the same SQL over the same statements must give the books every close names."""

from __future__ import annotations

from typing import Any

from auditor.findings import Check, Result, Results
from auditor.replay import Replay
from auditor.statements import StatementFiles
from engine.released import FoldedAccount, accounts_root
from privacy.chunks import HALF_BYTES
from privacy.links import LinkRows
from protos.epochs import Epoch, format_epoch
from protos.v1 import books_pb2


def check_accounts(replayed: Replay, files: StatementFiles, results: Results) -> dict[str, Any]:
    """Replay every close and compare; give the last close's figures."""
    result = results[Check.ACCOUNTS]
    if result.unchecked:
        return {}
    figures: dict[str, Any] = {}
    for index, close in replayed.closes:
        accounts = _fold(replayed, files, close)
        _compare(close, accounts, f"entry {index}", result)
        result.examined += len(accounts)
        figures = {
            "epoch": format_epoch(Epoch(close.epoch)),
            "accounts": len(accounts),
            "in_two_or_more": _in_two_or_more(accounts),
            "total_mg": _total_mg(accounts),
        }
    return figures


def _fold(replayed: Replay, files: StatementFiles, close: books_pb2.EpochClose) -> list[FoldedAccount]:
    """Fold what stands in the beginning of the log that the close names."""
    statements = [
        released.file
        for released in replayed.releases
        if released.index < close.log_size and released.message.epoch <= close.epoch and released.file
    ]
    links = (
        pair
        for at, effective, rows in replayed.links
        if at < close.log_size and effective <= close.epoch
        for pair in _pairs(rows)
    )
    return files.fold(statements, links)


def _pairs(rows: LinkRows) -> list[tuple[bytes, bytes]]:
    return [
        (rows.pseudonyms[at : at + HALF_BYTES], rows.accounts[at : at + HALF_BYTES])
        for at in range(0, len(rows.pseudonyms), HALF_BYTES)
    ]


def _compare(close: books_pb2.EpochClose, accounts: list[FoldedAccount], place: str, result: Result) -> None:
    replayed: dict[str, int | str] = {
        "accounts": len(accounts),
        "accounts fed by two or more enterprises": _in_two_or_more(accounts),
        "total in mg": _total_mg(accounts),
        "root over all accounts": accounts_root(accounts).hex(),
    }
    logged: dict[str, int | str] = {
        "accounts": close.accounts,
        "accounts fed by two or more enterprises": close.accounts_in_two_or_more,
        "total in mg": close.total_mg,
        "root over all accounts": close.accounts_root.hex(),
    }
    for what, value in replayed.items():
        if value != logged[what]:
            result.find(place, f"The close says {what} {logged[what]}; replayed it is {value}.")


def _in_two_or_more(accounts: list[FoldedAccount]) -> int:
    return sum(1 for account in accounts if account.enterprises >= 2)


def _total_mg(accounts: list[FoldedAccount]) -> int:
    return sum(account.balance_mg for account in accounts)
