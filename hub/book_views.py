"""Three books of one truth: what a person has, what an enterprise recorded, what a government may count on.

All three are read from the same ledgers and releases. An enterprise's totals add up to the government's, cell
by cell; what persons hold together is what the government's book says they hold, to the milligram.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pydantic import Field
from sqlalchemy import Connection, Engine

from accounting.ledger import spending
from accounting.ledger.chart import CLAIMS, MONEY, POINTS, UNITS, Side, points_ledger
from accounting.ledger.sources import Source, source_of
from accounting.ledger.stakes import Stake
from accounting.programmes.programme import Board, BoardOf, Programme
from accounting.programmes.ranking import Entry, Place, rank
from hub.ledger import Ledger
from hub.pool_views import share_of_waiting, stakes_in
from hub.state import State
from hub.store.boards import read_entries
from hub.store.reservations import walk_balances
from hub.store.wallets import StoredCredit, read_credits
from hub.stored_books import StoredBooks
from hub.views import KeyedTotal, Total, View, Views, noise_halfwidth
from protos.epochs import format_epoch, previous_epoch
from protos.problems import Refused, Unavailable
from protos.v1.problem_pb2 import REASON_NOT_FOUND, REASON_PROGRAMME_UNKNOWN
from protos.v1.release_pb2 import TABLE_KIND_COUNT

_LEDGERS = {
    CLAIMS: ("Claims on reductions", "减排量权益"),
    MONEY: ("Money", "资金"),
    UNITS: ("Issued tonnes", "已签发减排量"),
}
# The section that says where claims came from.
SOURCES = "sources"
_UNITS_OF = {CLAIMS: "mg", MONEY: "fen", UNITS: "t"}


class Figure(View):
    """One line of a book; `half` is the 95 % half-width of the noise in it, where there is any."""

    key: str
    amount: int
    unit: str
    half: int | None = None


class Moment(View):
    """What had been credited in all up to an epoch's close, and the 95 % half-width of the noise in it."""

    epoch: str
    amount: int
    half: int


class Section(View):
    """Lines that belong together: a ledger, or the totals of an epoch; figures to draw are of one unit."""

    key: str
    name_en: str
    name_zh: str
    figures: list[Figure]
    is_drawn: bool = False
    # Of a person's wallet, by epoch, in `unit`, which has names where it is a programme's own.
    unit: str = ""
    unit_en: str = ""
    unit_zh: str = ""
    history: list[Moment] = Field(default_factory=list)


class Book(View):
    """One party's book; `of` is "person", "enterprise" or "government"."""

    of: str
    name: str
    epoch: str
    sections: list[Section]


class _Wallet(NamedTuple):
    """A ledger a person has a wallet in, and how its unit is called."""

    key: str
    name_en: str
    name_zh: str
    unit: str
    unit_en: str
    unit_zh: str


class BookViews:
    """Reads the three books."""

    def __init__(self, state: State, ledger: Ledger, readers: Engine, views: Views) -> None:
        self._state = state
        self._ledger = ledger
        self._readers = readers
        self._views = views

    def names(self, language: str) -> Mapping[str, str]:
        """Name the registered enterprises in a language, by id."""
        return {one.id: one.called(language) for one in self._views.enterprises()}

    def person(self, account: bytes) -> Book:
        """Show what an account holds, of claims and of every programme's points."""
        with self._readers.begin() as connection:
            books, facts = self._ledger.books(connection), self._ledger.facts(connection)
            begun = [spans[-1].programme for spans in facts.begun(facts.epoch).values()]
            wallets = [_Wallet(CLAIMS, "Reductions", "减排量", "mg", "", "")]
            wallets += [
                _Wallet(
                    key=one.ledger,
                    name_en=one.names.en,
                    name_zh=one.names.zh,
                    unit=one.unit.code,
                    unit_en=one.unit.names.en,
                    unit_zh=one.unit.names.zh,
                )
                for one in begun
            ]
            keys = [(one.key, account) for one in wallets]
            credits = read_credits(connection, keys, facts.closed_epochs())
            sections = [
                Section(
                    **one._asdict(),
                    figures=_wallet(books, account, one.key, one.unit),
                    history=list(_history(credits.get((one.key, account), []))),
                )
                for one in wallets
            ]
            pools = stakes_in(books, facts, account)
            sections += [one for pool in pools for one in _pool_sections(books, *pool)]
            return Book(of="person", name=account.hex(), epoch=format_epoch(facts.epoch), sections=sections)

    def enterprise(self, enterprise_id: str) -> Book:
        """Show what an enterprise recorded, and the claims that have passed to it."""
        known = {one.id: one for one in self._views.enterprises()}
        if enterprise_id not in known:
            raise Unavailable(REASON_NOT_FOUND, f"There is no enterprise {enterprise_id}.")
        sections = list(self._released(enterprise_id))
        with self._readers.begin() as connection:
            passed = [
                Figure(key="sponsor", amount=balance.of(one), unit="mg")
                for one, balance in walk_balances(connection)
                if (one.ledger, one.path) == (CLAIMS, f"sponsor:{enterprise_id}")
            ]
            given = _sources(connection, enterprise_id)
            epoch = format_epoch(self._ledger.facts(connection).epoch)
        enrolled = Figure(key="enrolled", amount=known[enterprise_id].enrolled, unit="persons")
        own = Section(key="own", name_en="Enterprise", name_zh="企业", figures=[enrolled, *passed])
        return Book(of="enterprise", name=enterprise_id, epoch=epoch, sections=[own, given, *sections])

    def government(self) -> Book:
        """Show the population's totals and every ledger's accounts, persons' added up."""
        with self._readers.begin() as connection:
            facts = self._ledger.facts(connection)
            begun = [spans[-1].programme for spans in facts.begun(facts.epoch).values()]
            points = {one.ledger: (f"Points of {one.names.en}", f"{one.names.zh}：积分") for one in begun}
            ledgers = [*_ledgers(connection, {**_LEDGERS, **points}), _sources(connection)]
            epoch = format_epoch(facts.epoch)
        sections = [*ledgers, *self._released(None)]
        return Book(of="government", name=self._state.origin, epoch=epoch, sections=sections)

    def board(self, programme: str, board: str) -> list[Place]:
        """Rank a board: the population's groups over the last closed epoch, or those that opted in."""
        with self._readers.begin() as connection:
            facts = self._ledger.facts(connection)
            found = facts.in_force(programme)
            asked = found.boards.get(board) if found is not None else None
            if asked is None:
                raise Refused(REASON_PROGRAMME_UNKNOWN, f"{programme} shows no board {board}.")
            if asked.of is BoardOf.OPTED_IN:
                entries = list(self._members(connection, programme, board))
            else:
                entries = list(self._entries(asked, format_epoch(previous_epoch(facts.epoch))))
        return rank(entries, group_min=asked.group_min, places=asked.places)

    def _members(self, connection: Connection, programme: str, board: str) -> Iterator[Entry]:
        """Give those that opted in, by all points credited; a group too small shows nobody."""
        books, group = self._ledger.books(connection), read_entries(connection, programme, board)
        ledger = points_ledger(programme)
        for account, alias in group:
            half = noise_halfwidth(books.variance(ledger, account))
            yield Entry(alias, books.lifetime(ledger, account), half, len(group))

    def _entries(self, board: Board, epoch: str) -> Iterator[Entry]:
        sums = next((one for one in self._views.population().epochs if one.epoch == epoch), None)
        persons = next(
            (one for one in self._views.population(kind=TABLE_KIND_COUNT).epochs if one.epoch == epoch), None
        )
        if sums is None or persons is None:
            return
        by_region = board.by == "region"
        members = {one.key: one.total for one in (persons.regions if by_region else persons.domains)}
        for one in sums.regions if by_region else sums.domains:
            group = members[one.key]
            yield Entry(one.key, one.total.grams, one.total.halfwidth_grams, group.low_grams)

    def _released(self, enterprise_id: str | None) -> Iterator[Section]:
        """Give each epoch's totals, the newest first: by domain, and by region."""
        for one in reversed(self._views.population(enterprise_id=enterprise_id).epochs):
            for key, by_en, by_zh, parts in (
                (one.epoch, "by domain", "按领域", [("total", one.total), *_each(one.domains)]),
                (f"{one.epoch}/regions", "by region", "按地区", _each(one.regions)),
            ):
                yield Section(
                    key=key,
                    name_en=f"Reductions of {one.epoch} {by_en}",
                    name_zh=f"{one.epoch} 减排量{by_zh}",
                    figures=[_total(*part) for part in parts],
                    is_drawn=True,
                )


def _each(totals: Sequence[KeyedTotal]) -> list[tuple[str, Total]]:
    return [(one.key, one.total) for one in totals]


def _history(credits: Sequence[StoredCredit]) -> Iterator[Moment]:
    """Add up what closes credited; the noise of all of it is in the last position."""
    amount = 0
    for one in credits:
        amount += one.delta
        yield Moment(epoch=format_epoch(one.epoch), amount=amount, half=noise_halfwidth(one.variance))


def _wallet(books: StoredBooks, account: bytes, ledger: str, unit: str) -> list[Figure]:
    """Show a wallet: with the noise in it, and what of it may be spent."""
    wallet, variance = books.wallet(ledger, account), books.variance(ledger, account)
    parts = {
        "reserve": spending.reserve(variance, books.reserve_z),
        "spendable": spending.spendable(wallet, variance, books.reserve_z),
        "claimable": wallet.claimable,
        "pending": wallet.pending,
        "deficit": wallet.deficit,
    }
    first = Figure(key="available", amount=wallet.available, unit=unit, half=noise_halfwidth(variance))
    return [first, *(Figure(key=key, amount=amount, unit=unit) for key, amount in parts.items())]


def _pool_sections(books: StoredBooks, programme: Programme, stake: Stake) -> Iterator[Section]:
    """Show what a person gave to a pool, what waits there, and what sales owe, batch by batch."""
    names = programme.names
    amounts = [
        ("contributed", stake.given_mg, "mg"),
        ("waiting", stake.waiting_mg, "mg"),
        ("share", share_of_waiting(books, programme, stake), "bp"),
        ("owed", stake.owed_fen, "fen"),
        ("drawn", stake.drawn_fen, "fen"),
        ("due", stake.due_fen, "fen"),
    ]
    yield Section(
        key=f"pool:{programme.id}",
        name_en=f"Pool of {names.en}",
        name_zh=f"{names.zh}：减排池",
        figures=[Figure(key=key, amount=amount, unit=unit) for key, amount, unit in amounts],
    )
    for part in stake.parts:
        figures = [("taken", part.milligrams, "mg"), ("owed", part.fen, "fen")]
        yield Section(
            key=f"batch:{part.batch}",
            name_en=f"Batch {part.batch}",
            name_zh=f"批次 {part.batch}",
            figures=[Figure(key=key, amount=amount, unit=unit) for key, amount, unit in figures],
        )


def _total(key: str, total: Total) -> Figure:
    return Figure(key=key, amount=total.grams, unit="g", half=total.halfwidth_grams)


def _sources(connection: Connection, enterprise_id: str | None = None) -> Section:
    """Say which statements all persons' claims came from, newest epoch first; their sum is R's `src`."""
    given = [
        (source, balance.of(one))
        for one, balance in walk_balances(connection)
        if (source := source_of(one)) and enterprise_id in (None, source.enterprise_id)
    ]
    figures = [
        Figure(key=_source_key(source, enterprise_id), amount=amount, unit="mg")
        for source, amount in sorted(given, key=lambda one: (-one[0].epoch, one[0]))
        if amount
    ]
    return Section(
        key=SOURCES,
        name_en="Claims by measure and epoch",
        name_zh="减排量来源：按计量项与周期",
        figures=figures,
    )


def _source_key(source: Source, enterprise_id: str | None) -> str:
    whose = () if enterprise_id else (source.enterprise_id,)
    return " ".join((format_epoch(source.epoch), *whose, source.measure_id))


def _ledgers(connection: Connection, names: Mapping[str, tuple[str, str]]) -> Iterator[Section]:
    """Add up every ledger's accounts by kind; what is left over is what persons hold."""
    kinds: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    persons: dict[str, int] = defaultdict(int)
    for one, balance in walk_balances(connection):
        amount = balance.of(one)
        kinds[one.ledger][one.kind] += amount
        persons[one.ledger] += amount if one.nature.side is Side.DEBIT else -amount
    for ledger in sorted(kinds):
        unit = _UNITS_OF.get(ledger, "points")
        figures = [
            Figure(key=kind, amount=amount, unit=unit) for kind, amount in sorted(kinds[ledger].items())
        ]
        if ledger == CLAIMS or ledger.startswith(f"{POINTS}:"):
            figures.insert(0, Figure(key="persons", amount=persons[ledger], unit=unit))
        english, chinese = names.get(ledger, (ledger, ledger))
        yield Section(key=ledger, name_en=english, name_zh=chinese, figures=figures, is_drawn=ledger == UNITS)
