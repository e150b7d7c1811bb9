"""Tables of rewards that are no part of the books: voucher codes, sealed, each handed out once."""

from __future__ import annotations

from sqlalchemy import Column, Index, PrimaryKeyConstraint, Table, Text, UniqueConstraint

from hub.store.dialects import Bytes, Whole
from hub.store.schema import metadata

# `mark` is a keyed hash by which a code loaded twice is found; `order_key` is whose code it is.
voucher = Table(
    "voucher",
    metadata,
    Column("programme", Text, nullable=False),
    Column("reward", Text, nullable=False),
    Column("number", Whole, nullable=False),
    Column("sealed", Bytes, nullable=False),
    Column("mark", Bytes, nullable=False),
    Column("order_key", Bytes),
    Column("held_at", Whole, nullable=False),
    PrimaryKeyConstraint("programme", "reward", "number"),
    UniqueConstraint("mark", name="a_code_is_loaded_once"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
Index("voucher_by_order", voucher.c.order_key)

# Accounts that opted into a board, each under a name of its own.
board_entry = Table(
    "board_entry",
    metadata,
    Column("programme", Text, nullable=False),
    Column("board", Text, nullable=False),
    Column("account", Bytes, nullable=False),
    Column("alias", Text, nullable=False),
    PrimaryKeyConstraint("programme", "board", "account"),
    UniqueConstraint("programme", "board", "alias", name="a_name_is_one_account"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
