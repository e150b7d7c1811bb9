"""Examines a hub's home without changing it: what is wrong, and what to do about it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from accounting.accounts import account_leaf
from hub.book_health import BookHealth
from hub.configuration import Home
from hub.log import VKEY_FILE, PublicLog
from hub.lookup import health_of
from hub.setup import Opened
from hub.store import books, entries
from hub.store.database import readers_of
from privacy import envelope
from privacy.checkpoint import log_vkey, open_checkpoint
from privacy.envelope import Kind
from privacy.merkle import CompactTree, leaf_hash
from protos.problems import Problem, Unverified
from protos.v1 import books_pb2
from protos.v1.problem_pb2 import REASON_CERTIFICATE_INVALID, REASON_HISTORY_INCONSISTENT
from runtime.checks import Check
from runtime.identity import Identity

FREE_BYTES_MIN = 1 << 30
# Segments are sealed every second; an operation that waits so long waits for a hub that does not run.
UNSEALED_SECONDS_MAX = 60

Result = TypeVar("Result")


def examine(folder: Path) -> list[Check]:
    """Make all checks; what cannot be opened leaves out those that need it."""
    home = Home(folder.absolute())
    checks: list[Check] = []
    opened = _checked(checks, "home folder, keys, hub.toml", lambda: Opened.load(home), "readable")
    if opened is None:
        return checks
    _checked(checks, "log.vkey", lambda: _check_vkey(opened), "belongs to the log key")
    _checked(checks, "hub's certificate", lambda: _check_certificate(home.server), "valid")
    _checked(checks, "operator's certificate", lambda: _check_certificate(home.operator), "valid")
    _checked(checks, "log", lambda: _check_log(opened), "database, root and checkpoint agree")
    _checked(checks, "books", lambda: _check_books(opened), "balances are those of the last close")
    health = _checked(checks, "programmes", lambda: health_of(opened, int(time.time())), "read")
    if health is not None:
        checks[-1:] = book_checks(health, int(time.time()))
    free = shutil.disk_usage(home.folder).free
    is_enough = free >= FREE_BYTES_MIN
    checks.append(
        Check("disk", is_enough, f"{free >> 20} MiB free", "" if is_enough else "Make room: at least 1 GiB.")
    )
    return checks


def book_checks(health: BookHealth, now: int) -> list[Check]:
    """Say what in the books waits for the operator; a fund that is only low is no failure."""
    empty = [f"{one.programme}/{one.reward} ({', '.join(one.funds)})" for one in health.empty]
    low = [f"{one.programme}/{one.reward} ({', '.join(one.funds)})" for one in health.low]
    waiting, since = health.reserved, health.unsealed.since
    owed = ", ".join(f"{partner} {fen} fen" for partner, fen in sorted(health.owed_fen.items()))
    is_sealed = since is None or now - since <= UNSEALED_SECONDS_MAX
    return [
        Check(
            "funds",
            not empty,
            _said_of_funds(empty, low),
            "Deposit (cgsp-hub fund deposit), or raise the ceiling in a new version." if empty or low else "",
        ),
        Check(
            "orders",
            not waiting.unfunded,
            f"{waiting.orders} open, {waiting.lapsing} lapse in an hour, {waiting.unfunded} wait for money",
            "Deposit into the funds they wait for, before they lapse." if waiting.unfunded else "",
        ),
        Check("partners", True, f"owed: {owed or 'nothing'}"),
        Check(
            "journal",
            is_sealed,
            f"{health.unsealed.operations} operations are in no segment yet",
            "" if is_sealed else "Start the hub: it seals what is open.",
        ),
    ]


def _said_of_funds(empty: Sequence[str], low: Sequence[str]) -> str:
    if empty:
        return f"they pay for no more of {', '.join(empty)}"
    return f"they pay for few more of {', '.join(low)}" if low else "they pay for what is offered"


def _checked(checks: list[Check], name: str, examine_one: Callable[[], Result], good: str) -> Result | None:
    try:
        found = examine_one()
    except Problem as problem:
        checks.append(Check.failed(name, problem))
        return None
    checks.append(Check(name, True, good))
    return found


def _check_vkey(opened: Opened) -> None:
    if PublicLog(opened.home.folder).vkey().decode().strip() != opened.log_vkey:
        raise Unverified(
            REASON_HISTORY_INCONSISTENT,
            f"{VKEY_FILE} does not belong to the log's signing key.",
            remedy="Restore both from one backup; only cgsp-hub trust succeed replaces a log's key.",
        )


def _check_certificate(folder: Path) -> None:
    note = Identity.load(folder).renewal_note(datetime.now(UTC))
    if note:
        raise Unverified(
            REASON_CERTIFICATE_INVALID, "It is about to run out.", remedy="Start the hub: serve renews it."
        )


def _check_log(opened: Opened) -> None:
    """Recompute the root from the entries; compare it with the stored one and the checkpoint."""
    checkpoint = None
    if (opened.home.folder / "checkpoint").exists():
        vkey = log_vkey(opened.settings.origin, opened.log_key.verify_key)
        checkpoint = open_checkpoint(PublicLog(opened.home.folder).checkpoint(), vkey)
    tree = CompactTree()
    with readers_of(opened.home.database) as readers, readers.begin() as connection:
        for entry in entries.read_entries(connection):
            tree.append(leaf_hash(entry.envelope))
            if checkpoint is not None and tree.size == checkpoint.size and tree.root() != checkpoint.root:
                raise _inconsistent("The checkpoint's root is not the root over the stored entries.")
        head = entries.tree_head(connection)
    if head is not None and (head.size, head.root) != (tree.size, tree.root()):
        raise _inconsistent("The stored root is not the root over the stored entries.")
    if checkpoint is not None and checkpoint.size > tree.size:
        raise _inconsistent("The checkpoint covers more entries than the database holds.")


def _check_books(opened: Opened) -> None:
    """Compare the stored balances with the accounts' root in the last close."""
    with readers_of(opened.home.database) as readers, readers.begin() as connection:
        closes = entries.find_entries(connection, Kind.EPOCH_CLOSE.value)
        tree = CompactTree()
        for one in books.walk_balances(connection):
            tree.append(leaf_hash(account_leaf(one.account, one.balance_mg, one.variance_mg2)))
    if not closes:
        return
    close = envelope.open_envelope(closes[-1].envelope).parse(books_pb2.EpochClose)
    if close.accounts_root != tree.root():
        raise _inconsistent("The stored balances are not those of the last close.")


def _inconsistent(message: str) -> Unverified:
    return Unverified(
        REASON_HISTORY_INCONSISTENT, message, remedy="Delete nothing; restore the newest backup of the home."
    )
