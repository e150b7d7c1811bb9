"""Tables of the ledgers, which follow from the log as all books do.

Journals (operations, their transfers, what closes credit) only grow, and the database refuses anything else.
A wallet's row comes into being when somebody touches it: until then it is what the closes credited.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, PrimaryKeyConstraint, Table, Text, or_

from accounting.ledger.transfers import Code
from hub.store.dialects import Bytes, Name, Whole
from hub.store.schema import metadata
from hub.store.triggers import append_only, attach, partition_statements, refuse_statements

HASH_PARTITIONS = 16
AMOUNTS = ("available", "claimable", "pending", "deficit")

# One act on the ledgers with the first answer to it; the key is permanent.
operation = Table(
    "operation",
    metadata,
    Column("seq", Whole, primary_key=True, autoincrement=False),
    Column("key", Bytes, nullable=False, unique=True),
    Column("act_hash", Bytes, nullable=False),
    Column("at", Whole, nullable=False),
    Column("data", Bytes, nullable=False),
    Column("points", Whole, nullable=False),
    Column("fen", Whole, nullable=False),
    Column("milligrams", Whole, nullable=False),
    Column("expires_at", Whole, nullable=False),
    sqlite_strict=True,
)

# Operations from `first` on that one entry of the log seals.
segment = Table(
    "segment",
    metadata,
    Column("first", Whole, primary_key=True, autoincrement=False),
    Column("count", Whole, nullable=False),
    Column("idx", Whole, nullable=False),
    sqlite_strict=True,
)

transfer = Table(
    "transfer",
    metadata,
    Column("operation", Whole, nullable=False),
    Column("position", Whole, nullable=False),
    Column("ledger", Name, nullable=False),
    Column("debit", Bytes, nullable=False),
    Column("credit", Bytes, nullable=False),
    Column("amount", Whole, nullable=False),
    Column("code", Whole, nullable=False),
    Column("epoch", Whole, nullable=False),
    PrimaryKeyConstraint("operation", "position"),
    CheckConstraint("amount > 0", name="transfer_is_positive"),
    CheckConstraint("debit <> credit", name="transfer_has_two_sides"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
# What is asked for across the whole journal; an OR of single codes is what both stores see a query of one in.
RARE_CODES = (Code.PLANT, Code.ISSUE)
_IS_RARE = or_(*(transfer.c.code == int(code) for code in RARE_CODES))
Index(
    "transfer_by_rare_code",
    transfer.c.code,
    transfer.c.operation,
    sqlite_where=_IS_RARE,
    postgresql_where=_IS_RARE,
)

# What a close gives every wallet of a ledger; in this order a close appends.
# On PostgreSQL each close makes the partition of its epoch: store/partitions.py.
credit = Table(
    "credit",
    metadata,
    Column("epoch", Whole, nullable=False),
    Column("ledger", Name, nullable=False),
    Column("account", Bytes, nullable=False),
    Column("delta", Whole, nullable=False),
    Column("capped", Whole, nullable=False),
    Column("variance", Whole, nullable=False),
    PrimaryKeyConstraint("epoch", "ledger", "account"),
    CheckConstraint("capped >= 0", name="capped_is_not_negative"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
    postgresql_partition_by="LIST (epoch)",
)

# Points received otherwise than by a close, as if credited by the close of `epoch`.
received = Table(
    "received",
    metadata,
    Column("operation", Whole, nullable=False),
    Column("ledger", Name, nullable=False),
    Column("account", Bytes, nullable=False),
    Column("epoch", Whole, nullable=False),
    Column("points", Whole, nullable=False),
    PrimaryKeyConstraint("account", "ledger", "epoch", "operation"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

# Stepped through the closes up to `applied_epoch`; `credited`, `expired`, `written_off` are over its life.
wallet = Table(
    "wallet",
    metadata,
    Column("account", Bytes, nullable=False),
    Column("ledger", Name, nullable=False),
    Column("available", Whole, nullable=False),
    Column("claimable", Whole, nullable=False),
    Column("pending", Whole, nullable=False),
    Column("deficit", Whole, nullable=False),
    Column("deficit_since", Whole, nullable=False),
    Column("credited", Whole, nullable=False),
    Column("expired", Whole, nullable=False),
    Column("written_off", Whole, nullable=False),
    Column("variance", Whole, nullable=False),
    Column("applied_epoch", Whole, nullable=False),
    PrimaryKeyConstraint("account", "ledger"),
    *(CheckConstraint(f"{name} >= 0", name=f"{name}_is_not_negative") for name in AMOUNTS),
    CheckConstraint("deficit = 0 or available + claimable = 0", name="a_deficit_is_repaid_first"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
    postgresql_partition_by="HASH (account)",
)
attach(wallet, partition_statements("wallet", HASH_PARTITIONS))

# Every ledger account that is no part of a wallet.
system_balance = Table(
    "system_balance",
    metadata,
    Column("id", Bytes, primary_key=True),
    Column("ledger", Name, nullable=False),
    Column("path", Text, nullable=False),
    Column("debits", Whole, nullable=False),
    Column("credits", Whole, nullable=False),
    CheckConstraint("debits >= 0 and credits >= 0", name="sides_are_not_negative"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

reservation = Table(
    "reservation",
    metadata,
    Column("key", Bytes, primary_key=True),
    Column("programme", Text, nullable=False),
    Column("version", Whole, nullable=False),
    Column("reward", Text, nullable=False),
    Column("account", Bytes, nullable=False, index=True),
    Column("quantity", Whole, nullable=False),
    Column("points", Whole, nullable=False),
    Column("fund", Text, nullable=False),
    Column("fen", Whole, nullable=False),
    Column("milligrams", Whole, nullable=False),
    Column("epoch", Whole, nullable=False),
    Column("expires_at", Whole, nullable=False),
    Column("state", Whole, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
Index("reservation_by_time", reservation.c.state, reservation.c.expires_at)

# Stock given, what one account has had, what was spent of a fund: whatever has a maximum.
counter = Table(
    "counter",
    metadata,
    Column("name", Name, primary_key=True),
    Column("value", Whole, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

append_only(segment, transfer, credit, received)
attach(operation, refuse_statements("operation", "delete"))
# The one exception: an order of the log lets the tickets of who was erased be overwritten, by as many bytes.
TICKETS_ERASED = (
    "new.seq = old.seq and new.key = old.key and new.act_hash = old.act_hash and new.at = old.at "
    "and new.points = old.points and new.fen = old.fen and new.milligrams = old.milligrams "
    "and new.expires_at = old.expires_at and length(new.data) = length(old.data) "
    "and exists (select 1 from entry where entry.kind in ('erasure-order', 'hub-erasure-order'))"
)
attach(operation, refuse_statements("operation", "update", unless=TICKETS_ERASED))
