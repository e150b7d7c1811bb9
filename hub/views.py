"""What the hub shows: read from the log's state and the books, never changing either.

A total is the plain sum of released cells; its interval is that of the noise in them, which is known exactly.
"""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine

from hub.state import State
from hub.store import books, entries
from hub.store.entries import StoredBody
from privacy import envelope
from privacy.deadlines import REMINDER_SECONDS
from privacy.envelope import Kind
from privacy.laplace import interval_halfwidth, sigma_upper
from privacy.merkle import EMPTY_ROOT
from privacy.populations import Total as Cells
from privacy.populations import population
from protos.epochs import Epoch, checked_epoch, format_epoch
from protos.problems import Unavailable
from protos.v1 import release_pb2
from protos.v1.problem_pb2 import REASON_NOT_FOUND
from protos.v1.release_pb2 import TABLE_KIND_SUM
from runtime.languages import CHINESE

CONFIDENCE = 0.95


class View(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StatusView(View):
    """The log's head and the number of accounts."""

    origin: str
    log_size: int
    log_root: str
    witness_quorum: int
    accounts: int


class EnterpriseView(View):
    """A registered enterprise; the size of its roster is public."""

    id: str
    name: str
    name_zh: str
    enrolled: int
    suspended: bool

    def called(self, language: str) -> str:
        """Give its name in a language, or the one it has."""
        return self.name_zh if language == CHINESE and self.name_zh else self.name


class CloseView(View):
    """The books of a closed epoch."""

    index: int
    accounts: int
    accounts_in_two_or_more: int
    total_mg: int


class DueView(View):
    """What a party owes for an epoch: until when (UTC), is that soon, does the log say missing."""

    role: str
    id: str
    until: datetime
    is_soon: bool
    is_missing: bool


class EpochView(View):
    """An epoch: who has spoken, who is waited for and until when, and its close."""

    epoch: str
    number: int
    state: str
    released: list[str]
    nothing_to_report: list[str]
    waiting_for: list[str]
    close: CloseView | None
    due: list[DueView] = []


class Total(View):
    """A noised sum in grams, the standard deviation of its noise (rounded up) and its 95 % interval."""

    grams: int
    sigma_grams: int
    halfwidth_grams: int
    low_grams: int
    high_grams: int


class KeyedTotal(View):
    """The total of one domain, region or methodology."""

    key: str
    total: Total


class CellTotal(View):
    """The total of one region and domain over all enterprises."""

    region: str
    domain: str
    total: Total


class PopulationEpoch(View):
    """One epoch's totals over all enterprises that released."""

    epoch: str
    enterprises: list[str]
    total: Total
    domains: list[KeyedTotal]
    regions: list[KeyedTotal]
    methodologies: list[KeyedTotal]
    cells: list[CellTotal]


class PopulationView(View):
    """Totals by epoch; intervals cover the noise with this confidence, nothing else."""

    confidence: float
    epochs: list[PopulationEpoch]


class PointsView(View):
    """Released points of tariffs the nodes evaluate, apart from grams, with their noise's 95 % interval."""

    points: int
    sigma_points: int
    halfwidth_points: int
    low_points: int
    high_points: int
    enterprises: int


class AccountView(View):
    """One account over all its months: balance, standard deviation and 95 % interval of the noise in it."""

    account: str
    epoch: str
    balance_mg: int
    sigma_mg: int
    halfwidth_mg: int
    low_mg: int
    high_mg: int
    enterprises: int
    pseudonyms: int
    # Enterprises disagree whose it is after a rotation of the key: nothing is spent from it.
    is_frozen: bool
    # None where no enterprise of the person releases points.
    points: PointsView | None


class Views:
    """Answers questions about log, epochs, totals and accounts."""

    def __init__(
        self, state: State, readers: Engine, *, clock: Callable[[], int] = lambda: int(time.time())
    ) -> None:
        self._clock = clock
        self._state = state
        self._readers = readers
        self._releases: dict[int, release_pb2.Release] = {}
        self._lock = threading.Lock()

    def status(self) -> StatusView:
        """Give the log's head."""
        with self._readers.begin() as connection:
            head = entries.tree_head(connection)
            accounts = books.count_accounts(connection)
        root = self._state.trust_root
        return StatusView(
            origin=self._state.origin,
            log_size=head.size if head else 0,
            log_root=(head.root if head else EMPTY_ROOT).hex(),
            witness_quorum=root.witness_quorum if root else 0,
            accounts=accounts,
        )

    def enterprises(self) -> list[EnterpriseView]:
        """Give the registered enterprises."""
        root = self._state.trust_root
        return [
            EnterpriseView(
                id=one.id,
                name=one.name,
                name_zh=one.name_zh,
                enrolled=self._state.enrolled(one.id),
                suspended=one.suspended,
            )
            for one in (root.enterprises if root else ())
        ]

    def epochs(self) -> list[EpochView]:
        """Give the epochs that somebody has spoken of, in order."""
        with self._readers.begin() as connection:
            closes = {closed.epoch: closed for closed in books.closed_epochs(connection)}
        due = self._due()
        return [
            EpochView(
                epoch=format_epoch(epoch),
                number=epoch,
                state="closed" if epoch in closes else "open",
                released=self._state.released(epoch),
                nothing_to_report=self._state.nothing_to_report(epoch),
                waiting_for=[] if epoch in closes else self._state.silent(epoch),
                close=_close_view(closes[epoch]) if epoch in closes else None,
                due=due.get(epoch, []),
            )
            for epoch in sorted({*self._state.epochs(), *due})
        ]

    def _due(self) -> dict[Epoch, list[DueView]]:
        """Give what is owed by epoch."""
        now, found = self._clock(), defaultdict[Epoch, list[DueView]](list)
        for one in self._state.open_dues(now):
            view = DueView(
                role=one.role.value,
                id=one.party_id,
                until=datetime.fromtimestamp(one.due_at, UTC),
                is_soon=one.due_at - now <= REMINDER_SECONDS,
                is_missing=self._state.is_missed(one),
            )
            found[one.epoch].append(view)
        return found

    def population(
        self, *, enterprise_id: str | None = None, kind: release_pb2.TableKind.ValueType = TABLE_KIND_SUM
    ) -> PopulationView:
        """Give the totals of each epoch, of one enterprise's releases if one is named; or count persons."""
        by_epoch: dict[int, list[release_pb2.Release]] = defaultdict(list)
        for release in self._all_releases():
            if enterprise_id in (None, release.header.issuer):
                by_epoch[release.epoch].append(release)
        found = [self._population_epoch(epoch, by_epoch[epoch], kind) for epoch in sorted(by_epoch)]
        return PopulationView(confidence=CONFIDENCE, epochs=found)

    def account(self, account: bytes) -> AccountView:
        """Give one account; raises Unavailable NOT_FOUND."""
        with self._readers.begin() as connection:
            found = books.read_balance(connection, account)
            points = books.read_points(connection, account)
            linked = books.account_pseudonyms(connection, account)
        if found is None and points is not None:
            found = books.Balance(account, 0, 0, 0, points.epoch)
        if found is None:
            raise Unavailable(REASON_NOT_FOUND, "There is no such account.")
        half = noise_halfwidth(found.variance_mg2)
        return AccountView(
            account=account.hex(),
            epoch=format_epoch(checked_epoch(found.epoch)),
            balance_mg=found.balance_mg,
            sigma_mg=root_up(found.variance_mg2),
            halfwidth_mg=half,
            low_mg=found.balance_mg - half,
            high_mg=found.balance_mg + half,
            enterprises=found.enterprises,
            pseudonyms=linked,
            is_frozen=self._state.is_frozen(account),
            points=None if points is None else points_view(points),
        )

    def body(self, index: int, position: int) -> StoredBody:
        """Give one body; raises Unavailable NOT_FOUND."""
        with self._readers.begin() as connection:
            found = entries.read_body(connection, index, position)
        if found is None:
            raise Unavailable(REASON_NOT_FOUND, "The log has no such body.")
        return found

    def bodies(self, first: int, end: int, *, enterprise_id: str | None = None) -> Iterator[StoredBody]:
        """Give the bodies of entries from `first` up to `end`; with an enterprise, only those it signed."""
        with self._readers.begin() as connection:
            own = (
                None if enterprise_id is None else entries.own_indices(connection, enterprise_id, first, end)
            )
            for body in entries.walk_bodies(connection, first, end):
                if own is None or body.index in own:
                    yield body

    def _all_releases(self) -> list[release_pb2.Release]:
        """Give all releases in the log; one is parsed once, since entries never change."""
        with self._lock, self._readers.begin() as connection:
            start = max(self._releases, default=-1) + 1
            for entry in entries.find_entries(connection, Kind.RELEASE.value, start=start):
                opened = envelope.open_envelope(entry.envelope)
                self._releases[entry.index] = opened.parse(release_pb2.Release)
            return list(self._releases.values())

    def _population_epoch(
        self, epoch: int, releases: Sequence[release_pb2.Release], kind: release_pb2.TableKind.ValueType
    ) -> PopulationEpoch:
        made_under = ((self._state.policy(release.policy_hash), release) for release in releases)
        found = population(made_under, kind)
        return PopulationEpoch(
            epoch=format_epoch(checked_epoch(epoch)),
            enterprises=sorted(release.header.issuer for release in releases),
            total=_total(found.total),
            domains=_keyed(found.domains),
            regions=_keyed(found.regions),
            methodologies=_keyed(found.methodologies),
            cells=[
                CellTotal(region=region, domain=domain, total=_total(cells))
                for (region, domain), cells in sorted(found.cells.items())
            ],
        )


def noise_halfwidth(variance: int) -> int:
    """Bound the 95 % interval of an account: one noise of the same variance has longer tails than a sum."""
    scale = root_up((variance + 1) // 2)
    return _halfwidth((scale,)) if scale else 0


def points_view(found: books.PointsBalance) -> PointsView:
    """Show an account's released points with their interval."""
    half = noise_halfwidth(found.variance)
    return PointsView(
        points=found.points,
        sigma_points=root_up(found.variance),
        halfwidth_points=half,
        low_points=found.points - half,
        high_points=found.points + half,
        enterprises=found.enterprises,
    )


@lru_cache(maxsize=1024)
def _halfwidth(scales: tuple[int, ...]) -> int:
    return interval_halfwidth(scales, CONFIDENCE)


def root_up(value: int) -> int:
    """Give a standard deviation from its variance, rounded up."""
    return math.isqrt(value - 1) + 1 if value > 0 else 0


def _keyed(totals: dict[str, Cells]) -> list[KeyedTotal]:
    return [KeyedTotal(key=key, total=_total(one)) for key, one in sorted(totals.items())]


def _total(cells: Cells) -> Total:
    half = _halfwidth(tuple(sorted(cells.scales)))
    return Total(
        grams=cells.value,
        sigma_grams=sigma_upper(cells.scales),
        halfwidth_grams=half,
        low_grams=cells.value - half,
        high_grams=cells.value + half,
    )


def _close_view(closed: books.ClosedEpoch) -> CloseView:
    return CloseView(
        index=closed.index,
        accounts=closed.accounts,
        accounts_in_two_or_more=closed.accounts_in_two_or_more,
        total_mg=closed.total_mg,
    )
