"""One raw file through its mapping: lookups joined, persons numbered, every row tested, nothing kept.

The staged Parquet file holds no identifier; a row's problem is the number of the first test it failed.
"""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from enterprise_node.configuration import Lookup, SourceSettings
from enterprise_node.fields import Field, text_of
from enterprise_node.file_settings import Column, FileSettings
from enterprise_node.mapping import FORMER_HOLDERS, PERSON, Plan, Surroundings, plan_source, source_fields
from enterprise_node.sessions import RawSession, raw_session
from enterprise_node.sources.delimited import broken_lines
from enterprise_node.sources.files import find_files, reader_for
from enterprise_node.sql_text import literal, quoted
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from enterprise_node.sources.source import Relation
    from enterprise_node.store.persons import FormerHolder
    from runtime.engines import EngineSettings

_NUMBERS = "person_number"
_FORMERS = "former_holder"
_KEY = "#key"


class Numbering(Protocol):
    """Gives raw identifiers their person numbers."""

    def __call__(self, values: Sequence[str], kind: str | None) -> Mapping[str, int | None]:
        """Give each value its number, None if it is no valid identifier."""
        ...


class Remembering(Protocol):
    """Remembers whose raw identifiers were before they changed hands."""

    def __call__(self, values: Sequence[str], kind: str | None) -> Mapping[str, Sequence[FormerHolder]]:
        """Give the former holders of those that did, the earliest first."""
        ...


@dataclass(frozen=True, slots=True)
class Staged:
    """A file read: where its rows lie, the plan they follow, lines that could not be split into columns."""

    path: Path
    plan: Plan
    rows: int
    broken: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """Reads files of the node's sources."""

    home: Path
    engine: EngineSettings
    around: Surroundings
    numbering: Numbering
    remembering: Remembering

    def read(
        self, settings: SourceSettings, relate: Callable[[RawSession], Relation], target: Path
    ) -> Staged:
        """Read one piece into staged Parquet; raises Malformed where it and its declaration differ."""
        with raw_session(self.engine) as session:
            connection = session.connection
            relation = relate(session)
            plan = plan_source(settings, relation.types, self.around)
            fields = source_fields(settings, relation.types)
            for index, lookup in enumerate(settings.lookup):
                self._load_lookup(session, index, lookup, fields[lookup.key].column)
            joined = _joined(f"SELECT * FROM {relation.sql}", settings, fields)
            self._number_persons(connection, settings, joined, fields[settings.person])
            identifier = text_of(fields[settings.person])
            numbered = (
                f"SELECT r.*, n.number AS {quoted(PERSON)}, f.holders AS {quoted(FORMER_HOLDERS)}"
                f" FROM ({joined}) r LEFT JOIN {_NUMBERS} n ON n.identifier = {identifier}"
                f" LEFT JOIN {_FORMERS} f ON f.identifier = {identifier}"
            )
            rows = _write(connection, plan.select(numbered), target)
            return Staged(target, plan, rows, broken_lines(session))

    def _load_lookup(self, session: RawSession, index: int, lookup: Lookup, key: Column) -> None:
        """Load a lookup's files as text; a key with two different answers is refused."""
        columns = {_KEY: Column(type=key.type, name=lookup.file_key or lookup.key), **lookup.columns}
        parts = [
            _texts(
                session,
                path,
                lookup,
                {name: _undefaulted(column, name) for name, column in columns.items()},
            )
            for path in find_files(self.home, lookup)
        ]
        table, named = quoted(_lookup_table(index)), quoted(_KEY)
        union = " UNION ALL ".join(parts)
        connection = session.connection
        connection.execute(
            f"CREATE TEMP TABLE {table} AS SELECT DISTINCT * FROM ({union}) WHERE {named} IS NOT NULL"
        )
        twice = _value(
            connection, f"SELECT count(*) FROM (SELECT 1 FROM {table} GROUP BY {named} HAVING count(*) > 1)"
        )
        if twice:
            raise Malformed(
                REASON_CONFIGURATION_INVALID,
                f"{lookup.path}: {twice} values of {columns[_KEY].name!r} stand in several rows that differ.",
                remedy="Keep one row for each key.",
            )

    def _number_persons(
        self, connection: DuckDBPyConnection, settings: SourceSettings, joined: str, person: Field
    ) -> None:
        """Number all persons the file or the lookup names, in the order of their identifiers."""
        giving = [index for index, one in enumerate(settings.lookup) if person.name in one.columns]
        rows = f"SELECT * FROM {quoted(_lookup_table(giving[-1]))}" if giving else joined
        found = connection.execute(
            f"SELECT DISTINCT {text_of(person)} AS identifier FROM ({rows})"
            " WHERE identifier IS NOT NULL ORDER BY identifier"
        ).fetchnumpy()["identifier"]
        values = [str(value) for value in found]
        numbers = self.numbering(values, settings.identifier_kind)
        load_persons(connection, _NUMBERS, {value: one for value, one in numbers.items() if one is not None})
        _load_former_holders(connection, self.remembering(values, settings.identifier_kind))


def load_persons(connection: DuckDBPyConnection, table: str, numbers: Mapping[str, int]) -> None:
    """Put identifiers and numbers into a table of the session's memory."""
    import numpy as np

    connection.execute(f"CREATE TEMP TABLE {table} (identifier VARCHAR, number BIGINT)")
    if numbers:
        arrays = {
            "identifier": np.array(list(numbers), dtype=object),
            "number": np.array(list(numbers.values()), dtype=np.int64),
        }
        connection.register("arrays", arrays)
        connection.execute(f"INSERT INTO {table} SELECT identifier, number FROM arrays")
        connection.unregister("arrays")


def _load_former_holders(
    connection: DuckDBPyConnection, formers: Mapping[str, Sequence[FormerHolder]]
) -> None:
    """Put whose identifiers were before into a table of the session's memory."""
    connection.execute(
        f"CREATE TEMP TABLE {_FORMERS}"
        " (identifier VARCHAR, holders STRUCT(until_day INTEGER, person BIGINT)[])"
    )
    for identifier, holders in formers.items():
        rows = [one._asdict() for one in holders]
        connection.execute(f"INSERT INTO {_FORMERS} VALUES (?, ?)", [identifier, rows])


def _joined(rows: str, settings: SourceSettings, fields: Mapping[str, Field]) -> str:
    """Join the lookups one after the other."""
    for index, lookup in enumerate(settings.lookup):
        rows = (
            f"SELECT r.*, l.* EXCLUDE ({quoted(_KEY)}) FROM ({rows}) r"
            f" LEFT JOIN {quoted(_lookup_table(index))} l ON l.{quoted(_KEY)} = {text_of(fields[lookup.key])}"
        )
    return rows


def _texts(session: RawSession, path: Path, settings: FileSettings, columns: Mapping[str, Column]) -> str:
    """Give a file's declared columns as text."""
    relation = reader_for(settings.format_of(path)).relation(session, path, settings, columns)
    items = ", ".join(
        f"{text_of(Field(name, quoted(name), relation.types[name], column))} AS {quoted(name)}"
        for name, column in columns.items()
    )
    return f"SELECT {items} FROM {relation.sql}"


def _undefaulted(column: Column, name: str) -> Column:
    """Drop the default, which applies after the join, and keep the name in the file."""
    return column.model_copy(update={"default": None, "name": column.name or name})


def _lookup_table(index: int) -> str:
    return f"lookup {index}"


def _write(connection: DuckDBPyConnection, sql: str, target: Path) -> int:
    copied = _value(connection, f"COPY ({sql}) TO {literal(target)} (FORMAT parquet, COMPRESSION snappy)")
    return int(copied)


def _value(connection: DuckDBPyConnection, sql: str) -> int:
    return int(connection.execute(sql).fetchall()[0][0])
