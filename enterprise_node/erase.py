"""What a person asks to erase leaves the node's files; what the log proves stays.

Files of activities are replaced whole by ones without the rows, in one step with the person's record; the
old ones are gone when the command ends. Of an erased person the node keeps a number and a keyed hash, so that
raw files read again bring nothing back, and the public slot, which ends with the next roster batch; then an
order has the hub erase its salt and pseudonym (slot_erasures).
"""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

import csv
import io
import itertools
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from enterprise_node.commitments import FOLDER as COMMITMENTS_FOLDER
from enterprise_node.exclusive import exclusive
from enterprise_node.ingest import reading_folder
from enterprise_node.removal import removal_session, rows_gone
from enterprise_node.source_files import write_parquet
from enterprise_node.sources.delimited import rows_in_memory
from enterprise_node.sql_text import literal
from enterprise_node.store.erasure import erase_person
from enterprise_node.workspace import LOCK_FILE
from protos.problems import Unavailable
from protos.v1.problem_pb2 import REASON_NOT_FOUND
from runtime.configuration import write_atomic

if TYPE_CHECKING:
    from enterprise_node.configuration import SourceSettings
    from enterprise_node.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Erasure:
    """What left the node: activities, their superseded versions, pushed rows, files of figures."""

    person: int
    activities: int
    superseded: int
    pushed: int
    caches: int

    def to_json(self) -> dict[str, int]:
        """Say it to programs."""
        return {
            "person": self.person,
            "activities": self.activities,
            "superseded": self.superseded,
            "pushed": self.pushed,
            "caches": self.caches,
        }

    def lines(self) -> Iterator[str]:
        """Say it to people."""
        yield f"person 人员 {self.person}: {self.activities:,} activities erased 条行为已删除"
        yield f"  {self.superseded:,} earlier versions 旧版本, {self.pushed:,} pushed rows 推送行"
        yield f"  {self.caches:,} files of figures rewritten 个数据文件已重写"
        yield (
            "The slot ends with the next roster batch; then the hub is ordered to erase salt and pseudonym. "
            "登记位随下一批名册终止，随后平台按签名的删除令删除其盐值与假名。"
        )


def erase(workspace: Workspace, number: int) -> Erasure:
    """Erase one person; raises Unavailable NOT_FOUND for nobody, and BUSY while sources are read."""
    with exclusive(workspace.home / LOCK_FILE, "reading sources"):
        if not workspace.persons.is_known(number):
            raise Unavailable(
                REASON_NOT_FOUND, "No such person is known here.", remedy="Check the identifier."
            )
        shutil.rmtree(reading_folder(workspace.home), ignore_errors=True)
        workspace.database.execute("PRAGMA secure_delete = ON")
        with workspace.removal().removing(f"person = {int(number)}", "erased") as removed:
            pushed = _unpush(workspace, number)
            erase_person(workspace.database, number)
        caches = _erase_caches(workspace, number)
        # Files that corrections took the place of before wait for this.
        workspace.activities.sweep()
        workspace.database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    return Erasure(number, removed.activities, removed.superseded, pushed, caches)


def _unpush(workspace: Workspace, number: int) -> int:
    """Take the person's rows out of the sealed batches that wait or are kept."""
    spool, removed = workspace.spool(), 0
    for source, settings in spool.sources.items():
        columns = list(settings.columns)
        if settings.person not in columns:
            continue
        place = columns.index(settings.person)
        for batch in spool.table.batches(source):
            data = spool.rows(source, batch.id)
            rows = list(csv.reader(io.StringIO(data.decode(), newline="")))
            values = [row[place] for row in rows]
            named = _identifiers(workspace, number, values, settings.identifier_kind)
            theirs = {line for line, value in enumerate(values, 1) if value in named}
            if workspace.persons.former_holders(named, kind=settings.identifier_kind):
                theirs &= _lines_of(workspace, number, settings, data)
            if theirs:
                removed += len(theirs)
                left = [row for line, row in enumerate(rows, 1) if line not in theirs]
                spool.reseal(source, batch.id, left)
    return removed


def _identifiers(workspace: Workspace, number: int, values: Sequence[str], kind: str | None) -> set[str]:
    """Give the raw identifiers that are the person's, or were."""
    numbers = workspace.persons.number_all(values, kind=kind, store=False)
    formers = workspace.persons.former_holders(values, kind=kind)
    theirs = {value for value, found in numbers.items() if found == number}
    return theirs | {value for value, held in formers.items() if number in {one.person for one in held}}


def _lines_of(workspace: Workspace, number: int, settings: SourceSettings, data: bytes) -> set[int]:
    """Give the lines of a batch that are a person's on the days they speak of."""
    with tempfile.TemporaryDirectory(dir=workspace.home / "temp") as folder:
        relate = partial(rows_in_memory, data=data, types=dict.fromkeys(settings.columns, "VARCHAR"))
        staged = workspace.stage(store=False).read(settings, relate, Path(folder) / "staged.parquet")
        sql = f"SELECT line FROM read_parquet({literal(staged.path)}) WHERE person = {int(number)}"
        return {int(line) for (line,) in workspace.engine.rows(sql)}


def _erase_caches(workspace: Workspace, number: int) -> int:
    """Rewrite the files of figures that name the person."""
    count = 0
    with removal_session(workspace.home, workspace.configuration.engine) as connection:
        figures = (
            (workspace.home / name).glob("*/*.parquet")
            for name in ("reductions", "released", COMMITMENTS_FOLDER)
        )
        for path in sorted(itertools.chain.from_iterable(figures)):
            if rows_gone(connection, path, f"person = {int(number)}"):
                sql = f"SELECT * FROM read_parquet({literal(path)}) WHERE person <> {int(number)}"
                mode = path.stat().st_mode & 0o777
                write_parquet(connection, sql, path)
                path.chmod(mode)
                count += 1
    return count + sum(
        _erase_vector(path, number) for path in sorted((workspace.home / "released").glob("*/*.npy"))
    )


def _erase_vector(path: Path, number: int) -> bool:
    """Take the person out of a vector of persons and grams behind a release."""
    import numpy as np

    vector = np.load(path, allow_pickle=False)
    if number not in vector[0]:
        return False
    content = io.BytesIO()
    np.save(content, vector[:, vector[0] != number], allow_pickle=False)
    write_atomic(path, content.getvalue(), mode=path.stat().st_mode & 0o777)
    return True
