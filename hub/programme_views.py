"""A programme as anybody may see it: its rules, and what came of its points, funds, pools and tonnes.

All is read from the books; nobody's wallet is in it, and every figure adds up over all persons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Engine

from accounting.ledger import chart
from accounting.ledger.chart import UNITS, LedgerAccount, Side
from accounting.ledger.funds import spent
from accounting.ledger.limits import stock
from accounting.ledger.transfers import Balance, Code
from accounting.programmes.earn_rules import EarnRule
from accounting.programmes.issue_rules import PARTICIPANTS
from accounting.programmes.programme import Programme
from accounting.programmes.rewards import Reward
from accounting.programmes.versions import Span
from hub.book_views import BookViews
from hub.ledger import Ledger
from hub.operation_client import explained
from hub.store.operations import operations_moving
from hub.store.reservations import read_counts, walk_balances
from hub.views import View
from protos.epochs import Epoch, format_epoch
from protos.problems import Unavailable
from protos.v1 import ledger_pb2
from protos.v1.problem_pb2 import REASON_NOT_FOUND

Balances = Mapping[LedgerAccount, Balance]


class Named(View):
    """A name in both languages."""

    en: str
    zh: str


class ProgrammeLine(View):
    """One programme in the list."""

    id: str
    version: int
    names: Named
    first_epoch: str
    last_epoch: str | None
    is_in_force: bool
    is_illustrative: bool


class EarningView(View):
    """One way to earn; `steps` are (from grams, points, for grams)."""

    id: str
    names: Named
    match: dict[str, list[str]]
    counts: str
    steps: list[tuple[int, int, int]]
    year_points_max: int
    overall_points_max: int


class RewardView(View):
    """One reward and what was given of it; `left` is what remains of its stock."""

    id: str
    kind: str
    names: Named
    cost_points: int
    unit_cost_fen: int
    funds: list[str]
    partner: str | None
    claim: str
    claim_grams: int
    eligible: str
    attestation: dict[str, int] | None
    left: int | None
    points_redeemed: int
    lots_planted: int | None
    payout_fen_min: int | None


class FundView(View):
    """One fund: what is in it, kept for orders, its ceilings and what was spent of them."""

    id: str
    names: Named
    fen: int
    kept_fen: int
    epoch_fen_max: int
    epoch_spent_fen: int
    overall_fen_max: int
    overall_spent_fen: int


class BatchView(View):
    """An issued batch: every figure of its deduction, and its tonnes by state."""

    explained: dict[str, Any]
    tonnes: dict[str, int]


class BoardView(View):
    """A board's places, or none where no group is large enough."""

    id: str
    names: Named
    by: str
    group_min: int
    places: list[dict[str, Any]]


class ProgrammeView(View):
    """One programme, whole; `points` are its ledger's accounts by kind."""

    line: ProgrammeLine
    cited: str
    sha256: str
    unit: Named
    epoch: str
    earning: list[EarningView]
    caps: dict[str, int]
    expiry: dict[str, Any]
    maturity_epochs: int
    claim_window_epochs: int
    points: dict[str, int]
    rewards: list[RewardView]
    funds: list[FundView]
    batches: list[BatchView]
    boards: list[BoardView]


class ProgrammeViews:
    """Reads programmes."""

    def __init__(self, ledger: Ledger, readers: Engine, books: BookViews) -> None:
        self._ledger = ledger
        self._readers = readers
        self._books = books

    def names(self, language: str) -> Mapping[str, str]:
        """Name the registered enterprises in a language, by id."""
        return self._books.names(language)

    def programmes(self) -> list[ProgrammeLine]:
        """List every programme that was ever logged, as it stands."""
        with self._readers.begin() as connection:
            facts = self._ledger.facts(connection)
            spans = {name: facts.spans(name) for name in facts.programmes()}
            return [_line(found, facts.epoch) for found in spans.values() if found]

    def programme(self, programme: str) -> ProgrammeView:
        """Show one programme; raises Unavailable NOT_FOUND."""
        with self._readers.begin() as connection:
            facts = self._ledger.facts(connection)
            spans = facts.spans(programme)
            if not spans:
                raise Unavailable(REASON_NOT_FOUND, f"There is no programme {programme}.")
            found = _newest(spans, facts.epoch)
            seen = _Seen(connection, found, facts.epoch)
            parts: dict[str, Any] = {
                "points": seen.points(),
                "rewards": [seen.reward(*one) for one in found.rewards.items()],
                "funds": [*(seen.fund(one) for one in found.funds), *seen.participants()],
                "batches": list(seen.batches()),
            }
            line = _line(spans, facts.epoch)
        # A board reads through a transaction of its own.
        boards = self._boards(found, line)
        return ProgrammeView(
            line=line, epoch=format_epoch(facts.epoch), **_rules(found), **parts, boards=boards
        )

    def _boards(self, found: Programme, line: ProgrammeLine) -> list[BoardView]:
        if not line.is_in_force:
            return []
        return [
            BoardView(
                id=name,
                names=_named(board.names),
                by=board.by,
                group_min=board.group_min,
                places=[asdict(one) for one in self._books.board(found.id, name)],
            )
            for name, board in found.boards.items()
        ]


class _Seen:
    """What the books hold of one programme, in one transaction."""

    def __init__(self, connection: Connection, programme: Programme, epoch: Epoch) -> None:
        self._connection = connection
        self._programme = programme
        self._epoch = epoch
        self._balances: Balances = dict(walk_balances(connection))

    def points(self) -> dict[str, int]:
        """Add up its points' accounts by kind; what is left over is what persons hold."""
        kinds: dict[str, int] = {}
        persons = 0
        for one in self._balances:
            if one.ledger == self._programme.ledger:
                kinds[one.kind] = kinds.get(one.kind, 0) + self._of(one)
                persons += self._of(one) if one.nature.side is Side.DEBIT else -self._of(one)
        return {"mint": kinds.pop("mint", 0), "persons": persons, **kinds}

    def reward(self, name: str, reward: Reward) -> RewardView:
        """Show one reward."""
        programme = self._programme
        given = self._count(stock(programme.id, name)) if reward.stock else 0
        planted = self._of(chart.planted(programme.id, name))
        redeemed = self._of(chart.redeemed(programme.id, reward.kind.value, name))
        return RewardView(
            id=name,
            kind=reward.kind.value,
            names=_named(reward.names),
            cost_points=reward.cost_points,
            unit_cost_fen=reward.unit_cost_fen,
            funds=list(reward.funds),
            partner=reward.partner,
            claim=reward.claim.value,
            claim_grams=reward.claim_grams,
            eligible=reward.eligible,
            attestation=reward.attestation.model_dump() if reward.attestation else None,
            left=reward.stock - given if reward.stock else None,
            points_redeemed=redeemed + planted,
            lots_planted=planted // reward.tree.points if reward.tree else None,
            payout_fen_min=reward.payout.fen_min if reward.payout else None,
        )

    def fund(self, name: str) -> FundView:
        """Show one fund."""
        programme, terms = self._programme, self._programme.funds[name]
        return FundView(
            id=name,
            names=_named(terms.names),
            fen=self._of(chart.fund(programme.id, name)),
            kept_fen=sum(
                self._of(chart.refundable(programme.id, reward))
                for reward, one in programme.rewards.items()
                if name in one.funds
            ),
            epoch_fen_max=terms.epoch_fen_max,
            epoch_spent_fen=self._count(spent(programme.id, name, self._epoch)),
            overall_fen_max=terms.overall_fen_max,
            overall_spent_fen=self._count(spent(programme.id, name)),
        )

    def participants(self) -> Iterator[FundView]:
        """Show what waits for those whose grams were sold, where a rule gives them a share."""
        programme = self._programme
        payouts = [name for name, one in programme.rewards.items() if one.payout is not None]
        if payouts:
            yield FundView(
                id=PARTICIPANTS,
                names=Named(en="Participants' share of sales", zh="参与者出售分成"),
                fen=self._of(chart.fund(programme.id, PARTICIPANTS)),
                kept_fen=sum(self._of(chart.refundable(programme.id, one)) for one in payouts),
                epoch_fen_max=0,
                epoch_spent_fen=self._count(spent(programme.id, PARTICIPANTS, self._epoch)),
                overall_fen_max=0,
                overall_spent_fen=self._count(spent(programme.id, PARTICIPANTS)),
            )

    def batches(self) -> Iterator[BatchView]:
        """Show the batches issued, oldest first."""
        for data in operations_moving(self._connection, Code.ISSUE):
            batch = ledger_pb2.Operation.FromString(data).issue
            if batch.programme == self._programme.id:
                yield BatchView(explained=explained(batch), tonnes=self._tonnes(batch.batch))

    def _tonnes(self, batch: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for one in self._balances:
            if one.ledger == UNITS and (f"{one.path}:").startswith(f"{one.kind}:{batch}:"):
                found[one.kind] = found.get(one.kind, 0) + self._of(one)
        return found

    def _of(self, account: LedgerAccount) -> int:
        return self._balances.get(account, Balance()).of(account)

    def _count(self, name: str) -> int:
        return read_counts(self._connection, [name]).get(name, 0)


def _newest(spans: tuple[Span, ...], epoch: Epoch) -> Programme:
    """Give the version that pays now, else the last one that did or will."""
    return next((one.programme for one in spans if one.holds(epoch)), spans[-1].programme)


def _line(spans: tuple[Span, ...], epoch: Epoch) -> ProgrammeLine:
    found, last = _newest(spans, epoch), spans[-1].last
    return ProgrammeLine(
        id=found.id,
        version=found.version,
        names=_named(found.names),
        first_epoch=format_epoch(spans[0].first),
        last_epoch=None if last is None else format_epoch(last),
        is_in_force=any(one.holds(epoch) for one in spans),
        is_illustrative=found.cited.illustrative,
    )


def _rules(found: Programme) -> dict[str, Any]:
    return {
        "cited": found.cited.source,
        "sha256": found.sha256.hex(),
        "unit": _named(found.unit.names),
        "earning": [_earning(*one) for one in found.earn.items()],
        "caps": found.caps.model_dump(),
        "expiry": found.expiry.model_dump(mode="json"),
        "maturity_epochs": found.maturity_epochs,
        "claim_window_epochs": found.claim_window_epochs,
    }


def _earning(name: str, rule: EarnRule) -> EarningView:
    match = {key: [str(one) for one in values] for key, values in rule.match.model_dump(mode="json").items()}
    return EarningView(
        id=name,
        names=_named(rule.names),
        match={key: values for key, values in match.items() if values},
        counts=rule.counts.value,
        steps=[(one.since, *one.ratio) for one in rule.steps],
        year_points_max=rule.year_points_max,
        overall_points_max=rule.overall_points_max,
    )


def _named(names: Any) -> Named:
    return Named(en=names.en, zh=names.zh)
