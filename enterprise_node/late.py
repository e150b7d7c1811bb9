"""Late records and corrections of released months: what of them the next release of the series carries.

Of every person-day this node remembers which part each of its releases counted. A later release counts the
difference to what the day is now, as far as the day's clamp has room (accounting/late.py); the rest stays
here and is counted. A month is open for it while everything released since is remembered here: after a
recovery from the log, where another state of this node drew, earlier months are closed. A person's days
belong to the slot that was active then; whoever comes back under another slot brings none of them along.
"""

# ruff: noqa: S608  (SQL is made of names of this module's own, whole numbers and quoted paths)

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accounting.late import carried_packs, late_days_sql, own_days_sql
from enterprise_node.sql_text import literal
from enterprise_node.store.releases import ReleaseState
from enterprise_node.terms import is_same_series, measure_spec
from privacy.charges import UNITS, allowance
from privacy.series import MeasureKind, SeriesKind
from protos.epochs import Epoch, end_day, first_day, shift_epoch
from runtime.configuration import write_atomic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.engine import Engine
    from enterprise_node.activities import Activities
    from enterprise_node.budget import BudgetLedger
    from enterprise_node.kept import Kept
    from enterprise_node.reductions import Reductions, Vector
    from enterprise_node.roster import Roster
    from enterprise_node.store.releases import ReleaseTable
    from privacy.policy import Measure, Policy

    Values = NDArray[np.int64]

# Months a record or correction may be late; what comes later is counted here alone.
LATE_MONTHS_MAX = 12
# Beside the parts of a release: which activity files its month was computed from.
INPUTS_SUFFIX = ".inputs"
_LATE, _RELEASED, _HOLDERS = "late_days", "released_days", "slot_holders"
_DAY_COLUMNS = {"person": "BIGINT", "day": "INTEGER", "mg": "BIGINT"}


@dataclass(frozen=True, slots=True)
class LateParts:
    """Parts of earlier months' days, signed, and what of their changes found no room; mg by person-day."""

    persons: Values
    days: Values
    mg: Values
    left_mg: Values

    def to_json(self) -> dict[str, int]:
        """Say how much it is, for the enterprise's eyes only."""
        carried = self.mg != 0
        return {
            "persons": len(np.unique(self.persons[carried])),
            "days": int(carried.sum()),
            "mg": int(self.mg.sum()),
            "left_days": int((self.left_mg != 0).sum()),
            "left_mg": int(self.left_mg.sum()),
        }


def released_parts(
    engine: Engine, kept: Kept, drawn: Iterable[Epoch], person: int, day: int
) -> list[tuple[Epoch, str, int]]:
    """Give what each release counted of one person-day: epoch, measure, mg."""
    return [
        (epoch, measure_id, int(mg))
        for epoch in sorted(drawn)
        for measure_id, path in kept.days_paths(epoch).items()
        for (mg,) in engine.rows(
            f"SELECT mg FROM read_parquet({literal(path)}) WHERE person = {int(person)} AND day = {int(day)}"
        )
    ]


_NOTHING = LateParts(*(np.empty(0, dtype=np.int64) for _ in range(4)))


class LateRecords:
    """Knows what of every person-day is used, and what may still be carried."""

    def __init__(
        self,
        activities: Activities,
        reductions: Reductions,
        kept: Kept,
        roster: Roster,
        releases: ReleaseTable,
        ledger: BudgetLedger,
        *,
        enterprise_id: str,
        policy_by_hash: Callable[[bytes], Policy],
    ) -> None:
        self._engine = reductions.engine
        self._activities = activities
        self._reductions = reductions
        self._kept = kept
        self._roster = roster
        self._releases = releases
        self._ledger = ledger
        self._enterprise_id = enterprise_id
        self._policy_by_hash = policy_by_hash

    def parts(self, epoch: Epoch, policy: Policy, measure: Measure) -> LateParts:
        """Give what the epoch's statement of a measure carries of earlier months' days."""
        months = self._open_months(epoch, policy, measure)
        if not months:
            return _NOTHING
        spec = measure_spec(measure)
        # Also what was committed to and is not drawn yet: it may be.
        others = self._kept.days_files(measure.id)
        paths = [path for one, path in others.items() if one != epoch]
        self._engine.view(_RELEASED, paths, _DAY_COLUMNS)
        self._register_holders(epoch)
        planned, relations = self._reductions.measure(spec), self._reductions.views()
        sql = late_days_sql(planned, relations, months, _RELEASED, _HOLDERS)
        found = self._engine.columns(f"SELECT * FROM ({sql}) AS l ORDER BY person, day")
        return LateParts(*(found[name].astype(np.int64) for name in ("person", "day", "mg", "left_mg")))

    def vector(self, epoch: Epoch, measure: Measure, parts: LateParts) -> Vector:
        """Give a measure's exact statements with the parts it carries."""
        spec = measure_spec(measure)
        if not parts.persons.size:
            return self._reductions.statement_vector(epoch, spec)
        self._register_parts(parts)
        return self._reductions.statement_vector(epoch, spec, _LATE)

    def keep(self, epoch: Epoch, measure: Measure, parts: LateParts) -> None:
        """Remember which part of each day the epoch's release counts."""
        if not self._carries(measure):
            return
        planned, relations = self._reductions.measure(measure_spec(measure)), self._reductions.reckoned(epoch)
        self._register_holders(epoch)
        self._register_parts(parts)
        own = own_days_sql(planned, relations, epoch, _HOLDERS)
        sql = f"SELECT person, day, mg FROM ({own} UNION ALL SELECT person, day, mg FROM {_LATE}) AS d"
        path = self._kept.days_path(epoch, measure.id)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._engine.write_parquet(f"{sql} WHERE mg <> 0 ORDER BY person, day", path)
        path.chmod(0o600)
        write_atomic(path.with_suffix(INPUTS_SUFFIX), self._inputs(epoch), mode=0o600)

    def _carries(self, measure: Measure) -> bool:
        is_by_day = measure.kind is MeasureKind.DAY and measure.day_clamp_grams > 0
        return is_by_day and bool(carried_packs(self._reductions.measure(measure_spec(measure))))

    def _drawn(self, epoch: Epoch) -> list[Epoch]:
        """List the other epochs whose figures have been drawn, ascending."""
        return [
            Epoch(one.epoch)
            for one in self._releases.all()
            if one.state is not ReleaseState.RESERVED and one.nonce and one.epoch != epoch
        ]

    def _open_months(self, epoch: Epoch, policy: Policy, measure: Measure) -> tuple[Epoch, ...]:
        """List the months whose days may still change in this release, latest first."""
        found: list[Epoch] = []
        if not self._carries(measure):
            return ()
        for one in reversed(self._drawn(epoch)):
            if not self._kept.days_path(one, measure.id).exists():
                break
            is_near = shift_epoch(epoch, -LATE_MONTHS_MAX) <= one < epoch
            if is_near and self._may_differ(one, measure) and self._is_charged_alike(one, policy, measure):
                found.append(one)
        return tuple(found)

    def _may_differ(self, month: Epoch, measure: Measure) -> bool:
        """Say whether the month's activities are in other files than at its draw; in the same nothing is."""
        note = self._kept.days_path(month, measure.id).with_suffix(INPUTS_SUFFIX)
        return not note.exists() or note.read_bytes() != self._inputs(month)

    def _inputs(self, month: Epoch) -> bytes:
        """Hash the names of the activity files with days of the month; a file never changes."""
        first, end = first_day(month), end_day(month)
        names = [
            one.path for one in self._activities.files() if one.first_day < end and one.last_day >= first
        ]
        return hashlib.sha256("\0".join(sorted(names)).encode()).hexdigest().encode()

    def _is_charged_alike(self, month: Epoch, policy: Policy, measure: Measure) -> bool:
        """Say whether a month's days are charged, or can be, for all that this series says."""
        stored = self._releases.get(month)
        assert stored is not None
        earlier = self._policy_by_hash(stored.policy_hash)
        if not is_same_series(policy, earlier, self._enterprise_id, measure.id):
            return False
        charged = {charge.series for charge in self._ledger.charges(month)}
        allowances = {unit: allowance(policy, unit) for unit in UNITS}
        return all(
            item.name in charged
            or self._ledger.remaining(month, item.claim.unit, allowances) >= item.claim.epsilon
            for item in policy.series(self._enterprise_id)
            if item.kind is SeriesKind.ANCHOR and item.measure_id == measure.id
        )

    def _register_holders(self, epoch: Epoch) -> None:
        rows = self._roster.holders(epoch)
        columns = {
            "person": np.array([person for person, _ in rows], dtype=np.int64),
            "since_day": np.array([first_day(since) for _, since in rows], dtype=np.int64),
        }
        self._engine.register(_HOLDERS, columns, {"person": "BIGINT", "since_day": "INTEGER"})

    def _register_parts(self, parts: LateParts) -> None:
        columns: dict[str, NDArray[Any]] = {"person": parts.persons, "day": parts.days, "mg": parts.mg}
        self._engine.register(_LATE, columns, _DAY_COLUMNS)
