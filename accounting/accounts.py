"""The account fold: statements joined by pseudonym into accounts, the same SQL at the hub and at an auditor.

Tables: statement(enterprise VARCHAR, epoch INTEGER, slot_row BIGINT, pseudonym BLOB, grams BIGINT, variance BIGINT),
variance in grams^2 rounded up; link(pseudonym BLOB, account BLOB), one row a pseudonym;
released(enterprise, epoch, table_id, kind, cell INTEGER, value BIGINT, variance BIGINT).
"""

from __future__ import annotations


def accounts_sql(statement: str = "statement", link: str = "link") -> str:
    """Give (account, balance_mg, variance, enterprises) ascending by account; variance in grams^2."""
    raise NotImplementedError


def unlinked_sql(statement: str = "statement", link: str = "link") -> str:
    """Give (enterprise, statements, grams) of statements no account takes."""
    raise NotImplementedError


def population_sql(released: str = "released") -> str:
    """Give (epoch, table_id, kind, cell, value, variance, enterprises): released cells added over enterprises."""
    raise NotImplementedError


def variance_mg2(variance_grams2: int) -> int:
    """Give the variance in mg^2."""
    return variance_grams2 * 1_000_000


def account_leaf(account: bytes, balance_mg: int, variance_mg2: int) -> bytes:
    """Encode an account for accounts_root: id (16) || balance mg (i64 be) || variance mg^2 (u128 be)."""
    return account + balance_mg.to_bytes(8, "big", signed=True) + variance_mg2.to_bytes(16, "big")
