"""Points as a position over released statements: one integer SQL text, the same at the hub and at an auditor.

Tables: statement and points(enterprise VARCHAR, epoch INTEGER, measure VARCHAR, pseudonym BLOB, grams BIGINT,
variance BIGINT), points in the column grams; earning(rule INTEGER, enterprise, measure, epoch INTEGER), the
statements each rule takes; link(pseudonym BLOB, account BLOB). Rules are numbered over all of a programme's
versions, in `rules_of`'s order.

A rule's points are a function of the grams so far, floored once; caps by year and in all bound what it has
given. So a close credits position(e) - position(e - 1), and a statement restated, or an anchor, moves both.
"""

# ruff: noqa: S608  (SQL is what this module makes; every word in it is a number or a caller's own table)

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from accounting.programmes.earn_rules import Bracket, EarnFrom, EarnRule
from accounting.programmes.matching import ReleasedMeasure, rule_of
from accounting.programmes.versions import Span
from protos.epochs import Epoch

EARNING_COLUMNS = {
    "rule": "INTEGER",
    "enterprise": "VARCHAR",
    "measure": "VARCHAR",
    "epoch": "INTEGER",
}
YEAR_EPOCHS = 100
# Squared, a shorter rate's terms stay below 2^63 beside each other.
_TERMS_MAX = 1 << 31


@dataclass(frozen=True, slots=True)
class NumberedRule:
    """A rule of one version under its number."""

    number: int
    span: Span
    name: str

    @property
    def rule(self) -> EarnRule:
        """Give the rule itself."""
        return self.span.programme.earn[self.name]


def rules_of(spans: Sequence[Span]) -> tuple[NumberedRule, ...]:
    """Number the rules of all versions, by version and id."""
    named = [(span, name) for span in spans for name in sorted(span.programme.earn)]
    return tuple(NumberedRule(number, span, name) for number, (span, name) in enumerate(named))


def earning_rows(
    spans: Sequence[Span], released: Iterable[tuple[Epoch, ReleasedMeasure]]
) -> Iterator[tuple[int, str, str, Epoch]]:
    """Give the rows of `earning` for measures released for epochs."""
    numbers = {(id(one.span), one.name): one.number for one in rules_of(spans)}
    for epoch, measure in released:
        span = next((one for one in spans if one.holds(epoch)), None)
        name = None if span is None else rule_of(span.programme, measure)
        if span is not None and name is not None:
            yield numbers[id(span), name], measure.enterprise, measure.measure, epoch


def unbroken_cover_sql(spans: Sequence[Span], cover: str = "cover") -> str:
    """Leave out of `cover` anchors of years in which a version begins or ends: their months count alone."""
    borders = sorted({one.first for one in spans} | {one.last + 1 for one in spans if one.last is not None})
    crossed = " OR ".join(f"(b.epoch < {border} AND c.anchor >= {border})" for border in borders)
    return (
        f"(SELECT c.enterprise, c.measure, c.anchor, c.epoch FROM {cover} AS c WHERE NOT EXISTS "
        f"(SELECT 1 FROM {cover} AS b WHERE b.enterprise = c.enterprise AND b.measure = c.measure "
        f"AND b.anchor = c.anchor AND ({crossed})))"
    )


def positions_sql(
    spans: Sequence[Span],
    *,
    statement: str = "statement",
    points: str = "points",
    earning: str = "earning",
    link: str = "link",
) -> str:
    """Give (account, position, variance, excess) ascending by account.

    `excess` is what caps by year and in all keep back of the position; the variance is of the position's
    noise in points^2, rounded up, at each rule's highest rate.
    """
    rules = rules_of(spans)
    taken = _taken(rules, {EarnFrom.GRAMS: statement, EarnFrom.POINTS: points}, earning)
    amounts = (
        "SELECT l.account, t.rule, t.year, CAST(SUM(t.grams) AS BIGINT) AS amount, "
        f"CAST(SUM(t.variance) AS BIGINT) AS variance FROM ({taken}) AS t JOIN {link} AS l "
        "ON t.pseudonym = l.pseudonym GROUP BY l.account, t.rule, t.year"
    )
    whole = _running(rules, "amount")
    reached = f"SELECT account, rule, year, {whole} AS whole, amount, variance FROM ({amounts}) AS a"
    gain = _by_rule(rules, "whole")
    if _is_yearly(rules):
        gain = f"{gain} - {_by_rule(rules, 'whole - amount')}"
    gains = (
        f"SELECT account, rule, year, {gain} AS gain, {_variance(rules)} AS variance FROM ({reached}) AS r"
    )
    return _capped_sql(rules, gains)


def _taken(rules: Sequence[NumberedRule], relations: dict[EarnFrom, str], earning: str) -> str:
    """Give (rule, year, pseudonym, grams, variance) of the statements rules take."""
    parts = []
    for counts, relation in relations.items():
        numbers = [str(one.number) for one in rules if one.rule.counts is counts]
        if numbers:
            parts.append(
                f"SELECT e.rule, {_year(rules)} AS year, s.pseudonym, s.grams, s.variance "
                f"FROM {relation} AS s JOIN {earning} AS e ON s.enterprise = e.enterprise "
                f"AND s.measure = e.measure AND s.epoch = e.epoch WHERE e.rule IN ({', '.join(numbers)})"
            )
    return " UNION ALL ".join(parts)


def _is_yearly(rules: Sequence[NumberedRule]) -> bool:
    """Tell whether a cap is by calendar year; without one, all time is one year."""
    return any(one.rule.year_points_max or one.span.programme.caps.year_points for one in rules)


def _year(rules: Sequence[NumberedRule]) -> str:
    return f"s.epoch // {YEAR_EPOCHS}" if _is_yearly(rules) else "0"


def _running(rules: Sequence[NumberedRule], column: str) -> str:
    """Give the sum of a column over a rule's years so far."""
    over = f"CAST(SUM({column}) OVER (PARTITION BY account, rule ORDER BY year) AS BIGINT)"
    return over if _is_yearly(rules) else column


def _capped_sql(rules: Sequence[NumberedRule], gains: str) -> str:
    """Bound gains (account, rule, year, gain, variance) by item and year, item, year, and in all."""
    by_item = _capped("gain", [(one.number, one.rule.year_points_max) for one in rules], "rule")
    items = f"SELECT account, rule, year, gain, {by_item} AS kept, variance FROM ({gains}) AS g"
    so_far = _running(rules, "kept")
    summed = f"SELECT account, rule, year, gain, kept, {so_far} AS so_far, variance FROM ({items}) AS i"
    in_all = [(one.number, one.rule.overall_points_max) for one in rules]
    step = _capped("so_far", in_all, "rule")
    if _is_yearly(rules):
        step = f"{step} - {_capped('(so_far - kept)', in_all, 'rule')}"
    stepped = (
        f"SELECT account, {_version(rules)} AS version, year, gain, {step} AS kept, variance "
        f"FROM ({summed}) AS s"
    )
    years = (
        "SELECT account, version, year, CAST(SUM(gain) AS BIGINT) AS gain, "
        "CAST(SUM(kept) AS BIGINT) AS kept, "
        f"CAST(SUM(variance) AS BIGINT) AS variance FROM ({stepped}) AS t GROUP BY account, version, year"
    )
    versions = {one.span.programme.version: one.span.programme.caps for one in rules}
    by_year = _capped("kept", [(version, caps.year_points) for version, caps in versions.items()], "version")
    overall = [(version, caps.overall_points) for version, caps in versions.items()]
    whole = (
        "SELECT account, version, CAST(SUM(gain) AS BIGINT) AS gain, "
        f"CAST(SUM({by_year}) AS BIGINT) AS kept, CAST(SUM(variance) AS BIGINT) AS variance "
        f"FROM ({years}) AS y GROUP BY account, version"
    )
    return (
        f"SELECT account, CAST(SUM({_capped('kept', overall, 'version')}) AS BIGINT) AS position, "
        "CAST(SUM(variance) AS BIGINT) AS variance, "
        f"CAST(SUM(gain - {_capped('kept', overall, 'version')}) AS BIGINT) AS excess "
        f"FROM ({whole}) AS w GROUP BY account ORDER BY account"
    )


def _capped(column: str, maxima: Sequence[tuple[int, int]], by: str) -> str:
    """Give a column, at most the maximum of its rule or version; a maximum of 0 is none."""
    cases = " ".join(f"WHEN {by} = {number} THEN LEAST({column}, {most})" for number, most in maxima if most)
    return f"CASE {cases} ELSE {column} END" if cases else column


def _version(rules: Sequence[NumberedRule]) -> str:
    cases = " ".join(f"WHEN rule = {one.number} THEN {one.span.programme.version}" for one in rules)
    return f"CASE {cases} END"


def _by_rule(rules: Sequence[NumberedRule], amount: str) -> str:
    """Give the points of an amount under the row's rule."""
    cases = " ".join(f"WHEN rule = {one.number} THEN {_points(one.rule.steps, amount)}" for one in rules)
    return f"CAST(CASE {cases} END AS BIGINT)"


def _points(steps: Sequence[Bracket], amount: str) -> str:
    """Give a rule's points: each bracket's part at its rate, floored; below 0 at the first rate."""
    parts = []
    for place, step in enumerate(steps):
        inside = f"({amount})"
        if place > 0:
            inside = f"GREATEST({inside} - {step.since}, 0)"
        if place + 1 < len(steps):
            inside = f"LEAST({inside}, {steps[place + 1].since - step.since})"
        parts.append(_floor(inside, *step.ratio))
    return " + ".join(parts)


def _floor(amount: str, numerator: int, denominator: int) -> str:
    """Give floor(amount * numerator / denominator) towards minus infinity, of operands `//` takes."""
    if denominator == 1:
        return f"{amount} * {numerator}"
    below = f"-{_ceiling(f'(-{amount})', numerator, denominator)}"
    return f"CASE WHEN {amount} >= 0 THEN {_quotient(amount, numerator, denominator)} ELSE {below} END"


def _quotient(amount: str, numerator: int, denominator: int, up: int = 0) -> str:
    whole, rest = f"({amount} // {denominator})", f"({amount} % {denominator})"
    return f"({whole} * {numerator} + ({rest} * {numerator} + {up}) // {denominator})"


def _ceiling(amount: str, numerator: int, denominator: int) -> str:
    return _quotient(amount, numerator, denominator, denominator - 1)


def rate_upper(steps: Sequence[Bracket]) -> tuple[int, int]:
    """Give the highest rate of points by gram as a fraction short enough for variances, rounded up."""
    highest = max(Fraction(*step.ratio) for step in steps)
    numerator, denominator = highest.numerator, highest.denominator
    while numerator * denominator >= _TERMS_MAX:
        numerator, denominator = -(-numerator // 2), denominator // 2
    return numerator, denominator


def _variance(rules: Sequence[NumberedRule]) -> str:
    cases = []
    for one in rules:
        numerator, denominator = rate_upper(one.rule.steps)
        cases.append(f"WHEN rule = {one.number} THEN {_ceiling('variance', numerator**2, denominator**2)}")
    return f"CAST(CASE {' '.join(cases)} END AS BIGINT)"
