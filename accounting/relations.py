"""The tables a contribution's SQL reads, by name.

`activities` maps an activity code to a table or view; `persons` is (person BIGINT, since_day INTEGER,
until_day INTEGER or NULL); `pooled` (epoch INTEGER, person) are those who let their reductions be pooled;
`exclusions` (epoch INTEGER, person, overlap_class, first_day, end_day) what another enterprise records for
them in an epoch, with its days.
`days` maps a pack's id and an epoch to its person-days (person, day, mg, records, region_code) where they
were reckoned before, so that what is made of them does not sum the activities again.
"""

# ruff: noqa: S608  (SQL is what this module makes; names are the caller's own tables, words pass `literal`)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from accounting.compiled import CompiledPack
from accounting.lowering import literal
from protos.epochs import Epoch, end_day, first_day
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_PACK_INVALID, REASON_PACK_UNKNOWN


@dataclass(frozen=True, slots=True)
class Relations:
    """Names of the tables or views the SQL reads."""

    activities: Mapping[str, str]
    persons: str
    exclusions: str | None = None
    pooled: str | None = None
    days: Mapping[tuple[str, int], str] = field(default_factory=dict)

    def of(self, pack: CompiledPack) -> str:
        """Give the relation of a pack's activity; raises Malformed PACK_UNKNOWN."""
        code = pack.pack.activity.code
        if code not in self.activities:
            raise Malformed(REASON_PACK_UNKNOWN, f"Pack {pack.pack.id} needs the activity {code}.")
        return self.activities[code]

    def days_of(self, pack: CompiledPack, epoch: Epoch, regions: Sequence[str] = ()) -> str:
        """Give the SQL of `person_day_sql` for the epoch's days."""
        kept = self.days.get((pack.pack.id, epoch))
        if kept is None:
            span = first_day(epoch), end_day(epoch)
            return pack.person_day_sql(self.of(pack), None, *span, regions)
        return f"SELECT person, day, mg, records{', region_code' if regions else ''} FROM {kept}"

    def months_of(self, pack: CompiledPack, epoch: Epoch, regions: Sequence[str] = ()) -> str:
        """Give the SQL of `person_month_sql`."""
        if pack.own_history:
            return pack.person_month_sql(self.of(pack), self.persons, epoch, regions)
        return pack.days_month_sql(self.days_of(pack, epoch, regions), len(regions))

    def included(self, pack: CompiledPack, alias: str, epoch: Epoch) -> str:
        """Give the condition that nobody else records this pack's overlap class for the person then."""
        return self._included(pack, alias, f"e.epoch = {int(epoch)}")

    def included_on(self, pack: CompiledPack, alias: str) -> str:
        """Give the same condition for the epoch that the row's own day lies in."""
        return self._included(pack, alias, f"{alias}.day >= e.first_day AND {alias}.day < e.end_day")

    def _included(self, pack: CompiledPack, alias: str, then: str) -> str:
        if self.exclusions is None:
            return "1 = 1"
        own = f"e.person = {alias}.person AND e.overlap_class = {literal(pack.pack.overlap_class)}"
        return f"NOT EXISTS (SELECT 1 FROM {self.exclusions} AS e WHERE {then} AND {own})"


def invalid_plan(what: str, problem: str, remedy: str = "") -> Malformed:
    """Make the PACK_INVALID of a measure or histogram that does not fit together."""
    return Malformed(REASON_PACK_INVALID, f"Measure or table {what!r}: {problem}.", remedy=remedy)
