"""The account fold, replayed: the same SQL over the same statements must give the books every close names."""

from __future__ import annotations

from typing import Any

from auditor.findings import Check, Result, Results
from auditor.replay import Replay
from auditor.statements import StatementFiles
from engine.folding import BooksSum
from privacy.chunks import HALF_BYTES
from privacy.erasures import ERASED, ordered_since
from protos.epochs import Epoch, format_epoch
from protos.v1 import books_pb2


def check_accounts(replayed: Replay, files: StatementFiles, results: Results) -> dict[str, Any]:
    """Replay every close and compare; give the last close's figures."""
    result = results[Check.ACCOUNTS]
    if result.unchecked:
        return {}
    if lost := len(_without_account(replayed)):
        result.find("links", f"{lost} persons with statements have no account; no order erased them.")
    figures: dict[str, Any] = {}
    for index, close in replayed.closes:
        if index in replayed.compared:
            result.examined += close.accounts
            figures = _figures(close)
            continue
        books = BooksSum()
        for account in files.fold(replayed.stated(close, files)):
            books.add(account)
        erased = ordered_since(replayed.state.erasures, close.log_size)
        before = len(result.findings)
        _compare(close, books, f"entry {index}", result, is_whole=erased == 0)
        if not erased and len(result.findings) == before:
            replayed.compared.add(index)
        if erased:
            result.remarks.append(
                f"entry {index}: {erased} slots were erased after this close; its total holds, its accounts "
                "can no longer be told apart"
            )
        result.examined += books.accounts
        figures = _figures(close, books)
    return figures | (_points(replayed, files, replayed.closes[-1][1]) if figures else {})


def _without_account(replayed: Replay) -> set[bytes]:
    """Give the pseudonyms that closes hold statements of and no link names: their grams are in no book."""
    linked, found = replayed.state.linked, {ERASED}
    for released in replayed.releases:
        epoch, issuer = Epoch(released.message.epoch), released.message.header.issuer
        # A release that came after the closes it was for is linked by the next one.
        if any(epoch <= close.epoch and released.index < close.log_size for _, close in replayed.closes):
            rows = replayed.pseudonyms.get(issuer, bytearray())
            slots = replayed.state.roster(issuer).active_slots(epoch)
            names = (bytes(rows[slot * HALF_BYTES : (slot + 1) * HALF_BYTES]) for slot in slots)
            found.update(name for name in names if name not in linked)
    return found - {ERASED}


def _figures(close: books_pb2.EpochClose, books: BooksSum | None = None) -> dict[str, Any]:
    """Give the figures replayed; of a close found right they are its own."""
    return {
        "epoch": format_epoch(Epoch(close.epoch)),
        "accounts": close.accounts if books is None else books.accounts,
        "in_two_or_more": close.accounts_in_two_or_more if books is None else books.in_two_or_more,
        "total_mg": close.total_mg if books is None else books.total_mg,
    }


def _points(replayed: Replay, files: StatementFiles, close: books_pb2.EpochClose) -> dict[str, int]:
    """Sum the released points after a close; nothing where no enterprise releases any."""
    accounts = total = 0
    for account in files.fold_points(replayed.stated(close, files)):
        accounts, total = accounts + 1, total + account.points
    return {"accounts_with_points": accounts, "total_points": total} if accounts else {}


def _compare(
    close: books_pb2.EpochClose, books: BooksSum, place: str, result: Result, *, is_whole: bool
) -> None:
    pairs: dict[str, tuple[int | str, int | str]] = {"total in mg": (close.total_mg, books.total_mg)}
    if is_whole:
        pairs |= {
            "accounts": (close.accounts, books.accounts),
            "accounts fed by two or more enterprises": (close.accounts_in_two_or_more, books.in_two_or_more),
            "root over all accounts": (close.accounts_root.hex(), books.root().hex()),
        }
    for what, (logged, replayed) in pairs.items():
        if logged != replayed:
            result.find(place, f"The close says {what} {logged}; replayed it is {replayed}.")
