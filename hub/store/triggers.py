"""What the database itself refuses: triggers on both stores, on PostgreSQL revoked rights as well.

Each rule is given as statements by dialect, which the tables run when they are made, and migrations by name.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import DDL, Table, event

Statement = tuple[str, str]

_RAISE = "raise exception using errcode = 'integrity_constraint_violation', message = tg_table_name || "
_RAISE += "' is append-only'"


def append_only(*tables: Table) -> None:
    """Refuse to change or delete rows of these tables, and to empty them at once."""
    for table in tables:
        attach(table, append_only_statements(table.name))


def append_only_statements(table: str) -> Iterator[Statement]:
    """Refuse to change, to delete and to truncate."""
    yield from refuse_statements(table, "update")
    yield from refuse_statements(table, "delete")


def refuse_statements(table: str, verb: str, *, unless: str = "") -> Iterator[Statement]:
    """Refuse a verb on each row, except where the condition over old and new holds.

    Who may not delete may not truncate either.
    """
    name = f"{table}_no_{verb}"
    when = f"when not ({unless}) " if unless else ""
    abort = f"select raise(abort, '{table} is append-only')"
    yield "sqlite", f"create trigger {name} before {verb} on {table} {when}begin {abort}; end"
    exception = f"if {unless} then return new; end if; " if unless else ""
    yield from _postgres_trigger(table, name, f"before {verb}", "row", f"{exception}{_RAISE}")
    if not unless:
        yield "postgresql", f"revoke {verb} on {table} from public, current_user"
    if verb == "delete":
        yield from _postgres_trigger(table, f"{table}_no_truncate", "before truncate", "statement", _RAISE)
        yield "postgresql", f"revoke truncate on {table} from public, current_user"


def follow_statements(table: str, name: str, verb: str, statement: str) -> Iterator[Statement]:
    """Let a statement over old and new follow each row's change."""
    yield "sqlite", f"create trigger {name} after {verb} on {table} begin {statement}; end"
    yield from _postgres_trigger(table, name, f"after {verb}", "row", f"{statement}; return null")


def partition_statements(table: str, parts: int) -> Iterator[Statement]:
    """Spread a table that PostgreSQL partitions by hash over so many parts."""
    for part in range(parts):
        yield (
            "postgresql",
            f"create table {table}_{part:02} partition of {table} "
            f"for values with (modulus {parts}, remainder {part})",
        )


def attach(table: Table, statements: Iterator[Statement]) -> None:
    """Run statements whenever the table is made."""
    for dialect, text in statements:
        ddl = DDL(text.replace("%", "%%"))  # type: ignore[no-untyped-call]
        event.listen(table, "after_create", ddl.execute_if(dialect=dialect))


def _postgres_trigger(table: str, name: str, when: str, each: str, body: str) -> Iterator[Statement]:
    function = f"create function {name}() returns trigger language plpgsql as $$ begin {body}; end $$"
    yield "postgresql", function
    yield (
        "postgresql",
        f"create trigger {name} {when} on {table} for each {each} execute function {name}()",
    )
