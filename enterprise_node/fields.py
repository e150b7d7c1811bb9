"""How one raw column becomes SQL: its text, its exact number, its civil day, and the tests it can fail.

Numbers are whole multiples of 10^-decimals; a value that is not one is "not exact", never rounded in
silence. A binary double is taken only within 1e-6 of such a multiple. Days are UTC+8 civil days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from enterprise_node.quarantine import Flaw
from enterprise_node.sql_text import literal

if TYPE_CHECKING:
    from enterprise_node.configuration import Time
    from enterprise_node.file_settings import Column

# Zones whose clock is UTC+8 already, so that their days are ours.
_CIVIL_ZONES = frozenset({"Asia/Shanghai", "Asia/Chongqing", "Asia/Hong_Kong", "PRC", "Etc/GMT-8"})
# What a binary double may differ from a decimal: 1e-6, and never so much that two decimals could be meant.
_DOUBLE_TOLERANCE = 1e-6
_DOUBLE_STEPS_TOLERANCE_MAX = 0.01
_BIGINT_DIGITS = 18
_DOUBLE_DIGITS = 15
_DAY_MIN = "DATE '0001-01-01'"
_DAY_MAX = "DATE '9000-01-01'"


@dataclass(frozen=True, slots=True)
class Field:
    """One column as it stands in the joined rows: an SQL expression, its SQL type, and what was declared."""

    name: str
    expression: str
    sql_type: str
    column: Column

    @property
    def is_text(self) -> bool:
        """Tell whether the file holds text here."""
        return self.sql_type == "VARCHAR"


@dataclass(frozen=True, slots=True)
class Number:
    """An exact number as SQL: steps of 10^-decimals (NULL when a test fails), and the tests in order."""

    steps: str
    decimals: int
    tests: tuple[tuple[str, Flaw], ...]


def text_of(field: Field) -> str:
    """Give the value as text; NULL when empty, unless a default is declared."""
    if not field.is_text:
        bare = f"CAST({field.expression} AS VARCHAR)"
    else:
        bare = f"nullif(trim({field.expression}), '')"
    return f"coalesce({bare}, {literal(field.column.default)})" if field.column.default is not None else bare


def number_of(field: Field) -> Number:
    """Give the value as an exact number of the declared decimals."""
    decimals = field.column.decimals if field.column.type in ("decimal", "double") else 0
    if field.sql_type in ("DOUBLE", "FLOAT"):
        return _number_of_double(field, decimals)
    return _number_of_text(text_of(field), decimals)


def _number_of_text(text: str, decimals: int) -> Number:
    """Read decimal text; the pattern is the exactness test, so that no cast can round."""
    digits = _BIGINT_DIGITS - decimals
    exact = f"regexp_full_match({text}, '[+-]?[0-9]{{1,{digits}}}([.][0-9]{{0,{decimals}}}0*)?')"
    # Wide enough for the product, which DuckDB computes at the factor's own width.
    width = _BIGINT_DIGITS + decimals
    steps = f"CAST(CAST({text} AS DECIMAL({width},{decimals})) * {10**decimals} AS BIGINT)"
    return Number(
        f"CASE WHEN {exact} THEN {steps} END",
        decimals,
        (
            (f"{text} IS NULL", Flaw.MISSING_VALUE),
            (f"NOT coalesce(isfinite(TRY_CAST({text} AS DOUBLE)), false)", Flaw.WRONG_TYPE),
            (f"abs(TRY_CAST({text} AS DOUBLE)) >= 1e{digits}", Flaw.ABOVE_MAXIMUM),
            (f"NOT {exact}", Flaw.NOT_EXACT),
        ),
    )


def _number_of_double(field: Field, decimals: int) -> Number:
    """Read a binary double that stands for a decimal."""
    value = f"CAST({field.expression} AS DOUBLE)"
    scaled = f"({value} * {10**decimals})"
    tolerance = min(_DOUBLE_TOLERANCE * 10**decimals, _DOUBLE_STEPS_TOLERANCE_MAX)
    small = f"abs({value}) < 1e{_DOUBLE_DIGITS - decimals}"
    exact = f"abs({scaled} - round({scaled})) <= {tolerance:.10f}"
    return Number(
        f"CASE WHEN isfinite({value}) AND {small} AND {exact} THEN CAST(round({scaled}) AS BIGINT) END",
        decimals,
        (
            (f"{value} IS NULL", Flaw.MISSING_VALUE),
            (f"NOT isfinite({value})", Flaw.WRONG_TYPE),
            (f"NOT ({small})", Flaw.ABOVE_MAXIMUM),
            (f"NOT ({exact})", Flaw.NOT_EXACT),
        ),
    )


def moment_of(field: Field, time: Time) -> str:
    """Give the record's start as a TIMESTAMP of the UTC+8 clock; NULL if the text has another form."""
    if field.is_text:
        moment = f"try_strptime({text_of(field)}, {literal(time.format)})"
        instant = "%z" in time.format.lower()
    else:
        moment, instant = field.expression, field.sql_type == "TIMESTAMP WITH TIME ZONE"
        moment = moment if instant else f"CAST({moment} AS TIMESTAMP)"
    if not instant and time.time_zone in _CIVIL_ZONES:
        return moment
    if not instant:
        moment = f"timezone({literal(time.time_zone)}, {moment})"
    return f"(timezone('UTC', {moment}) + INTERVAL 8 HOUR)"


def day_of(moment: str) -> str:
    """Give a moment's civil day as a DATE; NULL outside the years 1 to 9000."""
    day = f"CAST({moment} AS DATE)"
    return f"CASE WHEN isfinite({day}) AND {day} BETWEEN {_DAY_MIN} AND {_DAY_MAX} THEN {day} END"


def shifted(day: str, months: int) -> str:
    """Move a DATE by months; a day the target month lacks becomes its last day."""
    return f"CAST({day} + INTERVAL ({months}) MONTH AS DATE)" if months else day


def day_number(day: str) -> str:
    """Count a DATE's days since 1970-01-01."""
    return f"CAST({day} - DATE '1970-01-01' AS INTEGER)"
