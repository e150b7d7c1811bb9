"""The account fold: statements joined by pseudonym into accounts, the same SQL at the hub and at an auditor.

Tables: statement(enterprise VARCHAR, epoch INTEGER, slot_row BIGINT, pseudonym BLOB, grams BIGINT,
variance BIGINT), variance in grams^2 rounded up; link(pseudonym BLOB, account BLOB), one row a pseudonym;
released(enterprise, epoch, table_id, kind, cell INTEGER, value BIGINT, variance BIGINT).
"""

# ruff: noqa: S608  (SQL is what this module makes; the names in it are the caller's own tables)

from __future__ import annotations

from protos.problems import InvariantBroken
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN

ACCOUNT_BYTES = 16
MG2_PER_GRAM2 = 1_000_000


def accounts_sql(statement: str = "statement", link: str = "link") -> str:
    """Give (account, balance_mg, variance, enterprises) ascending by account; variance in grams^2."""
    return (
        "SELECT l.account, CAST(SUM(s.grams) AS BIGINT) * 1000 AS balance_mg, "
        "CAST(SUM(s.variance) AS BIGINT) AS variance, "
        "CAST(COUNT(DISTINCT s.enterprise) AS BIGINT) AS enterprises "
        f"FROM {statement} AS s JOIN {link} AS l ON s.pseudonym = l.pseudonym "
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
