"""The account fold: statements joined by pseudonym into accounts, the same SQL at the hub and at an auditor.

Tables: statement(enterprise VARCHAR, epoch INTEGER, measure VARCHAR, slot BIGINT, pseudonym BLOB, grams
BIGINT, variance BIGINT), variance in grams^2 rounded up; anchor with the same columns, epoch its release's;
cover(enterprise, measure, anchor INTEGER, epoch INTEGER), the epochs an anchor totals;
weight(enterprise, measure, anchor, months BIGINT, share BIGINT, whole BIGINT, variance BIGINT), what an
anchor counts for beside that many months; link(pseudonym BLOB, account BLOB), one row a pseudonym;
released(enterprise, epoch, table_id, kind, cell INTEGER, value BIGINT, variance BIGINT).
"""

# ruff: noqa: S608  (SQL is what this module makes; the names in it are the caller's own tables)

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from protos.problems import InvariantBroken
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN

ACCOUNT_BYTES = 16
MG2_PER_GRAM2 = 1_000_000
# Weights stay below this, so that their products stay below 2^63.
WHOLE_MAX = 1 << 31


class Weight(NamedTuple):
    """An anchor's share / whole in the combined total, and that total's variance in grams^2, rounded up."""

    share: int
    whole: int
    variance: int


def anchor_weight(month_variances: Sequence[int], anchor_variance: int) -> Weight:
    """Weigh an anchor against the months it totals by inverse variance: n / (n + 1) at equal variances.

    Any fixed weights leave the total unbiased; those too long for the SQL are halved until they fit, and the
    variance is that of the weights used.
    """
    months = sum(month_variances)
    share, rest = months, anchor_variance
    while (share + rest) // math.gcd(share, rest) >= WHOLE_MAX:
        share, rest = (share + 1) // 2, (rest + 1) // 2
    divisor = math.gcd(share, rest)
    share, rest = share // divisor, rest // divisor
    whole = share + rest
    variance = rest * rest * months + share * share * anchor_variance
    return Weight(share, whole, -(-variance // (whole * whole)))


def accounts_sql(statement: str = "statement", link: str = "link") -> str:
    """Give (account, balance_mg, variance, enterprises) ascending by account; variance in grams^2.

    `statement` may be anything with the columns enterprise, pseudonym, grams and variance.
    """
    return (
        "SELECT l.account, CAST(SUM(s.grams) AS BIGINT) * 1000 AS balance_mg, "
        "CAST(SUM(s.variance) AS BIGINT) AS variance, "
        "CAST(COUNT(DISTINCT s.enterprise) AS BIGINT) AS enterprises "
        f"FROM {statement} AS s JOIN {link} AS l ON s.pseudonym = l.pseudonym "
        "GROUP BY l.account ORDER BY l.account"
    )


def sources_sql(statement: str = "statement", link: str = "link") -> str:
    """Give (enterprise, measure, epoch, position), ascending: which statements all accounts' mg come from.

    The sum of positions is that of `accounts_sql`'s balances over the same relations.
    """
    return (
        "SELECT s.enterprise, s.measure, s.epoch, CAST(SUM(s.grams) AS BIGINT) * 1000 AS position "
        f"FROM {statement} AS s JOIN {link} AS l ON s.pseudonym = l.pseudonym "
        "GROUP BY s.enterprise, s.measure, s.epoch ORDER BY s.enterprise, s.measure, s.epoch"
    )


def anchored_sql(
    statement: str = "statement", anchor: str = "anchor", cover: str = "cover", weight: str = "weight"
) -> str:
    """Give (enterprise, measure, epoch, pseudonym, grams, variance): months, and anchored years as one row.

    The n months' sum S and the anchor A of a slot give floor(S + (A - S) * share / whole), at equal scales
    floor((S + n * A) / (n + 1)); nothing is clipped at zero. A year without an anchor for its slot is S. A
    year's epoch is its anchor's.
    """
    alone = (
        "SELECT s.enterprise, s.measure, s.epoch, s.pseudonym, s.grams, s.variance "
        f"FROM {statement} AS s WHERE NOT EXISTS "
        f"(SELECT 1 FROM {cover} AS c WHERE c.enterprise = s.enterprise AND c.measure = s.measure "
        "AND c.epoch = s.epoch)"
    )
    years = (
        "SELECT s.enterprise, s.measure, s.slot, s.pseudonym, c.anchor, CAST(COUNT(*) AS BIGINT) AS months, "
        "CAST(SUM(s.grams) AS BIGINT) AS grams, CAST(SUM(s.variance) AS BIGINT) AS variance "
        f"FROM {statement} AS s JOIN {cover} AS c ON c.enterprise = s.enterprise AND c.measure = s.measure "
        "AND c.epoch = s.epoch GROUP BY s.enterprise, s.measure, s.slot, s.pseudonym, c.anchor"
    )
    differences = (
        "SELECT y.enterprise, y.measure, y.anchor, y.pseudonym, y.grams, y.variance, "
        "a.grams - y.grams AS difference, "
        "w.share, w.whole, w.variance AS combined "
        f"FROM ({years}) AS y LEFT JOIN {anchor} AS a ON a.enterprise = y.enterprise "
        "AND a.measure = y.measure AND a.epoch = y.anchor AND a.slot = y.slot AND a.pseudonym = y.pseudonym "
        f"LEFT JOIN {weight} AS w ON w.enterprise = y.enterprise AND w.measure = y.measure "
        "AND w.anchor = y.anchor AND w.months = y.months"
    )
    # A floor towards minus infinity of operands that `//` takes: never negative.
    quotient = (
        "CASE WHEN difference >= 0 THEN difference // whole ELSE -((-difference + whole - 1) // whole) END"
    )
    divided = (
        "SELECT enterprise, measure, anchor, pseudonym, grams, variance, difference, share, whole, combined, "
        f"{quotient} AS quotient FROM ({differences}) AS d"
    )
    moved = "quotient * share + ((difference - quotient * whole) * share) // whole"
    return (
        f"{alone} UNION ALL SELECT enterprise, measure, anchor AS epoch, pseudonym, "
        f"CAST(CASE WHEN difference IS NULL THEN grams ELSE grams + {moved} END AS BIGINT) AS grams, "
        "CAST(CASE WHEN difference IS NULL THEN variance ELSE combined END AS BIGINT) AS variance "
        f"FROM ({divided}) AS q"
    )


def points_sql(points: str = "points", link: str = "link") -> str:
    """Give (account, points, variance, enterprises) ascending by account: never mixed with grams."""
    return (
        "SELECT l.account, CAST(SUM(s.grams) AS BIGINT) AS points, "
        "CAST(SUM(s.variance) AS BIGINT) AS variance, "
        "CAST(COUNT(DISTINCT s.enterprise) AS BIGINT) AS enterprises "
        f"FROM {points} AS s JOIN {link} AS l ON s.pseudonym = l.pseudonym "
        "GROUP BY l.account ORDER BY l.account"
    )


def unlinked_sql(statement: str = "statement", link: str = "link") -> str:
    """Give (enterprise, statements, grams) of statements no account takes."""
    return (
        "SELECT s.enterprise, CAST(COUNT(*) AS BIGINT) AS statements, "
        f"CAST(SUM(s.grams) AS BIGINT) AS grams FROM {statement} AS s "
        f"WHERE NOT EXISTS (SELECT 1 FROM {link} AS l WHERE l.pseudonym = s.pseudonym) "
        "GROUP BY s.enterprise ORDER BY s.enterprise"
    )


def population_sql(released: str = "released") -> str:
    """Give (epoch, table_id, kind, cell, value, variance, enterprises): released cells, enterprises added."""
    return (
        "SELECT epoch, table_id, kind, cell, CAST(SUM(value) AS BIGINT) AS value, "
        "CAST(SUM(variance) AS BIGINT) AS variance, "
        f"CAST(COUNT(DISTINCT enterprise) AS BIGINT) AS enterprises FROM {released} "
        "GROUP BY epoch, table_id, kind, cell ORDER BY epoch, table_id, kind, cell"
    )


def variance_mg2(variance_grams2: int) -> int:
    """Give the variance in mg^2."""
    return variance_grams2 * MG2_PER_GRAM2


def account_leaf(account: bytes, balance_mg: int, variance_mg2: int) -> bytes:
    """Encode an account for accounts_root: id (16) || balance mg (i64 be) || variance mg^2 (u128 be)."""
    if len(account) != ACCOUNT_BYTES:
        raise InvariantBroken(REASON_INVARIANT_BROKEN, f"An account id has {len(account)} bytes, not 16.")
    return account + balance_mg.to_bytes(8, "big", signed=True) + variance_mg2.to_bytes(16, "big")
