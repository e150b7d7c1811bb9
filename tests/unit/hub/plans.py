"""How a store would run a statement, so that a test sees what it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event


@contextmanager
def explained(connection: Connection) -> Iterator[list[str]]:
    """Gather the plan of each statement that runs on a connection, with its values."""
    plans: list[str] = []
    word = "explain query plan" if connection.dialect.name == "sqlite" else "explain"

    def explain(_: object, __: object, statement: str, values: Any, *___: object) -> None:
        driver: Any = connection.connection.driver_connection
        rows = driver.execute(f"{word} {statement}", values).fetchall()
        plans.append("\n".join(str(row[-1]) for row in rows))

    event.listen(connection, "before_cursor_execute", explain)
    try:
        yield plans
    finally:
        event.remove(connection, "before_cursor_execute", explain)


def plan_of(connection: Connection, work: Callable[[], object]) -> str:
    """Give the plan of the one statement that a piece of work runs."""
    with explained(connection) as plans:
        work()
    (found,) = plans
    return found
