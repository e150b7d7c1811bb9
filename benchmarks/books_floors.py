"""What no store can do without: rows that are ready into a table without a key; one UPDATE and one INSERT."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import Engine, text

from hub.store import bulk
from hub.store.bulk import Column
from hub.store.dump import SIGNATURE, TRAILER

BARE = "bare_rows"
RUNS = 3

Result = TypeVar("Result")


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """Give what work gives and the seconds it took."""
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began


def bare_load(writer: Engine, batches: Sequence[Mapping[str, Column]]) -> float:
    """Give the least seconds for loading rows, encoded beforehand, in one durable transaction."""
    is_postgres = writer.dialect.name == "postgresql"
    ready = _blobs(batches) if is_postgres else _rows(batches)
    times = []
    for _ in range(RUNS):
        with writer.begin() as connection:
            connection.execute(text(f"drop table if exists {BARE}"))
            connection.execute(text(f"create table {BARE} ({_columns(batches[0], is_postgres=is_postgres)})"))

        def load() -> None:
            with writer.begin() as connection:
                driver: Any = connection.connection.driver_connection
                if is_postgres:
                    with (
                        driver.cursor() as cursor,
                        cursor.copy(f"copy {BARE} from stdin (format binary)") as copy,
                    ):
                        for blob in ready:
                            copy.write(blob)
                else:
                    marks = ", ".join("?" * len(batches[0]))
                    driver.executemany(f"insert into {BARE} values ({marks})", ready)

        times.append(timed(load)[1])
    return min(times)


def _columns(batch: Mapping[str, Column], *, is_postgres: bool) -> str:
    kinds = {"whole": "bigint", "text": "text", "bytes": "bytea" if is_postgres else "blob"}
    return ", ".join(f'"{name}" {kinds[_kind(one)]}' for name, one in batch.items())


def _kind(column: Column) -> str:
    if isinstance(column, np.ndarray):
        return "whole" if column.dtype.kind in "iu" else "bytes"
    return {int: "whole", str: "text", bytes: "bytes"}[type(column)]


def _blobs(batches: Iterable[Mapping[str, Column]]) -> list[bytes]:
    return [SIGNATURE, *(bulk.encoded(one) for one in batches), TRAILER]


def _rows(batches: Iterable[Mapping[str, Column]]) -> list[tuple[Any, ...]]:
    return [row for one in batches for row in bulk.tuples(one)]
