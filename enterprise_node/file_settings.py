"""What node.toml may say of files and their columns: where they lie, their form, their declared types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from runtime.configuration import Settings

COLUMNS_MAX = 256
DECIMALS_MAX = 9

ColumnName = Annotated[str, Field(min_length=1, max_length=128)]
Text = Annotated[str, Field(min_length=1, max_length=256)]


class Column(Settings):
    """One declared column of a file: its type, and what must be known to read it exactly."""

    # text, integer, decimal (exact text or DECIMAL), double (binary; exact at `decimals` within 1e-6 or
    # quarantined), timestamp (native in Parquet, `format` of the time section in CSV), date.
    type: Literal["text", "integer", "decimal", "double", "timestamp", "date"] = "text"
    # Most digits after the point of a decimal or double; more is "not exact".
    decimals: Annotated[int, Field(ge=0, le=DECIMALS_MAX)] = 0
    # The name in the file, where it differs from the name used here.
    name: ColumnName | None = None
    # A private column never reaches disk: in record ids a keyed token stands for its value.
    private: bool = False
    # Takes the place of an empty value.
    default: Text | None = None


def _column(value: object) -> object:
    """Let `"integer"` stand for `{ type = "integer" }`."""
    return {"type": value} if isinstance(value, str) else value


ColumnDeclaration = Annotated[Column, BeforeValidator(_column)]
Columns = Annotated[dict[ColumnName, ColumnDeclaration], Field(min_length=1, max_length=COLUMNS_MAX)]


FileFormat = Literal["csv", "tsv", "jsonl", "parquet"]
# Files of these endings are found in a folder; text may have .gz or .zst after it.
ENDINGS: dict[str, FileFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
COMPRESSED = (".gz", ".zst")


class TextForm(Settings):
    """What is needed to read a text file without guessing."""

    # gb18030 is read through a decoder.
    encoding: Literal["utf-8", "gb18030"] = "utf-8"
    # A comma, a tab in TSV.
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    # The first line of CSV and TSV names the columns (checked against the declaration), or there is none.
    header: bool = True


class FileSettings(TextForm):
    """Which files are read, and how."""

    # Taken from each file's ending when absent: .csv, .tsv, .jsonl, .ndjson, .parquet; csv for any other.
    kind: FileFormat | None = None
    # One path, glob, or folder (all files below it with such an ending).
    path: Text

    def format_of(self, path: Path) -> FileFormat:
        """Give the declared kind, or the one the file's ending tells."""
        return self.kind or format_of(path) or "csv"


def format_of(path: Path) -> FileFormat | None:
    """Tell a file's format by its ending, None if it has no known one."""
    name = path.name.lower()
    for ending in COMPRESSED:
        name = name.removesuffix(ending)
    return next((kind for ending, kind in ENDINGS.items() if name.endswith(ending)), None)
