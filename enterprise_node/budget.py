"""The node's own privacy ledger: exact charges per unit and epoch, reserved before a draw, never given back.

It stands beside the hub's: nothing is drawn unless the charge fits both the policy's allowance and the
ceilings the enterprise wrote into node.toml, whichever is lower.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from enterprise_node.store.charges import StoredCharge
from protos.epochs import Epoch, format_epoch
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_BUDGET_EXCEEDED, REASON_CEILING_EXCEEDED
from protos.v1.release_pb2 import PRIVACY_UNIT_PERSON_DAY, PRIVACY_UNIT_PERSON_MONTH, PrivacyUnit

if TYPE_CHECKING:
    from enterprise_node.configuration import Ceilings
    from enterprise_node.store.charges import ChargeTable
    from enterprise_node.store.database import Database

Unit: TypeAlias = PrivacyUnit.ValueType
UNIT_NAMES: Mapping[Unit, str] = {
    PRIVACY_UNIT_PERSON_DAY: "person-day",
    PRIVACY_UNIT_PERSON_MONTH: "person-month",
}


@dataclass(frozen=True, slots=True)
class PlannedCharge:
    """What one series is about to cost one unit."""

    series: str
    unit: Unit
    epsilon: Fraction
    # Of an anchor: every epoch it is charged to; else the release's own alone.
    epochs: tuple[Epoch, ...] = ()


class BudgetLedger:
    """Reserves and commits charges; a reservation that was never used stays charged."""

    def __init__(self, database: Database, table: ChargeTable, ceilings: Ceilings) -> None:
        self._database = database
        self._table = table
        self._ceilings: Mapping[Unit, Fraction] = {
            PRIVACY_UNIT_PERSON_DAY: ceilings.person_day_epsilon,
            PRIVACY_UNIT_PERSON_MONTH: ceilings.person_month_epsilon,
        }

    def reserve(
        self,
        epoch: Epoch,
        charges: Sequence[PlannedCharge],
        allowance: Mapping[Unit, Fraction],
        nonce: bytes,
    ) -> None:
        """Charge an epoch's units, all or nothing; raises Refused BUDGET_EXCEEDED or CEILING_EXCEEDED."""
        with self._database.transaction():
            self.check(epoch, charges, allowance)
            self._table.add(
                StoredCharge(one, charge.unit, charge.series, nonce, charge.epsilon, "reserved")
                for charge in charges
                for one in charge.epochs or (epoch,)
            )

    def check(
        self, epoch: Epoch, charges: Sequence[PlannedCharge], allowance: Mapping[Unit, Fraction]
    ) -> None:
        """Refuse charges that do not fit, in this epoch or in one that an anchor totals."""
        for one in sorted({epoch, *(other for charge in charges for other in charge.epochs)}):
            here = [charge for charge in charges if one in (charge.epochs or (epoch,))]
            self._check_epoch(one, here, allowance)

    def _check_epoch(
        self, epoch: Epoch, charges: Sequence[PlannedCharge], allowance: Mapping[Unit, Fraction]
    ) -> None:
        for unit, name in UNIT_NAMES.items():
            asked = sum((charge.epsilon for charge in charges if charge.unit == unit), Fraction())
            if not asked:
                continue
            total = self.spent(epoch, unit) + asked
            if total > self._ceilings[unit]:
                raise Refused(
                    REASON_CEILING_EXCEEDED,
                    f"A {name} of {format_epoch(epoch)} would be charged epsilon {total}; node.toml allows "
                    f"{self._ceilings[unit]}.",
                    remedy=f"Agree on a policy below it, or raise ceilings.{name.replace('-', '_')}_epsilon.",
                )
            if total > allowance.get(unit, Fraction()):
                raise Refused(
                    REASON_BUDGET_EXCEEDED,
                    f"A {name} of {format_epoch(epoch)} would be charged epsilon {total}; the policy allows "
                    f"{allowance.get(unit, Fraction())}.",
                    remedy="Nothing more can be released for this epoch.",
                )

    def commit(self, nonce: bytes) -> None:
        """Note that what the reservation paid for has left."""
        self._table.commit(nonce)

    def spent(self, epoch: Epoch, unit: Unit) -> Fraction:
        """Add up what has been reserved or committed against one unit of the epoch."""
        charges = self._table.of_epoch(epoch)
        return sum((charge.epsilon for charge in charges if charge.unit == unit), Fraction())

    def remaining(self, epoch: Epoch, unit: Unit, allowance: Mapping[Unit, Fraction]) -> Fraction:
        """Give what may still be charged, under the lower of allowance and ceiling."""
        limit = min(allowance.get(unit, Fraction()), self._ceilings[unit])
        return max(Fraction(), limit - self.spent(epoch, unit))

    def charges(self, epoch: Epoch) -> list[StoredCharge]:
        """Give the epoch's charges, series by series."""
        return self._table.of_epoch(epoch)


def check_clamps(ceilings: Ceilings, day_clamps_grams: Mapping[str, int], month_clamp_grams: int) -> None:
    """Refuse a policy whose clamps lie above the node's own; 0 (the pack clamps quantities itself) passes."""
    for measure, clamp in day_clamps_grams.items():
        if clamp > ceilings.day_clamp_grams:
            _refuse_clamp(f"measure {measure}", clamp, "day_clamp_grams", ceilings.day_clamp_grams)
    if month_clamp_grams > ceilings.month_clamp_grams:
        _refuse_clamp("the histogram", month_clamp_grams, "month_clamp_grams", ceilings.month_clamp_grams)


def _refuse_clamp(what: str, clamp: int, key: str, ceiling: int) -> None:
    raise Refused(
        REASON_CEILING_EXCEEDED,
        f"The policy clamps {what} at {clamp} g; node.toml allows at most {ceiling} g.",
        remedy=f"Agree on a policy below it, or raise ceilings.{key}.",
    )
