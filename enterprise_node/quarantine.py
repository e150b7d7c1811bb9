"""Why a row was not taken: reasons, remedies, and where the row lies; never what it says.

A quarantined row is named by source, file, line and column. Its content stays in the enterprise's own file.
"""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from enterprise_node.sql_text import literal

if TYPE_CHECKING:
    from engine.engine import Engine
    from enterprise_node.store.sources import SourceFiles

RULE_PREFIX = "rule:"


class Flaw(enum.StrEnum):
    """What can be wrong with a row."""

    BROKEN_LINE = "broken-line"
    WRONG_TYPE = "wrong-type"
    MISSING_VALUE = "missing-value"
    NOT_EXACT = "not-exact"
    UNKNOWN_UNIT = "unknown-unit"
    UNKNOWN_CODE = "unknown-code"
    MISSING_FACTOR = "missing-factor"
    DUPLICATE_RECORD = "duplicate-record"
    CHANGED_RECORD = "changed-record"
    TOO_MANY_RECORDS = "too-many-records"
    DATE_OUT_OF_RANGE = "date-out-of-range"
    NO_SUCH_DAY = "no-such-day"
    NEGATIVE_QUANTITY = "negative-quantity"
    BELOW_MINIMUM = "below-minimum"
    ABOVE_MAXIMUM = "above-maximum"
    PERSON_MISSING = "person-missing"
    IDENTIFIER_INVALID = "identifier-invalid"
    # Only of pushed records.
    UNKNOWN_COLUMN = "unknown-column"
    KEY_REUSED = "key-reused"


_BY_RULE = ("A rule of node.toml keeps this row out.", "node.toml 的规则排除了该行。")
_REMEDIES: dict[str, tuple[str, str]] = {
    Flaw.BROKEN_LINE: (
        "Correct the line: number of columns, quotes, encoding.",
        "修正该行的列数、引号或编码。",
    ),
    Flaw.WRONG_TYPE: (
        "Write a value of the declared type; a date in the declared format.",
        "按声明的类型填写；日期按声明的 format。",
    ),
    Flaw.MISSING_VALUE: (
        "Fill the column, or declare a default for it.",
        "补全该列，或声明默认值。",
    ),
    Flaw.NOT_EXACT: (
        "Declare enough decimals, or a rounding for the input.",
        "声明足够的小数位，或取整规则。",
    ),
    Flaw.UNKNOWN_UNIT: (
        "Add the unit to the input's units, or correct it.",
        "在 units 中登记该单位或更正。",
    ),
    Flaw.UNKNOWN_CODE: (
        "Add the value to the lookup file or the codes.",
        "在对照表或 codes 中补充该值。",
    ),
    Flaw.MISSING_FACTOR: (
        "Use a code the pack's factor table holds, or a pack that has it.",
        "使用因子表已有的代码或更新方法学。",
    ),
    Flaw.DUPLICATE_RECORD: (
        "Keep one row for each record id, or declare a version column; one of them was taken.",
        "每个记录编号只留一行，或声明 version 列；已取其中一行。",
    ),
    Flaw.CHANGED_RECORD: (
        "Its month was released with the earlier version, which stays; it cannot move to another.",
        "该记录所属月份已按原版本发布，更正不能移至其他月份。",
    ),
    Flaw.TOO_MANY_RECORDS: (
        "Check why one person has so many records on one day.",
        "核查同一人一天记录过多的原因。",
    ),
    Flaw.DATE_OUT_OF_RANGE: (
        "Correct the date, or the time section's first_day.",
        "更正日期或 first_day。",
    ),
    Flaw.NO_SUCH_DAY: (
        'Declare shift_overflow = "last-day" to take the month\'s last day.',
        "声明 shift_overflow。",
    ),
    Flaw.NEGATIVE_QUANTITY: (
        "Correct it, or keep such rows out by a rule.",
        "更正，或用规则排除。",
    ),
    Flaw.BELOW_MINIMUM: (
        "Check unit and value.",
        "核对单位和数值。",
    ),
    Flaw.ABOVE_MAXIMUM: (
        "Check unit and value.",
        "核对单位和数值。",
    ),
    Flaw.PERSON_MISSING: (
        "Give the customer an identifier in the register.",
        "为客户登记身份标识。",
    ),
    Flaw.IDENTIFIER_INVALID: (
        "Correct the identifier, or the declared identifier_kind.",
        "更正身份标识或其类型。",
    ),
    Flaw.UNKNOWN_COLUMN: (
        "Send only the columns the source declares.",
        "只发送该数据源声明的列。",
    ),
    Flaw.KEY_REUSED: (
        "Send other values under another key; a correction keeps the record's own columns.",
        "不同内容须用不同的键；更正时保留记录编号列。",
    ),
}


def remedy(reason: str) -> str:
    """Say what to do about a reason, in English and Chinese."""
    english, chinese = _REMEDIES.get(reason, _BY_RULE)
    return f"{english} {chinese}"


@dataclass(frozen=True, slots=True)
class Check:
    """One test of a staged row: its reason, the column to look at, and whether it only excludes."""

    reason: str
    column: str
    excludes: bool = False


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How many rows of one source met one reason in one column."""

    source: str
    reason: str
    column: str
    rows: int


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """Where one row lies and why it was not taken."""

    source: str
    file: str
    line: int
    column: str
    reason: str


class Quarantine:
    """The rows not taken: counts in the state, places in one Parquet file for each file read."""

    def __init__(self, home: Path, files: SourceFiles, engine: Engine) -> None:
        self._folder = home / "quarantine"
        self._files = files
        self._engine = engine

    def path_for(self, source: str, sha256: str) -> Path:
        """Name the file with the places of one source file's rows."""
        return self._folder / f"{source}.{sha256[:16]}.parquet"

    def counts(self) -> list[ReasonCount]:
        """Count quarantined rows by source, reason and column."""
        return [ReasonCount(*row) for row in self._files.quarantine_counts()]

    def total(self) -> int:
        """Count all quarantined rows."""
        return sum(count.rows for count in self.counts())

    def rows(self, limit: int, reasons: Sequence[str] = ()) -> Iterator[QuarantinedRow]:
        """List places, file by file, at most `limit` of them."""
        left = limit
        for source, file, sha256 in self._files.with_quarantine():
            path = self.path_for(source, sha256)
            if left <= 0 or not path.exists():
                continue
            wanted = f"WHERE reason IN ({', '.join(map(literal, reasons))})" if reasons else ""
            found = self._engine.rows(
                f'SELECT line, "column", reason FROM read_parquet({literal(path)}) {wanted}'
                f" ORDER BY line LIMIT {left}"
            )
            left -= len(found)
            for line, column, reason in found:
                yield QuarantinedRow(source, file, int(line), column, reason)
