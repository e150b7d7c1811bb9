"""The table of tickets taken: by whose word somebody acted on an account or looked at it."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text, UniqueConstraint

from hub.store.dialects import Bytes, Whole
from hub.store.schema import metadata

# Link tickets by the hash of their envelope. `idx` is the entry that rests on it; a look leaves none.
ticket = Table(
    "ticket",
    metadata,
    Column("hash", Bytes, primary_key=True),
    Column("enterprise", Text, nullable=False),
    Column("nonce", Bytes, nullable=False),
    Column("pseudonym", Bytes, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("account", Bytes, nullable=False),
    Column("at", Whole, nullable=False),
    Column("idx", Whole),
    UniqueConstraint("enterprise", "nonce", name="a_ticket_is_taken_once"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
Index("ticket_by_account", ticket.c.account)
