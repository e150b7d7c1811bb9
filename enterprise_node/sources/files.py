"""Files as a source: found by path, glob or folder, known again by the hash of their content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from enterprise_node.file_settings import FileFormat, FileSettings, format_of
from enterprise_node.source_files import identify
from enterprise_node.sources.source import Piece, Reader
from protos.problems import Unavailable
from protos.v1.problem_pb2 import REASON_NOT_FOUND

if TYPE_CHECKING:
    from enterprise_node.configuration import SourceSettings
    from enterprise_node.sessions import RawSession
    from enterprise_node.sources.source import Relation
    from enterprise_node.store.sources import SourceFile, SourceFiles

# Names under which other programs keep what is unfinished or not data.
_NOT_DATA = (".", "_")


@dataclass(frozen=True, slots=True)
class FileSource:
    """The files of one source, in name order."""

    home: Path
    settings: SourceSettings
    # The hash of everything that decides how a row is judged.
    mapping: str
    files: SourceFiles

    def pieces(self) -> Iterator[Piece]:
        """Give every file; unchanged ones are not even opened."""
        declared = self.settings.files()
        for path in find_files(self.home, declared):
            file = identify(self.home, self.settings.id, path, self.mapping, self.files)
            yield Piece(file, is_known(file, self.files), partial(self._relation, path, declared))

    def _relation(self, path: Path, declared: FileSettings, session: RawSession) -> Relation:
        reader = reader_for(declared.format_of(path))
        return reader.relation(session, path, declared, self.settings.columns)


def is_known(file: SourceFile, files: SourceFiles) -> bool:
    """Tell whether reading the file could bring nothing new.

    A content is read again where another one was read from the same path since, and where its mapping changed
    while rows of it are in quarantine.
    """
    mapping = files.known_mapping(file.source, file.sha256)
    if mapping is None or files.was_replaced(file):
        return False
    return mapping == file.mapping or not files.has_quarantine(file.source, file.sha256)


def find_files(home: Path, settings: FileSettings) -> list[Path]:
    """Give the files a path, glob or folder names, in name order; raises Unavailable NOT_FOUND."""
    pattern = home / settings.path
    if pattern.is_dir():
        found = sorted(path for path in pattern.rglob("*") if _is_data(path.relative_to(pattern), pattern))
        found = [path for path in found if settings.kind in (None, format_of(path))]
    else:
        root = Path(pattern.anchor)
        found = sorted(path for path in root.glob(str(pattern.relative_to(root))) if path.is_file())
    if not found:
        raise Unavailable(
            REASON_NOT_FOUND,
            f"No file matches {settings.path}.",
            remedy="Put the file there, or correct `path` in node.toml (relative to its folder).",
        )
    return found


def _is_data(path: Path, folder: Path) -> bool:
    """Tell whether a file in a folder holds rows: a known ending, no hidden part in its path."""
    hidden = any(part.startswith(_NOT_DATA) for part in path.parts)
    return not hidden and format_of(path) is not None and (folder / path).is_file()


def reader_for(kind: FileFormat) -> Reader:
    """Choose the reader of a file's format."""
    match kind:
        case "parquet":
            from enterprise_node.sources.columnar import ParquetReader

            return ParquetReader()
        case "jsonl":
            from enterprise_node.sources.json_lines import JsonLinesReader

            return JsonLinesReader()
        case "csv" | "tsv":
            from enterprise_node.sources.delimited import DelimitedReader

            return DelimitedReader("," if kind == "csv" else "\t")
