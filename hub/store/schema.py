"""Tables of the hub's database.

The log's rows are written once and the books can be made again from them; invitations and registrations come
before the log and stand for themselves.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, MetaData, PrimaryKeyConstraint, String, Table, Text

from hub.store.dialects import Bytes, Whole
from hub.store.triggers import append_only, attach, follow_statements, refuse_statements

# The newest revision under migrations/.
REVISION = "0013"

metadata = MetaData()

entry = Table(
    "entry",
    metadata,
    Column("idx", Whole, primary_key=True, autoincrement=False),
    Column("envelope", Bytes, nullable=False),
    Column("leaf_hash", Bytes, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("epoch", Whole, nullable=False),
    Column("received_at", Whole, nullable=False),
    Column("receipt", Bytes, nullable=False),
    sqlite_strict=True,
)
Index("entry_by_kind", entry.c.kind, entry.c.epoch)

body = Table(
    "body",
    metadata,
    Column("idx", Whole, nullable=False),
    Column("position", Whole, nullable=False),
    Column("private", Whole, nullable=False),
    Column("data", Bytes, nullable=False),
    PrimaryKeyConstraint("idx", "position"),
    CheckConstraint("private in (0, 1)"),
    sqlite_strict=True,
)

# Which bodies the erasure orders of the log still let be overwritten, once each; see the triggers below.
body_erasure = Table(
    "body_erasure",
    metadata,
    Column("idx", Whole, nullable=False),
    Column("position", Whole, nullable=False),
    Column("order_idx", Whole, nullable=False),
    PrimaryKeyConstraint("idx", "position"),
    sqlite_strict=True,
)

# Size and root of the log; durable before a checkpoint over them is signed.
tree = Table(
    "tree",
    metadata,
    Column("id", Whole, primary_key=True, autoincrement=False),
    Column("size", Whole, nullable=False),
    Column("root", Bytes, nullable=False),
    CheckConstraint("id = 1"),
    sqlite_strict=True,
)

invitation = Table(
    "invitation",
    metadata,
    Column("secret_hash", Bytes, primary_key=True),
    Column("role", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_zh", Text, nullable=False),
    Column("evaluation_quota", Whole, nullable=False),
    Column("expires_at", Whole, nullable=False),
    # Set by the first join; the same keys then get the same answer again.
    Column("public_key", Bytes),
    Column("request_hash", Bytes),
    Column("certificate_pem", Bytes),
    sqlite_strict=True,
)

registration = Table(
    "registration",
    metadata,
    Column("role", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_zh", Text, nullable=False),
    Column("public_key", Bytes, nullable=False),
    Column("address", Text, nullable=False),
    Column("sealing_key", Bytes, nullable=False),
    Column("evaluation_quota", Whole, nullable=False),
    Column("joined_at", Whole, nullable=False),
    PrimaryKeyConstraint("role", "id"),
    sqlite_strict=True,
)

link = Table(
    "link",
    metadata,
    Column("pseudonym", Bytes, primary_key=True),
    Column("account", Bytes, nullable=False, index=True),
    Column("effective_epoch", Whole, nullable=False),
    Column("idx", Whole, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

# What accounts held at the close named last; variance is a 16-byte big-endian integer of mg squared.
balance = Table(
    "balance",
    metadata,
    Column("account", Bytes, nullable=False),
    Column("balance_mg", Whole, nullable=False),
    Column("variance_mg2", Bytes, nullable=False),
    Column("enterprises", Whole, nullable=False),
    Column("epoch", Whole, nullable=False),
    # A close appends: the rows it takes the place of are in nobody's way.
    PrimaryKeyConstraint("epoch", "account"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

# Points of tariffs the nodes evaluate, at the close named last; they never meet grams.
points_balance = Table(
    "points_balance",
    metadata,
    Column("account", Bytes, primary_key=True),
    Column("points", Whole, nullable=False),
    Column("variance", Whole, nullable=False),
    Column("enterprises", Whole, nullable=False),
    Column("epoch", Whole, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

closed_epoch = Table(
    "closed_epoch",
    metadata,
    Column("epoch", Whole, primary_key=True, autoincrement=False),
    Column("idx", Whole, nullable=False),
    Column("accounts", Whole, nullable=False),
    Column("accounts_in_two_or_more", Whole, nullable=False),
    Column("total_mg", Whole, nullable=False),
    sqlite_strict=True,
)

# As Alembic keeps it: which revision the tables are of.
revision = Table(
    "alembic_version",
    metadata,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

setting = Table(
    "setting",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_strict=True,
)

append_only(entry)
attach(body, refuse_statements("body", "delete"))
# The one exception: a logged order lets a private body be overwritten in place, by as many bytes, once.
ERASURE_PERMITTED = (
    "new.idx = old.idx and new.position = old.position and new.private = old.private and old.private = 1 "
    "and length(new.data) = length(old.data) and exists (select 1 from body_erasure as permit "
    "join entry on entry.idx = permit.order_idx where permit.idx = old.idx "
    "and permit.position = old.position and entry.kind in ('erasure-order', 'hub-erasure-order'))"
)
ERASED = "delete from body_erasure where idx = new.idx and position = new.position"
attach(body, refuse_statements("body", "update", unless=ERASURE_PERMITTED))
attach(body, follow_statements("body", "body_erased", "update", ERASED))
