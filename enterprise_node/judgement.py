"""What shows only when a file's rows stand together and beside what is kept: repeats, corrections, crowds.

A record id that was kept before is counted as repeated when its content is the same, and is a correction
when it is not: the later version stands. Which is later is told by the source's version column (then results
do not depend on the order of files), else by the order of readings. Of rows of one piece that contradict each
other one is taken by a rule that does not depend on their order. A correction that would carry a record out
of a month whose release was begun into one still open is set aside: it would be released twice. A person has
at most as many records of an activity on one day as the activity allows, which the packs' bounds rest on.
"""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accounting.activities import InputKind
from enterprise_node.activities import VERSION
from enterprise_node.quarantine import RULE_PREFIX, Flaw
from enterprise_node.source_files import write_parquet
from enterprise_node.sql_text import literal, quoted
from enterprise_node.store.sources import FlawCount, flaw_counts
from protos.epochs import Epoch, end_day, first_day

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from accounting.compiler import CompiledPack
    from enterprise_node.activities import Activities
    from enterprise_node.configuration import SourceSettings
    from enterprise_node.mapping import MappedActivity
    from enterprise_node.staging import Staged

REPEATED = "repeated"


@dataclass(frozen=True, slots=True)
class Released:
    """The months whose release was begun, and among them those whose figures are drawn."""

    begun: frozenset[Epoch] = frozenset()
    drawn: frozenset[Epoch] = frozenset()


@dataclass(frozen=True, slots=True)
class Judgement:
    """Judges the rows of one staged file in a working session.

    Afterwards the view `good_<n>` holds the rows to keep of activity n, `replaced` (record, file) what they
    take the place of, and `flawed` (line, column_name, reason, excluded) all others but repeated ones.
    """

    connection: DuckDBPyConnection
    settings: SourceSettings
    staged: Staged
    activities: Activities
    packs: Sequence[CompiledPack]
    # The piece's place in the order of readings.
    reading: int
    released: Released

    def run(self) -> None:
        """Judge all rows."""
        self._define()
        self._repeated_within()
        self._known_before()
        for index, mapped in enumerate(self.staged.plan.activities):
            self._crowds(f"good_{index}", mapped)
            self._factors(f"good_{index}", mapped)
        self.connection.execute(
            "CREATE TABLE replaced AS SELECT DISTINCT record, file FROM known ANTI JOIN late USING (line)"
        )

    def counts(self) -> tuple[FlawCount, ...]:
        """Count the rows not kept, by reason and column."""
        return flaw_counts(
            self._rows("SELECT reason, column_name, excluded, count(*) FROM flawed GROUP BY ALL ORDER BY ALL")
        )

    def repeated(self) -> int:
        """Count the rows that were kept before, unchanged."""
        return int(self._rows(f"SELECT count(*) FROM late WHERE reason = {literal(REPEATED)}")[0][0])

    def corrected(self) -> int:
        """Count the rows to keep that say something else than what was kept."""
        return int(
            self._rows(
                "SELECT count(DISTINCT line) FROM known ANTI JOIN late USING (line) WHERE NOT is_equal"
            )[0][0]
        )

    def late(self) -> int:
        """Count the rows to keep that change a month whose figures are drawn: a later one may carry them."""
        if not self.released.drawn:
            return 0
        now, before = _within("s.day", self.released.drawn), _within("k.day", self.released.drawn)
        return int(
            self._rows(
                "SELECT count(DISTINCT s.line) FROM (staged ANTI JOIN late USING (line)) s"
                f" LEFT JOIN known k ON k.line = s.line WHERE {now} OR coalesce({before}, false)"
            )[0][0]
        )

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

    def _repeated_within(self) -> None:
        """Take one row of each record id: the latest version, among equal ones the least content."""
        inputs = [quoted(name) for mapped in self.staged.plan.activities for name in mapped.columns.values()]
        content = ", ".join(["activity", "day", "region", *inputs, "person", "line"])
        self.connection.execute(
            f"INSERT INTO late SELECT line, CASE WHEN {VERSION} < latest THEN {literal(REPEATED)}"
            f" ELSE {literal(Flaw.DUPLICATE_RECORD)} END, {literal(self._record_columns)}"
            f" FROM (SELECT line, {VERSION}, max({VERSION}) OVER same AS latest, row_number() OVER"
            f" (same ORDER BY {VERSION} DESC NULLS LAST, {content}) AS place FROM staged"
            " SEMI JOIN (SELECT record FROM staged GROUP BY record HAVING count(*) > 1) USING (record)"
            " WINDOW same AS (PARTITION BY record)) WHERE place > 1"
        )

    def _known_before(self) -> None:
        """Compare with what is kept: set aside what is the same, older, or may not move to another month."""
        self.connection.execute(
            "CREATE TABLE known (line BIGINT, record VARCHAR, file VARCHAR, day INTEGER, new_day INTEGER,"
            " is_equal BOOLEAN, is_newer BOOLEAN, in_place BOOLEAN)"
        )
        codes = {one.activity for one in self.activities.files(self.settings.id)}
        for code in sorted(codes):
            self._compare(code)
        column = literal(self._record_columns)
        self.connection.execute(
            f"INSERT INTO late SELECT line, {literal(REPEATED)}, {column} FROM known"
            " GROUP BY line HAVING NOT bool_and(is_newer)"
        )
        begun = self.released.begun
        if codes and begun:
            moved = f"{_within('day', begun)} AND NOT {_within('new_day', begun)}"
            self._late(
                f"SELECT DISTINCT line, {{reason}} FROM known ANTI JOIN late USING (line) WHERE {moved}",
                Flaw.CHANGED_RECORD,
                self.settings.time.column,
            )

    def _compare(self, code: str) -> None:
        """Put rows beside what is kept of one activity under the same record ids."""
        plan = self.staged.plan.activities
        index = next((at for at, one in enumerate(plan) if one.activity.code == code), None)
        is_equal, is_greater, in_place = "false", "false", "false"
        if index is not None:
            pairs = [(plan[index].columns.get(name, name), name) for name in plan[index].activity.columns()]
            same = [f"s.{quoted(new)} IS NOT DISTINCT FROM k.{quoted(old)}" for new, old in pairs]
            is_equal = f"(s.activity = {index} AND {' AND '.join(same)})"
            # Persons last: their numbers depend on the order in which they came.
            pairs.sort(key=lambda pair: pair[1] == "person")
            new, old = (
                ", ".join(f"{side}.{quoted(pair[at])}" for pair in pairs) for at, side in ((0, "s"), (1, "k"))
            )
            is_greater = f"(s.activity = {index} AND row({new}) > row({old}))"
            in_place = f"(s.activity = {index} AND s.day = k.day AND s.person = k.person)"
        greater = [at for at, one in enumerate(plan) if one.activity.code > code]
        if greater:
            is_greater = f"({is_greater} OR s.activity IN ({', '.join(map(str, greater))}))"
        newer = (
            f"CASE WHEN s.{VERSION} IS NULL AND k.{VERSION} IS NULL"
            f" THEN NOT {is_equal} AND {self.reading} >= readings.reading"
            f" WHEN s.{VERSION} IS NULL OR k.{VERSION} IS NULL THEN k.{VERSION} IS NULL"
            f" WHEN s.{VERSION} <> k.{VERSION} THEN s.{VERSION} > k.{VERSION}"
            f" ELSE NOT {is_equal} AND ({self.reading} = readings.reading OR {is_greater}) END"
        )
        self.connection.execute(
            f"INSERT INTO known SELECT s.line, s.record, k.file, k.day, s.day, {is_equal}, {newer},"
            f" {in_place} FROM (staged ANTI JOIN late USING (line)) s"
            f" JOIN {self.activities.versions(code, self.settings.id)} k ON k.record = s.record"
            f" JOIN {self.activities.readings(self.settings.id)} ON readings.file = k.file"
        )

    def _crowds(self, good: str, mapped: MappedActivity) -> None:
        """Set aside what is more than a person can have on one day, the same rows in whatever order.

        What takes the place of a record of that very day goes first: set aside, it would leave that there.
        """
        limit = mapped.activity.records_per_day_max
        kept = (
            f"({self.activities.versions(mapped.activity.code)} ANTI JOIN"
            " (SELECT record, file FROM known ANTI JOIN late USING (line)) USING (record, file))"
        )
        self.connection.execute(
            "CREATE OR REPLACE TABLE crowd AS WITH now AS (SELECT person, day, count(*) AS rows"
            f" FROM {good} GROUP BY ALL), before AS (SELECT person, day, count(*) AS rows FROM {kept}"
            " SEMI JOIN now USING (person, day) GROUP BY ALL) SELECT person, day,"
            f" greatest(0, {limit} - coalesce(before.rows, 0)) AS room FROM now LEFT JOIN before"
            f" USING (person, day) WHERE now.rows + coalesce(before.rows, 0) > {limit}"
        )
        if self._rows("SELECT count(*) FROM crowd")[0][0]:
            newcomer = "line NOT IN (SELECT line FROM known WHERE in_place)"
            self._late(
                "SELECT line, {reason} FROM (SELECT line, room, row_number() OVER (PARTITION BY person, day"
                f" ORDER BY {newcomer}, record) AS place FROM {good} JOIN crowd USING (person, day))"
                " WHERE place > room",
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


def _within(day: str, epochs: frozenset[Epoch]) -> str:
    """Give the condition that a day lies in one of the months."""
    months = [f"{day} >= {first_day(epoch)} AND {day} < {end_day(epoch)}" for epoch in sorted(epochs)]
    return f"({' OR '.join(months)})"


def _columns(mapped: MappedActivity) -> list[str]:
    """Give an activity's columns out of the staged ones."""
    names: Mapping[str, str] = mapped.columns
    kept = [f"{quoted(names.get(name, name))} AS {quoted(name)}" for name in mapped.activity.columns()]
    return [*kept, VERSION]
