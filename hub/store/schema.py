"""Tables of the hub's database.

The log's rows are written once and the books can be made again from them; invitations and registrations come
before the log and stand for themselves.
"""

from __future__ import annotations

from sqlalchemy import (
    BLOB,
    DDL,
    CheckConstraint,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    event,
)

SCHEMA_VERSION = 2

metadata = MetaData()

entry = Table(
    "entry",
    metadata,
    Column("idx", Integer, primary_key=True, autoincrement=False),
    Column("envelope", BLOB, nullable=False),
    Column("leaf_hash", BLOB, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("received_at", Integer, nullable=False),
    Column("receipt", BLOB, nullable=False),
    sqlite_strict=True,
)
Index("entry_by_kind", entry.c.kind, entry.c.epoch)

body = Table(
    "body",
    metadata,
    Column("idx", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("private", Integer, nullable=False),
    Column("data", BLOB, nullable=False),
    PrimaryKeyConstraint("idx", "position"),
    CheckConstraint("private in (0, 1)"),
    sqlite_strict=True,
)

# Which bodies the erasure orders of the log still let be overwritten, once each; see the triggers below.
body_erasure = Table(
    "body_erasure",
    metadata,
    Column("idx", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("order_idx", Integer, nullable=False),
    PrimaryKeyConstraint("idx", "position"),
    sqlite_strict=True,
)

# Size and root of the log; durable before a checkpoint over them is signed.
tree = Table(
    "tree",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", Integer, nullable=False),
    Column("root", BLOB, nullable=False),
    CheckConstraint("id = 1"),
    sqlite_strict=True,
)

invitation = Table(
    "invitation",
    metadata,
    Column("secret_hash", BLOB, primary_key=True),
    Column("role", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_zh", Text, nullable=False),
    Column("evaluation_quota", Integer, nullable=False),
    Column("expires_at", Integer, nullable=False),
    # Set by the first join; the same keys then get the same answer again.
    Column("public_key", BLOB),
    Column("request_hash", BLOB),
    Column("certificate_pem", BLOB),
    sqlite_strict=True,
)

registration = Table(
    "registration",
    metadata,
    Column("role", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_zh", Text, nullable=False),
    Column("public_key", BLOB, nullable=False),
    Column("address", Text, nullable=False),
    Column("sealing_key", BLOB, nullable=False),
    Column("evaluation_quota", Integer, nullable=False),
    Column("joined_at", Integer, nullable=False),
    PrimaryKeyConstraint("role", "id"),
    sqlite_strict=True,
)

link = Table(
    "link",
    metadata,
    Column("pseudonym", BLOB, primary_key=True),
    Column("account", BLOB, nullable=False, index=True),
    Column("effective_epoch", Integer, nullable=False),
    Column("idx", Integer, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

# What accounts held at the close named last; variance is a 16-byte big-endian integer of mg squared.
balance = Table(
    "balance",
    metadata,
    Column("account", BLOB, primary_key=True),
    Column("balance_mg", Integer, nullable=False),
    Column("variance_mg2", BLOB, nullable=False),
    Column("enterprises", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

closed_epoch = Table(
    "closed_epoch",
    metadata,
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("idx", Integer, nullable=False),
    Column("accounts", Integer, nullable=False),
    Column("accounts_in_two_or_more", Integer, nullable=False),
    Column("total_mg", Integer, nullable=False),
    sqlite_strict=True,
)

setting = Table(
    "setting",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_strict=True,
)


def _trigger(table: Table, name: str, timing: str, then: str, condition: str = "") -> None:
    when = f"when {condition} " if condition else ""
    text = f"create trigger {name} {timing} on {table.name} {when}begin {then}; end"
    event.listen(table, "after_create", DDL(text))  # type: ignore[no-untyped-call]


def _append_only(table: Table) -> str:
    return f"select raise(abort, '{table.name} is append-only')"


_trigger(entry, "entry_no_update", "before update", _append_only(entry))
_trigger(entry, "entry_no_delete", "before delete", _append_only(entry))
_trigger(body, "body_no_delete", "before delete", _append_only(body))
# The one exception: a logged order lets a private body be overwritten in place, by as many bytes, once.
_PERMITTED = (
    "new.idx = old.idx and new.position = old.position and new.private = old.private and old.private = 1 "
    "and length(new.data) = length(old.data) and exists (select 1 from body_erasure as permit "
    "join entry on entry.idx = permit.order_idx where permit.idx = old.idx "
    "and permit.position = old.position and entry.kind in ('erasure-order', 'hub-erasure-order'))"
)
_trigger(body, "body_no_update", "before update", _append_only(body), f"not ({_PERMITTED})")
_trigger(
    body,
    "body_erased",
    "after update",
    "delete from body_erasure where idx = new.idx and position = new.position",
)
