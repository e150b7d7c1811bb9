"""Tables of what persons chose and proved, folded from the log."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, PrimaryKeyConstraint, Table, Text

from hub.store.dialects import Bytes, Whole
from hub.store.schema import metadata

# What an account chose: which enterprise records an overlap class, which programme may pool its grams.
choice = Table(
    "choice",
    metadata,
    Column("account", Bytes, nullable=False),
    Column("what", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("effective_epoch", Whole, nullable=False),
    Column("value", Text, nullable=False),
    Column("idx", Whole, nullable=False),
    PrimaryKeyConstraint("account", "what", "subject", "effective_epoch"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

# Link tickets that were used, by their hash: each is accepted once.
ticket = Table(
    "ticket",
    metadata,
    Column("hash", Bytes, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("expires_at", Whole, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

account_status = Table(
    "account_status",
    metadata,
    Column("account", Bytes, primary_key=True),
    Column("frozen", Whole, nullable=False),
    Column("closed", Whole, nullable=False),
    Column("proved", Whole, nullable=False),
    Column("idx", Whole, nullable=False),
    CheckConstraint("frozen in (0, 1) and closed in (0, 1) and proved in (0, 1)", name="states_are_said"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
