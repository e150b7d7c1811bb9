"""What a release says before noise: one row for every active slot, every public cell, zeros included."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from enterprise_node.terms import histogram_spec, measure_spec
from privacy.policy import SeriesKind
from protos.problems import InvariantBroken
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from enterprise_node.reductions import Histogram, Losses, Reductions, Vector
    from enterprise_node.roster import ActiveSlot
    from privacy.policy import Policy
    from protos.epochs import Epoch

Values: TypeAlias = "NDArray[np.int64]"
# Adds noise of a scale to a vector.
Draw: TypeAlias = "Callable[[Values, int], Values]"


@dataclass(frozen=True, slots=True)
class Contents:
    """The vectors of a release by series name; exact ones never leave this process."""

    vectors: Mapping[str, Values]

    def noised(self, policy: Policy, enterprise_id: str, draw: Draw) -> Contents:
        """Draw the noise of every series at the policy's scale."""
        return Contents(
            {
                item.name: draw(self.vectors[item.name], item.claim.scale)
                for item in policy.series(enterprise_id)
            }
        )

    def statements(self, policy: Policy, enterprise_id: str) -> dict[str, bytes]:
        """Give the statements by measure as little-endian int64."""
        return {
            item.measure_id: self.vectors[item.name].astype("<i8").tobytes()
            for item in policy.series(enterprise_id)
            if item.kind is SeriesKind.STATEMENT
        }

    def tables(self, policy: Policy, enterprise_id: str) -> dict[str, list[int]]:
        """Give the tables by series name."""
        return {
            item.name: self.vectors[item.name].tolist()
            for item in policy.series(enterprise_id)
            if item.kind is not SeriesKind.STATEMENT
        }


def exact_contents(
    reductions: Reductions, epoch: Epoch, policy: Policy, enterprise_id: str, active: Sequence[ActiveSlot]
) -> Contents:
    """Compute the exact vectors of the epoch over the active slots."""
    mine = policy.enterprise(enterprise_id)
    persons = person_numbers(active)
    vectors: dict[str, Values] = {}
    for measure in mine.measures:
        vector = reductions.statement_vector(epoch, measure_spec(measure))
        vectors[f"statement/{measure.id}"] = _rows(vector, persons)
    tables = {
        table.table_id: table for table in reductions.histogram(epoch, histogram_spec(policy, mine), persons)
    }
    for item in policy.series(enterprise_id):
        if item.kind is not SeriesKind.STATEMENT:
            table = tables[item.table_id]
            vectors[item.name] = table.sums if item.kind is SeriesKind.SUM else table.counts
            _check_cells(item.name, vectors[item.name], item.cells)
    return Contents(vectors)


def losses(
    reductions: Reductions, epoch: Epoch, policy: Policy, enterprise_id: str, active: Sequence[ActiveSlot]
) -> dict[str, Losses]:
    """Tell what the clamps take away, by measure and table; for the enterprise's eyes only."""
    mine = policy.enterprise(enterprise_id)
    found = {
        f"statement/{measure.id}": reductions.statement_losses(epoch, measure_spec(measure))
        for measure in mine.measures
    }
    tables: list[Histogram] = reductions.histogram(
        epoch, histogram_spec(policy, mine), person_numbers(active)
    )
    return found | {f"histogram/{table.table_id}": table.losses for table in tables}


def person_numbers(active: Sequence[ActiveSlot]) -> Values:
    """Give the persons behind the active slots, in slot order."""
    import numpy as np

    return np.fromiter((item.person for item in active), dtype=np.int64, count=len(active))


def _rows(vector: Vector, persons: Values) -> Values:
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
