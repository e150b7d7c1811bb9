"""The engine's tables and views that packs run over, kept as the node's state stands: activities and persons.

Persons come with the days of their contracts; beside them what others record, and whose grams may be pooled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from accounting.contributions import Relations
from protos.epochs import Epoch, end_day, first_day

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accounting.compiler import CompiledPack
    from engine.engine import Engine
    from enterprise_node.activities import Activities
    from enterprise_node.persons import Persons
    from enterprise_node.store.selections import SelectionTable

    PersonNumbers = Sequence[int] | NDArray[np.int64]

_PERSONS = "persons"
_ROSTER = "roster_persons"
_EXCLUSIONS = "excluded_classes"
_POOLED = "pooled_persons"
_EXCLUSION_COLUMNS = {
    "epoch": "INTEGER",
    "person": "BIGINT",
    "overlap_class": "VARCHAR",
    "first_day": "INTEGER",
    "end_day": "INTEGER",
}
_POOLED_COLUMNS = {"epoch": "INTEGER", "person": "BIGINT"}
_PERSON_COLUMNS = {"person": "BIGINT", "since_day": "INTEGER", "until_day": "INTEGER"}


class LiveRelations:
    """Brings tables and views up to date whenever they are asked for."""

    def __init__(
        self,
        engine: Engine,
        activities: Activities,
        persons: Persons,
        packs: Mapping[str, CompiledPack],
        selections: SelectionTable,
    ) -> None:
        self._engine = engine
        self._activities = activities
        self._persons = persons
        self._packs = packs
        self._selections = selections
        self._views: dict[str, str] = {}
        self._contracts: Mapping[str, NDArray[np.int64]] = {}
        self._inputs = ""
        # What the state said when the views and contracts were last brought up to date.
        self._mark: tuple[int, int] | None = None
        self._selected: list[tuple[int, bytes]] = []

    @property
    def inputs(self) -> str:
        """Give a digest of activities, packs and contracts as they were when last asked for."""
        return self._inputs

    def current(self, persons: PersonNumbers | None = None) -> Relations:
        """Bring views and tables up to date; `persons` narrows the persons to a roster."""
        mark = self._persons.mark()
        if mark != self._mark:
            self._refresh(self._persons.contract_columns())
            self._mark = mark
        exclusions, pooled = self._register_selections()
        if persons is None:
            return Relations(self._views, _PERSONS, exclusions, pooled)
        on_roster = np.isin(self._contracts["person"], np.asarray(persons, dtype=np.int64))
        roster = {name: column[on_roster] for name, column in self._contracts.items()}
        self._engine.register(_ROSTER, roster, _PERSON_COLUMNS)
        return Relations(self._views, _ROSTER, exclusions, pooled)

    def _register_selections(self) -> tuple[str | None, str | None]:
        """Bring the tables of what others record, and of who lets grams be pooled, up to date; name them."""
        hashes = self._selections.hashes()
        if not hashes:
            return None, None
        if hashes != self._selected:
            excluded = [
                (epoch, person, overlap_class, first_day(Epoch(epoch)), end_day(Epoch(epoch)))
                for epoch, person, overlap_class in self._selections.exclusions()
            ]
            pooled = self._selections.pooled()
            self._engine.register(_EXCLUSIONS, _columns(excluded, _EXCLUSION_COLUMNS), _EXCLUSION_COLUMNS)
            self._engine.register(_POOLED, _columns(pooled, _POOLED_COLUMNS), _POOLED_COLUMNS)
            self._selected = hashes
        return _EXCLUSIONS, _POOLED

    def _refresh(self, contracts: Mapping[str, NDArray[np.int64]]) -> None:
        inputs = _digest(self._activities, self._packs, contracts)
        if inputs != self._inputs:
            needed = {one.pack.activity.code for one in self._packs.values()}
            self._views = self._activities.define_views(self._engine, needed)
            self._engine.register(_PERSONS, contracts, _PERSON_COLUMNS)
            self._inputs, self._contracts = inputs, contracts


def _digest(
    activities: Activities, packs: Mapping[str, CompiledPack], contracts: Mapping[str, NDArray[np.int64]]
) -> str:
    """Hash everything that decides the epoch's figures."""
    hasher = hashlib.sha256()
    for path in activities.paths():
        hasher.update(activities.relative(path).encode() + b"\0")
    for compiled in packs.values():
        hasher.update(compiled.pack.sha256)
    for column in contracts.values():
        hasher.update(len(column).to_bytes(8, "big"))
        hasher.update(column.tobytes())
    return hasher.hexdigest()


def _columns(rows: Sequence[tuple[Any, ...]], schema: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """Put rows into columns of a schema."""
    kinds = {"INTEGER": np.int32, "BIGINT": np.int64, "VARCHAR": np.object_}
    return {
        name: np.array([row[position] for row in rows], dtype=kinds[kind])
        for position, (name, kind) in enumerate(schema.items())
    }
