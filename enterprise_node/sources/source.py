"""What a source of activities offers: pieces, each an SQL relation of declared columns with an identity.

A relation has the declared columns, as text or in their native type, and `#line` for the row's place. Types
are never sniffed; what a piece really holds is compared with the declaration before it is read. A piece is
read whole or not at all, and known again by the hash of its content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID

if TYPE_CHECKING:
    from enterprise_node.file_settings import Column, TextForm
    from enterprise_node.sessions import RawSession
    from enterprise_node.store.sources import Outcome, SourceFile

LINE = "#line"
# A column of formats in which a line can be read but not understood: true where it was not.
BROKEN = "#broken"


@dataclass(frozen=True, slots=True)
class Relation:
    """One piece as a FROM item, and the SQL type each declared column has in it."""

    sql: str
    types: Mapping[str, str]


def nothing_more(outcome: Outcome) -> None:
    """Note nothing beside the outcome itself."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of a source: what it is, whether reading it could bring anything new, how to read it."""

    file: SourceFile
    is_known: bool
    relation: Callable[[RawSession], Relation]
    # Called inside the transaction that records what came of the piece.
    recorded: Callable[[Outcome], None] = nothing_more


class Source(Protocol):
    """Where activities come from: files, a database, what was pushed here."""

    def pieces(self) -> Iterator[Piece]:
        """Give what there is, in order; one piece is done with before the next is asked for."""
        ...


class Reader(Protocol):
    """Reads files of one format."""

    def relation(
        self, session: RawSession, path: Path, form: TextForm, columns: Mapping[str, Column]
    ) -> Relation:
        """Compare the file with the declaration and give it as a relation."""
        ...


def column_problem(path: Path, column: str, said: str, remedy: str) -> Malformed:
    """Say that a file and its declaration differ."""
    return Malformed(REASON_CONFIGURATION_INVALID, f"{path.name}, column {column!r}: {said}", remedy=remedy)
