"""The close of all ledgers with wallets: claims from the accounts, points from programmes' rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from accounting.ledger import sources
from accounting.ledger.books import Received
from accounting.ledger.chart import CLAIMS, LedgerAccount, points_ledger, programme_of
from accounting.ledger.closing import (
    SYSTEM_LEAF_BYTES,
    System,
    check_balanced,
    claims_terms,
    close_system,
    points_terms,
    system_rows,
)
from accounting.ledger.sources import Drawn, Source
from accounting.ledger.transfers import Balance
from accounting.ledger.wallets import Terms, Wallet
from accounting.programmes.versions import Span, in_force
from engine.earning import lay_out_positions
from engine.engine import Engine
from engine.folding import CLAIMS_POSITION_SQL, fold_sources
from engine.kept_books import Place
from engine.ledgers import (
    NO_FILES,
    ClosedLedger,
    CreditedLedger,
    LedgerCredits,
    LedgerFiles,
    step_wallets,
    write_credits,
)
from engine.log_facts import LogFacts
from engine.released import Released
from privacy.merkle import CompactTree
from protos.epochs import Epoch, shift_epoch
from protos.v1 import books_pb2, ledger_pb2


@dataclass(frozen=True, slots=True)
class Operated:
    """What operations have left since the close before: wallets they changed, points, other accounts."""

    changed: Mapping[Place, Wallet] = field(default_factory=dict)
    received: Sequence[Received] = ()
    balances: Mapping[LedgerAccount, Balance] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClosedBooks:
    """The ledgers after a close, ascending by name, what claims were drawn from, every other account."""

    ledgers: tuple[ClosedLedger, ...]
    drawn: Drawn
    balances: System

    @property
    def files(self) -> dict[str, LedgerFiles]:
        """Give what the next close stands on."""
        return {one.ledger: one.files for one in self.ledgers}

    @property
    def system_root(self) -> bytes:
        """Give the RFC 6962 root over every ledger account that is nobody's wallet."""
        tree = CompactTree()
        tree.extend_rows(system_rows(self.balances), SYSTEM_LEAF_BYTES)
        return tree.root()

    def messages(self) -> list[ledger_pb2.LedgerClose]:
        """Give what the log says of each ledger."""
        return [
            ledger_pb2.LedgerClose(
                ledger=one.ledger, wallets=one.wallets, root=one.root, **one.moves._asdict()
            )
            for one in self.ledgers
        ]

    def put_into(self, close: books_pb2.EpochClose) -> None:
        """Put into a close what the log says of the ledgers."""
        close.ledgers.extend(self.messages())
        close.sources.extend(sources.messages(self.drawn))
        close.system_accounts_root = self.system_root


@dataclass(frozen=True, slots=True)
class CreditedBooks:
    """Ledgers whose credits are written, and the positions of the sources that claims are drawn from."""

    ledgers: tuple[CreditedLedger, ...]
    sources: Mapping[Source, int]


def credit_books(
    engine: Engine,
    folder: Path,
    facts: LogFacts,
    epoch: Epoch,
    released: Released,
    before: Mapping[str, LedgerFiles],
) -> CreditedBooks:
    """Write what a close credits in every ledger; its accounts must be what was folded last in the engine."""
    given = fold_sources(engine, released)
    ledgers = [write_credits(engine, folder, one) for one in _credits(engine, facts, epoch, released, before)]
    return CreditedBooks(tuple(ledgers), given)


def step_books(engine: Engine, folder: Path, credited: CreditedBooks, operated: Operated) -> ClosedBooks:
    """Step every ledger's wallets, and the accounts on the other side of what that moved.

    Raises InvariantBroken where a ledger then does not add up: every mg has one source and one owner.
    """
    changed: dict[str, dict[bytes, Wallet]] = defaultdict(dict)
    for (ledger, account), wallet in operated.changed.items():
        changed[ledger][account] = wallet
    balances, closed = dict(operated.balances), []
    drawn = sources.drawn(balances, credited.sources)
    for one in credited.ledgers:
        received = [gift for gift in operated.received if gift.ledger == one.ledger]
        done = step_wallets(engine, folder, one, changed[one.ledger], received)
        if one.ledger == CLAIMS:
            sources.check_drawn(drawn, done.moves)
        balances = close_system(balances, one.ledger, done.moves, drawn)
        check_balanced(balances, one.ledger, done.persons)
        closed.append(done)
    return ClosedBooks(tuple(sorted(closed, key=lambda one: one.ledger)), drawn, balances)


def terms_of(facts: LogFacts, ledger: str, epoch: Epoch) -> Terms | None:
    """Give the terms of a ledger's close; None for one that has not begun by the epoch."""
    if ledger == CLAIMS:
        return claims_terms(epoch)
    spans = facts.begun(epoch).get(programme_of(ledger))
    return points_terms(in_force(spans, epoch) or spans[-1].programme, epoch) if spans else None


def _credits(
    engine: Engine,
    facts: LogFacts,
    epoch: Epoch,
    released: Released,
    before: Mapping[str, LedgerFiles],
) -> Iterator[LedgerCredits]:
    """Lay out each ledger's credits, claims first: a programme's positions name the tables anew."""
    merged = facts.merged(epoch)
    yield LedgerCredits(
        CLAIMS, claims_terms(epoch), CLAIMS_POSITION_SQL, before.get(CLAIMS, NO_FILES), merged=merged
    )
    for programme, spans in facts.begun(epoch).items():
        rules = in_force(spans, epoch) or spans[-1].programme
        ledger = points_ledger(programme)
        yield LedgerCredits(
            ledger,
            points_terms(rules, epoch),
            _positions(engine, facts, spans, released, shift_epoch(epoch, -rules.maturity_epochs)),
            before.get(ledger, NO_FILES),
            rules.caps.epoch_points,
            merged,
        )


def _positions(
    engine: Engine, facts: LogFacts, spans: Sequence[Span], released: Released, through: Epoch
) -> str:
    """Lay out a programme's positions over what has matured."""
    matured = replace(released, files=[one for one in released.files if one.epoch <= through])
    text = lay_out_positions(engine, spans, matured, facts.policy_for)
    return f"SELECT account, position, variance FROM ({text}) AS p"  # noqa: S608 (a query of this module's own)
