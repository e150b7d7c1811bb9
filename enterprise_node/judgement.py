"""What shows only when a file's rows stand together and beside what is kept: repeats, changes, crowds.

A record id that was kept before is counted as repeated when its content is the same, and quarantined as
changed when it is not: the first version stays. Within a file the first row of a record id is taken. A person
has at most as many records of an activity on one day as the activity allows, which the packs' bounds rest on.
"""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accounting.activities import InputKind
from enterprise_node.quarantine import RULE_PREFIX, Flaw
from enterprise_node.source_files import write_parquet
from enterprise_node.sql_text import literal, quoted
from enterprise_node.store.sources import FlawCount, flaw_counts

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from accounting.compiler import CompiledPack
    from enterprise_node.activities import Activities
    from enterprise_node.configuration import SourceSettings
    from enterprise_node.mapping import MappedActivity
    from enterprise_node.staging import Staged

REPEATED = "repeated"


@dataclass(frozen=True, slots=True)
class Judgement:
    """Judges the rows of one staged file in a working session.

    Afterwards the view `good_<n>` holds the rows to keep of activity n, and `flawed` (line, column_name,
    reason, excluded) all others but repeated ones.
    """

    connection: DuckDBPyConnection
    settings: SourceSettings
    staged: Staged
    activities: Activities
    packs: Sequence[CompiledPack]

    def run(self) -> None:
        """Judge all rows."""
        self._define()
        self._late(
            "SELECT line, {reason} FROM staged JOIN (SELECT record, min(line) AS first FROM staged"
            " GROUP BY record HAVING count(*) > 1) USING (record) WHERE line > first",
            Flaw.DUPLICATE_RECORD,
            self._record_columns,
        )
        for index, mapped in enumerate(self.staged.plan.activities):
            self._kept_before(f"good_{index}", mapped)
            self._crowds(f"good_{index}", mapped)
            self._factors(f"good_{index}", mapped)

    def counts(self) -> tuple[FlawCount, ...]:
        """Count the rows not kept, by reason and column."""
        return flaw_counts(
            self._rows("SELECT reason, column_name, excluded, count(*) FROM flawed GROUP BY ALL ORDER BY ALL")
        )

    def repeated(self) -> int:
        """Count the rows that were kept before, unchanged."""
        return int(self._rows(f"SELECT count(*) FROM late WHERE reason = {literal(REPEATED)}")[0][0])

    def write_flawed(self, target: Path) -> None:
        """Keep the places of quarantined rows; without any, no file is left."""
        if not self._rows("SELECT count(*) FROM flawed WHERE NOT excluded")[0][0]:
            target.unlink(missing_ok=True)
            return
        columns = 'line, column_name AS "column", reason'
        write_parquet(
            self.connection, f"SELECT {columns} FROM flawed WHERE NOT excluded ORDER BY line", target
        )

    @property
    def _record_columns(self) -> str:
        return "+".join(self.settings.record)

    def _define(self) -> None:
        """Name the staged rows, the tests, and the views that `run` fills by and by."""
        run, source = self.connection.execute, f"read_parquet({literal(self.staged.path)})"
        run("CREATE TABLE late (line BIGINT, reason VARCHAR, column_name VARCHAR)")
        run("CREATE TABLE test (problem SMALLINT, reason VARCHAR, column_name VARCHAR, excluded BOOLEAN)")
        for number, check in enumerate(self.staged.plan.checks):
            reason = check.reason.removeprefix(RULE_PREFIX) if check.excludes else str(check.reason)
            run("INSERT INTO test VALUES (?, ?, ?, ?)", [number, reason, check.column, check.excludes])
        run("CREATE TABLE broken (line BIGINT, column_name VARCHAR)")
        for line, column in self.staged.broken:
            run("INSERT INTO broken VALUES (?, ?)", [line, column])
        run(f"CREATE VIEW staged AS SELECT * FROM {source} WHERE problem IS NULL")
        for index, mapped in enumerate(self.staged.plan.activities):
            columns = ", ".join(_columns(mapped))
            run(
                f"CREATE VIEW good_{index} AS SELECT line, {columns} FROM staged ANTI JOIN late USING (line)"
                f" WHERE activity = {index}"
            )
        self._define_flawed(source)

    def _define_flawed(self, source: str) -> None:
        """Give every flawed row its line in the file: the reader did not count broken lines before it."""
        self.connection.execute(
            "CREATE VIEW gap AS SELECT threshold, max(number) AS lines FROM (SELECT number, line - number + 1"
            " AS threshold FROM (SELECT line, row_number() OVER (ORDER BY line) AS number FROM broken))"
            " GROUP BY threshold"
        )
        self.connection.execute(
            "CREATE VIEW flawed AS SELECT r.line + coalesce(gap.lines, 0) AS line, column_name, reason,"
            f" excluded FROM (SELECT line, column_name, reason, excluded FROM {source}"
            " JOIN test USING (problem) UNION ALL SELECT line, column_name, reason, false FROM late"
            f" WHERE reason <> {literal(REPEATED)}) r ASOF LEFT JOIN gap ON r.line >= gap.threshold"
            f" UNION ALL SELECT line, column_name, {literal(Flaw.BROKEN_LINE)}, false FROM broken"
        )

    def _late(self, select: str, reason: str, column: str) -> None:
        """Set rows aside; `{reason}` in the query stands for reason and column."""
        filled = select.replace("{reason}", f"{literal(reason)}, {literal(column)}")
        self.connection.execute(f"INSERT INTO late {filled}")

    def _kept_before(self, good: str, mapped: MappedActivity) -> None:
        """Set aside what was kept before, unchanged or not."""
        if not self.activities.paths(source=self.settings.id):
            return
        code = mapped.activity.code
        kept = self.activities.relation(code, self.settings.id)
        columns = [quoted(name) for name in mapped.activity.columns()]
        same = " AND ".join(f"s.{name} IS NOT DISTINCT FROM k.{name}" for name in columns)
        column = literal(self._record_columns)
        self.connection.execute(
            f"INSERT INTO late SELECT s.line, CASE WHEN {same} THEN {literal(REPEATED)}"
            f" ELSE {literal(Flaw.CHANGED_RECORD)} END, {column} FROM {good} s JOIN {kept} k USING (record)"
        )
        self._late(
            f"SELECT line, {{reason}} FROM {good} SEMI JOIN {self.activities.records(self.settings.id)} k"
            " USING (record)",
            Flaw.CHANGED_RECORD,
            self._record_columns,
        )

    def _crowds(self, good: str, mapped: MappedActivity) -> None:
        """Set aside what is more than a person can have on one day."""
        limit = mapped.activity.records_per_day_max
        kept = self.activities.relation(mapped.activity.code)
        self.connection.execute(
            "CREATE OR REPLACE TABLE crowd AS WITH now AS (SELECT person, day, count(*) AS rows"
            f" FROM {good} GROUP BY ALL), before AS (SELECT person, day, count(*) AS rows FROM {kept} k"
            " SEMI JOIN now USING (person, day) GROUP BY ALL) SELECT person, day,"
            f" greatest(0, {limit} - coalesce(before.rows, 0)) AS room FROM now LEFT JOIN before"
            f" USING (person, day) WHERE now.rows + coalesce(before.rows, 0) > {limit}"
        )
        if self._rows("SELECT count(*) FROM crowd")[0][0]:
            self._late(
                "SELECT line, {reason} FROM (SELECT line, room, row_number() OVER (PARTITION BY person, day"
                f" ORDER BY line) AS place FROM {good} JOIN crowd USING (person, day)) WHERE place > room",
                Flaw.TOO_MANY_RECORDS,
                self.settings.person,
            )

    def _factors(self, good: str, mapped: MappedActivity) -> None:
        """Set aside records whose key is in no factor table a pack of ours reads."""
        for compiled in self.packs:
            if compiled.pack.activity.code != mapped.activity.code or not compiled.pack.tables:
                continue
            first, last = self._rows(f"SELECT min(day), max(day) FROM {good}")[0]
            if first is None:
                continue
            unmatched = compiled.unmatched_sql(good, first, last + 1)
            self._late(
                f"SELECT line, {{reason}} FROM {good} SEMI JOIN ({unmatched}) u USING (record)",
                Flaw.MISSING_FACTOR,
                self._key_columns(compiled),
            )

    def _key_columns(self, compiled: CompiledPack) -> str:
        """Name the columns the pack's keys come from."""
        keys = [one.name for one in compiled.pack.activity.inputs if one.kind is InputKind.KEY]
        used = [self.settings.inputs[name].column for name in keys if name in compiled.pack.inputs]
        return "+".join(column for column in used if column is not None)

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self.connection.execute(sql).fetchall()
        return rows


def _columns(mapped: MappedActivity) -> list[str]:
    """Give an activity's columns out of the staged ones."""
    names: Mapping[str, str] = mapped.columns
    return [f"{quoted(names.get(name, name))} AS {quoted(name)}" for name in mapped.activity.columns()]
