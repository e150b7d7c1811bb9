"""Pushed records as a source: batches out of the spool, unsealed in memory, until their rows are activities.

Batches are dropped in the step that records their reading; those with rows in quarantine stay, sealed, so
that a mended mapping can read them again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from enterprise_node.sources.delimited import rows_in_memory
from enterprise_node.sources.source import Piece
from enterprise_node.store.sources import SourceFile

if TYPE_CHECKING:
    from enterprise_node.configuration import SourceSettings
    from enterprise_node.sessions import RawSession
    from enterprise_node.sources.source import Relation
    from enterprise_node.spool import Spool
    from enterprise_node.store.push import StoredBatch
    from enterprise_node.store.sources import Outcome, SourceFiles


@dataclass(frozen=True, slots=True)
class PushedSource:
    """What was pushed for one source, in the order it came."""

    settings: SourceSettings
    mapping: str
    files: SourceFiles
    spool: Spool
    piece_bytes: int

    def pieces(self) -> Iterator[Piece]:
        """Give batches kept for their quarantine, then those that wait."""
        batches = self.spool.table.batches(self.settings.id)
        read = sorted((one for one in batches if one.piece is not None), key=lambda one: (one.piece, one.id))
        for _, kept in groupby(read, key=lambda one: one.piece):
            yield self._piece(list(kept))
        group: list[StoredBatch] = []
        for one in batches:
            if one.piece is not None:
                continue
            if group and sum(each.sealed_bytes for each in group) + one.sealed_bytes > self.piece_bytes:
                yield self._piece(group)
                group = []
            group.append(one)
        if group:
            yield self._piece(group)

    def _piece(self, group: list[StoredBatch]) -> Piece:
        """Join batches; their numbers are part of the content, so that equal batches are two."""
        numbers = [one.id for one in group]
        data = b"".join(self.spool.rows(self.settings.id, number) for number in numbers)
        sha256 = group[0].piece or hashlib.sha256(repr(numbers).encode() + data).hexdigest()
        file = SourceFile(
            source=self.settings.id,
            path=f"pushed {numbers[0]} to {numbers[-1]}",
            sha256=sha256,
            size=len(data),
            modified_ns=0,
            mapping=self.mapping,
        )
        is_known = group[0].piece is not None and (
            self.files.known_mapping(file.source, file.sha256) in (self.mapping, None)
        )
        return Piece(file, is_known, partial(self._relation, data), partial(self._recorded, numbers, sha256))

    def _relation(self, data: bytes, session: RawSession) -> Relation:
        return rows_in_memory(session, data, dict.fromkeys(self.settings.columns, "VARCHAR"))

    def _recorded(self, numbers: list[int], sha256: str, outcome: Outcome) -> None:
        if outcome.quarantined:
            self.spool.table.keep(numbers, sha256)
        else:
            self.spool.table.drop(numbers)
