"""Proves the books against each other in one pass over one state: journal, wallets, balances, money, units.

A rebuild decides everything again from the log; a reconciliation only adds up, so it is cheap enough for
every night, and names the sum that does not hold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sqlalchemy import Connection

from accounting.issuance import MG_PER_TONNE
from accounting.ledger import chart, sources
from accounting.ledger.books import ReservationState
from accounting.ledger.chart import CLAIMS, MONEY, OWNERS, UNITS, LedgerAccount, points_ledger
from accounting.ledger.closing import close_system
from accounting.ledger.decide import accounts_of, act_hash
from accounting.ledger.transfers import Balance
from accounting.ledger.wallets import Moves
from accounting.programmes.issue_rules import PARTICIPANTS
from hub.setup import Opened
from hub.store import entries, sums
from hub.store.database import open_readers, told
from hub.store.operations import read_operations
from hub.store.reservations import walk_balances
from hub.store.wallets import WalletKey
from privacy import envelope, merkle
from privacy.envelope import Kind
from privacy.journal import leaf
from protos.v1 import books_pb2, ledger_pb2, programme_pb2
from runtime.checks import Check

_OPEN = frozenset({ReservationState.RESERVED})
_PAID = frozenset({ReservationState.CONFIRMED})
_NAMED_MAX = 5
# Colons in the name of what all persons together gave to a pool before a batch.
_COLONS_OF_ALL = 2
_REMEDY = "Run cgsp-hub rebuild: it decides again from the log and says what differs."


@dataclass(frozen=True, slots=True)
class Journal:
    """The operations, each looked at once: what is wrong with them, and the wallets that they name."""

    wrong: list[str]
    wallets: set[WalletKey]


@dataclass
class Pass:
    """What every check reads, read once."""

    connection: Connection
    closes: list[books_pb2.EpochClose] = field(default_factory=list)

    @cached_property
    def journal(self) -> Journal:
        """Look at every operation."""
        wrong, wallets, last_at = [], set[WalletKey](), 0
        for one in read_operations(self.connection, 0):
            operation = ledger_pb2.Operation.FromString(one.data)
            if (operation.key, act_hash(operation), operation.at) != (one.key, one.act_hash, one.at):
                wrong.append(f"operation {one.seq} is not what was asked")
            if one.at < last_at:
                wrong.append(f"operation {one.seq} is before the one before it")
            last_at = one.at
            wallets.update(_named_wallets(operation))
        return Journal(wrong, wallets)

    @cached_property
    def transfers(self) -> dict[bytes, tuple[str, Balance]]:
        """Give ledger, debits and credits of each ledger account that transfers name."""
        return sums.transfer_sums(self.connection)

    @cached_property
    def system(self) -> dict[LedgerAccount, Balance]:
        """Give every balance that is nobody's wallet."""
        return dict(walk_balances(self.connection))

    @cached_property
    def wallets(self) -> dict[str, sums.WalletSums]:
        """Give the touched wallets of each ledger, added up."""
        return sums.wallet_sums(self.connection)

    @cached_property
    def persons(self) -> dict[str, int]:
        """Give what all persons have by ledger, deficits taken off, as closes and transfers say."""
        totals: dict[str, int] = defaultdict(int)
        known = {account.id for account in self.system}
        for id_, (ledger, moved) in self.transfers.items():
            if id_ not in known:
                totals[ledger] += moved.credits - moved.debits
        for (_, ledger), stored in self.credits.items():
            totals[ledger] += stored.delta
        for close in self.closes:
            for one in close.ledgers:
                totals[one.ledger] += one.written_off - one.expired
        return totals

    @cached_property
    def credits(self) -> dict[tuple[int, str], sums.CreditSums]:
        """Give what is stored of each close's credits, added up, by epoch and ledger."""
        return sums.credit_sums(self.connection)

    @cached_property
    def reserved(self) -> list[sums.ReservedSums]:
        """Give reservations by reward, fund and state, added up."""
        return sums.reserved_sums(self.connection)

    @cached_property
    def merged(self) -> frozenset[bytes]:
        """Give the accounts that became one with another, or that another became one with."""
        found: set[bytes] = set()
        for one in entries.find_entries(self.connection, Kind.ACCOUNT_CHANGE.value):
            message = envelope.open_envelope(one.envelope).parse(programme_pb2.AccountChange)
            if message.kind == programme_pb2.ACCOUNT_CHANGE_KIND_MERGE:
                body = entries.read_bodies(self.connection, one.index)[0]
                change = programme_pb2.AccountChangeBody.FromString(body)
                found |= {change.account, change.other_account}
        return frozenset(found)

    @cached_property
    def merged_wallets(self) -> set[WalletKey]:
        """Give their wallets in every ledger of persons."""
        ledgers = {ledger for ledger, _ in self.transfers.values()} - {MONEY, UNITS}
        return {(ledger, account) for ledger in ledgers for account in self.merged}

    def of(self, ledger: str, *kinds: str) -> Mapping[LedgerAccount, int]:
        """Give the balances of these kinds in a ledger, each on its own side."""
        return {
            one: had.of(one) for one, had in self.system.items() if one.ledger == ledger and one.kind in kinds
        }


def reconcile(opened: Opened) -> list[Check]:
    """Run every check on one state of the database, also while the hub serves."""
    readers = open_readers(opened.home.database)
    try:
        with told(), readers.begin() as connection:
            return reconciled(connection)
    finally:
        readers.dispose()


def reconciled(connection: Connection) -> list[Check]:
    """Run every check in one transaction."""
    closes = [
        envelope.open_envelope(one.envelope).parse(books_pb2.EpochClose)
        for one in entries.find_entries(connection, Kind.EPOCH_CLOSE.value)
    ]
    found = Pass(connection, closes)
    return [_result(name, check(found)) for name, check in CHECKS.items()]


def _result(name: str, told_of: Iterable[str]) -> Check:
    """Name the first differences of a check; none is good."""
    wrong = list(told_of)
    more = f"; and {len(wrong) - _NAMED_MAX} more" if len(wrong) > _NAMED_MAX else ""
    detail = "; ".join(wrong[:_NAMED_MAX]) + more
    return Check(name, not wrong, detail or "holds", "" if not wrong else _REMEDY)


def _journal(found: Pass) -> Iterable[str]:
    """Operations are numbered without a gap, say what was hashed, and every transfer is one's."""
    journal = sums.journal_sums(found.connection)
    if (journal.lowest, journal.highest) != (0, journal.operations - 1):
        yield f"{journal.operations} operations are numbered {journal.lowest} to {journal.highest}"
    if journal.orphans:
        yield f"{journal.orphans} transfers are of no operation"
    yield from found.journal.wrong


def _named_wallets(operation: ledger_pb2.Operation) -> Iterator[WalletKey]:
    """Give the wallets whose parts an operation's own transfers, or those that follow it, may name."""
    accounts = accounts_of(operation)
    if accounts:
        act = getattr(operation, operation.WhichOneof("act") or "")
        for account in accounts:
            yield CLAIMS, account
            yield points_ledger(act.programme), account


def _segments(found: Pass) -> Iterable[str]:
    """Segments follow one another, and each entry signs the root over its operations."""
    expected = 0
    for first, count, index in sums.segments(found.connection):
        if first != expected:
            yield f"operations {expected} to {first - 1} are in no segment"
        expected = first + count
        entry = entries.read_entry(found.connection, index)
        data = [one.data for one in read_operations(found.connection, first, expected)]
        signed = (first, count, merkle.root([leaf(one) for one in data]) if data else b"")
        if entry is None or entry.kind != Kind.JOURNAL_SEGMENT.value:
            yield f"entry {index} is no segment"
            continue
        message = envelope.open_envelope(entry.envelope).parse(ledger_pb2.JournalSegment)
        if (message.first, message.count, message.operations_root) != signed:
            yield f"entry {index} does not sign the operations from {first} on"


def _closes(found: Pass) -> Iterable[str]:
    """What is stored of each close adds up to what it signed."""
    stored = dict(found.credits)
    for close in found.closes:
        for one in close.ledgers:
            there = stored.pop((close.epoch, one.ledger), sums.CreditSums(0, 0, 0))
            if (there.delta, there.capped) != (one.credited - one.clawed_back, one.capped):
                yield f"{one.ledger} of {close.epoch}: credits do not add up to the close"
    for epoch, ledger in sorted(stored):
        yield f"{ledger} of {epoch}: credits of no close"


def _wallets(found: Pass) -> Iterable[str]:
    """Each wallet has what closes credited and transfers moved, less what ended."""
    yield from _miscredited(found)
    moved = sums.moved_wallets(found.connection)
    known = {one.id for one in found.system}
    for ledger, account in sorted({*moved, *found.journal.wallets, *found.merged_wallets}):
        parts = [one.id for one in _parts(ledger, account)]
        known.update(parts)
        if account not in found.merged and moved.get((ledger, account), 0) != _moved(found, parts):
            yield f"{ledger} {account.hex()}: not what closes and transfers amount to"
    if strangers := found.transfers.keys() - known:
        yield f"transfers name {len(strangers)} ledger accounts that are nobody's"


def _miscredited(found: Pass) -> Iterable[str]:
    """Name ledger and last close of wallets credited otherwise than by closes, a line for each."""
    wallets: dict[tuple[int, str], list[bytes]] = defaultdict(list)
    for ledger, account, applied_epoch in sums.miscredited_wallets(found.connection):
        if account not in found.merged:
            wallets[applied_epoch, ledger].append(account)
    for (epoch, ledger), accounts in sorted(wallets.items()):
        wrong = f"{len(accounts)} wallets are credited otherwise than by closes"
        yield f"{ledger} through {epoch}: {wrong}, {accounts[0].hex()} among them"


def _moved(found: Pass, parts: Iterable[bytes]) -> int:
    """Give what transfers brought a wallet, all its parts together."""
    balances = (found.transfers[one][1] for one in parts if one in found.transfers)
    return sum(one.credits - one.debits for one in balances)


def _parts(ledger: str, account: bytes) -> list[LedgerAccount]:
    parts = [chart.available(ledger, account), chart.pending(ledger, account), chart.deficit(ledger, account)]
    if ledger != CLAIMS:
        parts.append(chart.claimable(chart.programme_of(ledger), account))
    return parts


def _system(found: Pass) -> Iterable[str]:
    """Every other balance is the sum of transfers and closes."""
    expected: dict[LedgerAccount, Balance] = {}
    for close in found.closes:
        for one in close.ledgers:
            moves = Moves(one.credited, one.clawed_back, one.capped, one.expired, one.written_off)
            expected = close_system(expected, one.ledger, moves, sources.from_messages(close.sources))
    for account in {*found.system, *expected}:
        _, moved = found.transfers.get(account.id, ("", Balance()))
        closed = expected.get(account, Balance())
        total = Balance(moved.debits + closed.debits, moved.credits + closed.credits)
        if found.system.get(account, Balance()) != total:
            yield f"{account.ledger} {account.path}: not the sum of its transfers and closes"


def _zero(found: Pass) -> Iterable[str]:
    """Each ledger's balances add up to nothing: what closes and transfers gave persons, others gave."""
    totals: dict[str, int] = defaultdict(int, found.persons)
    for account, had in found.system.items():
        totals[account.ledger] += had.credits - had.debits
    for ledger, total in sorted(totals.items()):
        if total:
            yield f"{ledger} does not add up to zero: {total}"


def _claims(found: Pass) -> Iterable[str]:
    """Every mg comes from one enterprise, measure and epoch, by a close that drew it, and has one owner."""
    given: dict[LedgerAccount, int] = defaultdict(int)
    for close in found.closes:
        moved = sources.from_messages(close.sources)
        taken = sum(one.credited - one.clawed_back for one in close.ledgers if one.ledger == CLAIMS)
        if sum(moved.values()) != taken:
            yield f"{close.epoch}: sources gave {sum(moved.values())} mg, wallets were credited {taken} mg"
        for source, milligrams in moved.items():
            given[source.account] += milligrams
    yield from _unequal(_named(given), _named(found.of(CLAIMS, "src")))
    owned = sum(found.of(CLAIMS, *OWNERS).values()) - sum(found.of(CLAIMS, "writeoff").values())
    yield from _unequal(
        {"claims owned": sum(given.values())}, {"claims owned": found.persons.get(CLAIMS, 0) + owned}
    )


def _pending(found: Pass) -> Iterable[str]:
    """What is kept in wallets and set aside of funds is what open reservations need."""
    points: dict[str, int] = defaultdict(int)
    fen: dict[LedgerAccount, int] = defaultdict(int)
    for one in _in(found, _OPEN):
        points[points_ledger(one.programme)] += one.points
        points[CLAIMS] += one.milligrams
        if one.fund:
            fen[chart.refundable(one.programme, one.reward)] += one.fen
    yield from _unequal(points, {ledger: one.pending for ledger, one in found.wallets.items()})
    yield from _unequal(_named(fen), _named(found.of(MONEY, "refundable")))


def _redeemed(found: Pass) -> Iterable[str]:
    """Points spent, and what partners are owed or were paid, are those of confirmed reservations."""
    points: dict[str, int] = defaultdict(int)
    for one in _in(found, _PAID):
        points[f"{one.programme} {one.reward}"] += one.points
    spent: dict[str, int] = defaultdict(int)
    for ledger in {account.ledger for account in found.system}:
        for account, amount in found.of(ledger, "redeemed", "planted").items():
            spent[f"{chart.programme_of(ledger)} {account.path.rpartition(':')[2]}"] += amount
    yield from _unequal(points, spent)
    owed = sum(one.fen for one in _in(found, _PAID))
    yield from _unequal({"partners": owed}, {"partners": sum(found.of(MONEY, "payable", "paid").values())})


def _funds(found: Pass) -> Iterable[str]:
    """Money in funds, set aside, owed, paid and earned is what sponsors and buyers gave."""
    kept = ("fund", "refundable", "payable", "paid", "fee")
    yield from _unequal(
        {"money": sum(found.of(MONEY, "src").values())}, {"money": sum(found.of(MONEY, *kept).values())}
    )
    for account, amount in found.of(MONEY, "fund").items():
        if amount < 0:
            yield f"{account.path} is below zero"


def _participants(found: Pass) -> Iterable[str]:
    """Persons' stakes are the pools', and what waits for them is what sales brought less what they drew."""
    whole = sums.counts(found.connection, "staked")
    yield from _unequal(
        {name: given for name, given in whole.items() if name.count(":") == _COLONS_OF_ALL},
        sums.account_counts(found.connection, "staked"),
    )
    drawn: dict[str, int] = defaultdict(int)
    for one in _in(found, _OPEN | _PAID):
        if one.fund == PARTICIPANTS:
            drawn[f"drawn:{one.programme}"] += one.fen
    yield from _unequal(drawn, sums.account_counts(found.connection, "drawn"))
    waiting: dict[str, int] = defaultdict(int)
    for name, fen in sums.counts(found.connection, "proceeds").items():
        waiting[name.partition(":")[2].partition("/")[0]] += fen
    for name, fen in drawn.items():
        waiting[name.partition(":")[2]] -= fen
    funds = _named(found.of(MONEY, "fund"))
    yield from _unequal(
        {f"fund:{programme}:{PARTICIPANTS}": fen for programme, fen in waiting.items()},
        {path: fen for path, fen in funds.items() if path.endswith(f":{PARTICIPANTS}")},
    )


def _units(found: Pass) -> Iterable[str]:
    """Every tonne issued stands for claims that nobody else has."""
    tonnes = sum(found.of(UNITS, "issuer").values())
    claims = {one: had for one, had in found.system.items() if one.ledger == CLAIMS}
    behind = sum(had.credits for one, had in claims.items() if one.kind in ("issued", "buffer"))
    yield from _unequal({"tonnes": tonnes * MG_PER_TONNE}, {"tonnes": behind})
    yield from _unequal(
        {"units": tonnes},
        {"units": sum(found.of(UNITS, "hold", "buffer", "sold", "retired", "cancelled").values())},
    )


CHECKS: Mapping[str, Callable[[Pass], Iterable[str]]] = {
    "journal": _journal,
    "segments": _segments,
    "closes": _closes,
    "wallets": _wallets,
    "balances": _system,
    "zero-sums": _zero,
    "claims": _claims,
    "reservations": _pending,
    "redemptions": _redeemed,
    "funds": _funds,
    "participants": _participants,
    "units": _units,
}


def _in(found: Pass, states: frozenset[ReservationState]) -> Iterable[sums.ReservedSums]:
    return (one for one in found.reserved if one.state in states)


def _named(balances: Mapping[LedgerAccount, int]) -> dict[str, int]:
    return {account.path: amount for account, amount in balances.items()}


def _unequal(expected: Mapping[str, int], stored: Mapping[str, int]) -> Iterable[str]:
    """Name what differs; what is missing is nothing."""
    for name in sorted({*expected, *stored}):
        if expected.get(name, 0) != stored.get(name, 0):
            yield f"{name}: {stored.get(name, 0)} is stored, {expected.get(name, 0)} follows"
