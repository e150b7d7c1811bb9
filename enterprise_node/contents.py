"""What a release says before noise: one row for every active slot, every public cell, zeros included."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from enterprise_node.terms import histogram_spec, measure_spec
from privacy.series import SeriesKind
from protos.problems import InvariantBroken
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from enterprise_node.reductions import Losses, Reductions, Vector
    from enterprise_node.roster import ActiveSlot
    from privacy.anchors import Covered
    from privacy.policy import Measure, Policy
    from protos.epochs import Epoch

Values: TypeAlias = "NDArray[np.int64]"
# Adds noise of a scale to a vector.
Draw: TypeAlias = "Callable[[Values, int], Values]"


@dataclass(frozen=True, slots=True)
class Contents:
    """The vectors of a release by series name; exact ones never leave this process.

    `people` are the statements before they were put in the order of slots, by measure.
    """

    vectors: Mapping[str, Values]
    people: Mapping[str, Vector] = field(default_factory=dict)

    def noised(self, policy: Policy, enterprise_id: str, draw: Draw) -> Contents:
        """Draw the noise of every series at the policy's scale."""
        return Contents(
            {
                item.name: draw(self.vectors[item.name], item.claim.scale)
                for item in policy.series(enterprise_id)
                if item.name in self.vectors
            }
        )

    def statements(self, policy: Policy, enterprise_id: str) -> dict[str, bytes]:
        """Give statements and anchors by series name as little-endian int64."""
        return {
            item.name: self.vectors[item.name].astype("<i8").tobytes()
            for item in policy.series(enterprise_id)
            if item.by_slot and item.name in self.vectors
        }

    def tables(self, policy: Policy, enterprise_id: str) -> dict[str, list[int]]:
        """Give the tables by series name."""
        return {
            item.name: self.vectors[item.name].tolist()
            for item in policy.series(enterprise_id)
            if not item.by_slot
        }


def exact_contents(
    reductions: Reductions,
    epoch: Epoch,
    policy: Policy,
    enterprise_id: str,
    active: Sequence[ActiveSlot],
    statement: Callable[[Measure], Vector] | None = None,
) -> Contents:
    """Compute the exact statements and tables of the epoch over the active slots; `Year` adds anchors.

    `statement` gives a measure's vector; without it nothing is late, as in a first release.
    """
    mine = policy.enterprise(enterprise_id)
    persons = person_numbers(active)
    vectors: dict[str, Values] = {}
    people: dict[str, Vector] = {}
    # The cells first: their person-days tell regions too, and serve the statements.
    tables = {
        table.table_id: table for table in reductions.histogram(epoch, histogram_spec(policy, mine), persons)
    }
    for measure in mine.measures:
        people[measure.id] = (
            statement(measure) if statement else reductions.statement_vector(epoch, measure_spec(measure))
        )
        vectors[f"statement/{measure.id}"] = rows_of(people[measure.id], persons)
    for item in policy.series(enterprise_id):
        if not item.by_slot:
            table = tables[item.table_id]
            vectors[item.name] = table.sums if item.kind is SeriesKind.SUM else table.counts
            _check_cells(item.name, vectors[item.name], item.cells)
    return Contents(vectors, people)


@dataclass(frozen=True, slots=True)
class Year:
    """What an anchor is made of: the epochs each one totals, what was released then, and who had a slot."""

    covered: Covered
    # Gives a measure's vector as an epoch's release had it.
    earlier: Callable[[Epoch, str], Vector]
    active: Callable[[Epoch], Sequence[ActiveSlot]]

    def anchors(self, contents: Contents, policy: Policy, enterprise_id: str, epoch: Epoch) -> Contents:
        """Add the epoch's anchors: for each active slot the sum of exactly what was released to it."""
        mine = self.active(epoch)
        persons = person_numbers(mine)
        vectors = dict(contents.vectors)
        for item in policy.series(enterprise_id, epoch):
            if item.kind is SeriesKind.ANCHOR:
                total = contents.vectors[f"statement/{item.measure_id}"].copy()
                for one in self.covered[item.name]:
                    if one != epoch:
                        total += self._month(one, item.measure_id, mine, persons)
                vectors[item.name] = total
        return Contents(vectors, contents.people)

    def _month(self, epoch: Epoch, measure_id: str, mine: Sequence[ActiveSlot], persons: Values) -> Values:
        import numpy as np

        then = {slot for slot, _ in self.active(epoch)}
        had = np.fromiter((one.slot in then for one in mine), dtype=np.bool_, count=len(mine))
        return np.where(had, rows_of(self.earlier(epoch, measure_id), persons), 0).astype(np.int64)


def losses(
    reductions: Reductions, epoch: Epoch, policy: Policy, enterprise_id: str, active: Sequence[ActiveSlot]
) -> dict[str, Losses]:
    """Tell what the clamps take away, by measure and table; for the enterprise's eyes only."""
    mine = policy.enterprise(enterprise_id)
    spec = histogram_spec(policy, mine)
    # The cells first: their person-days tell regions too, and serve the statements.
    cells = reductions.histogram_losses(epoch, spec, person_numbers(active))
    found = {
        f"statement/{measure.id}": reductions.statement_losses(epoch, measure_spec(measure))
        for measure in mine.measures
    }
    return found | {f"histogram/{table_id}": loss for table_id, loss in cells.items()}


def person_numbers(active: Sequence[ActiveSlot]) -> Values:
    """Give the persons behind the active slots, in slot order."""
    import numpy as np

    return np.fromiter((item.person for item in active), dtype=np.int64, count=len(active))


def rows_of(vector: Vector, persons: Values) -> Values:
    """Put each slot's grams in its row; who had nothing gets 0, who is not on the roster none."""
    import numpy as np

    if not vector.persons.size:
        return np.zeros(persons.size, dtype=np.int64)
    places = np.searchsorted(vector.persons, persons).clip(max=vector.persons.size - 1)
    return np.where(vector.persons[places] == persons, vector.grams[places], 0).astype(np.int64)


def _check_cells(name: str, values: Values, cells: int | None) -> None:
    if values.ndim != 1 or values.size != cells:
        raise InvariantBroken(
            REASON_INVARIANT_BROKEN, f"{name} has {values.size} cells where the policy's keys give {cells}."
        )
