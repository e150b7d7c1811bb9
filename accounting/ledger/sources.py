"""Where claims come from: the statements of one measure that an enterprise released for one epoch.

A measure may sum several methodologies; its statement is one figure, so that no source is finer. Sources are
positions like everything a close credits: it draws the difference to what they gave before. A year that an
anchor totals is one figure of the anchor's epoch: its months then give back what they gave.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from accounting.ledger import chart
from accounting.ledger.chart import CLAIMS, LedgerAccount
from accounting.ledger.transfers import Balance
from accounting.ledger.wallets import Moves
from protos.epochs import Epoch, parse_epoch
from protos.problems import InvariantBroken
from protos.v1 import ledger_pb2
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN


class Source(NamedTuple):
    """One measure of an enterprise in one epoch, the vintage of the claims it gives."""

    enterprise_id: str
    measure_id: str
    epoch: Epoch

    @property
    def account(self) -> LedgerAccount:
        """Name its ledger account."""
        return chart.source(self.enterprise_id, self.measure_id, self.epoch)


Drawn = Mapping[Source, int]


def source_of(account: LedgerAccount) -> Source | None:
    """Give the source an account stands for, None for every other; raises InvariantBroken for none known."""
    if account.ledger != CLAIMS or account.kind != "src":
        return None
    parts = account.path.split(":")[1:]
    if len(parts) != len(Source._fields):
        raise InvariantBroken(
            REASON_INVARIANT_BROKEN, f"The source {account.path} names no enterprise, measure and epoch."
        )
    return Source(parts[0], parts[1], parse_epoch(parts[2]))


def drawn(balances: Mapping[LedgerAccount, Balance], positions: Mapping[Source, int]) -> dict[Source, int]:
    """Give what a close draws from each source in mg, ascending: its position less what it gave before."""
    moved = dict(positions)
    for account, balance in balances.items():
        source = source_of(account)
        if source is not None:
            moved[source] = moved.get(source, 0) - balance.of(account)
    return {source: moved[source] for source in sorted(moved) if moved[source]}


def changes(moved: Drawn) -> dict[LedgerAccount, Balance]:
    """Give what sources are debited and credited by what was drawn."""
    return {one.account: Balance(max(mg, 0), max(-mg, 0)) for one, mg in moved.items()}


def check_drawn(moved: Drawn, moves: Moves) -> None:
    """Hold that sources gave exactly what wallets were credited; raises InvariantBroken."""
    given, taken = sum(moved.values()), moves.credited - moves.clawed_back
    if given != taken:
        raise InvariantBroken(
            REASON_INVARIANT_BROKEN, f"Sources gave {given} mg of claims, wallets were credited {taken} mg."
        )


def messages(moved: Drawn) -> list[ledger_pb2.ClaimSource]:
    """Give what the log says of the sources a close drew from."""
    return [
        ledger_pb2.ClaimSource(
            enterprise_id=one.enterprise_id, measure_id=one.measure_id, epoch=one.epoch, milligrams=mg
        )
        for one, mg in sorted(moved.items())
    ]


def from_messages(said: Iterable[ledger_pb2.ClaimSource]) -> dict[Source, int]:
    """Read what a close says of its sources."""
    return {Source(one.enterprise_id, one.measure_id, Epoch(one.epoch)): one.milligrams for one in said}
