"""What the database itself refuses: triggers on both stores, on PostgreSQL revoked rights as well."""

from __future__ import annotations

from sqlalchemy import DDL, Table, event

_RAISE = "raise exception using errcode = 'integrity_constraint_violation', message = tg_table_name || "
_RAISE += "' is append-only'"


def append_only(*tables: Table) -> None:
    """Refuse to change or delete rows of these tables, and to empty them at once."""
    for table in tables:
        refuse(table, "update")
        refuse(table, "delete")


def refuse(table: Table, verb: str, *, unless: str = "") -> None:
    """Refuse a verb on each row, except where the condition over old and new holds.

    Who may not delete may not truncate either.
    """
    name = f"{table.name}_no_{verb}"
    when = f"when not ({unless}) " if unless else ""
    abort = f"select raise(abort, '{table.name} is append-only')"
    _create(table, "sqlite", f"create trigger {name} before {verb} on {table.name} {when}begin {abort}; end")
    exception = f"if {unless} then return new; end if; " if unless else ""
    _postgres_trigger(table, name, f"before {verb}", "row", f"{exception}{_RAISE}")
    if not unless:
        _create(table, "postgresql", f"revoke {verb} on {table.name} from public, current_user")
    if verb == "delete":
        _postgres_trigger(table, f"{table.name}_no_truncate", "before truncate", "statement", _RAISE)
        _create(table, "postgresql", f"revoke truncate on {table.name} from public, current_user")


def follow(table: Table, name: str, verb: str, statement: str) -> None:
    """Let a statement over old and new follow each row's change."""
    _create(table, "sqlite", f"create trigger {name} after {verb} on {table.name} begin {statement}; end")
    _postgres_trigger(table, name, f"after {verb}", "row", f"{statement}; return null")


def partition_by_hash(table: Table, parts: int) -> None:
    """Spread a table that PostgreSQL partitions by hash over so many parts."""
    for part in range(parts):
        _create(
            table,
            "postgresql",
            f"create table {table.name}_{part:02} partition of {table.name} "
            f"for values with (modulus {parts}, remainder {part})",
        )


def _postgres_trigger(table: Table, name: str, when: str, each: str, body: str) -> None:
    _create(
        table,
        "postgresql",
        f"create function {name}() returns trigger language plpgsql as $$ begin {body}; end $$",
    )
    _create(
        table,
        "postgresql",
        f"create trigger {name} {when} on {table.name} for each {each} execute function {name}()",
    )


def _create(table: Table, dialect: str, text: str) -> None:
    ddl = DDL(text.replace("%", "%%"))  # type: ignore[no-untyped-call]
    event.listen(table, "after_create", ddl.execute_if(dialect=dialect))
