"""The stores a hub runs on, so that one test runs on each."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import make_conninfo

from hub.store.books import Balance, Balances
from hub.store.location import PostgresServer
from protos.epochs import Epoch

STORES = ("sqlite", "postgresql")


def gathered(rows: Iterable[Balance], epoch: int) -> Balances:
    """Give balances as a fold leaves them."""
    found = Balances(Epoch(epoch))
    for one in rows:
        found.add(one.account, one.balance_mg, one.variance_mg2, one.enterprises)
    return found


@contextmanager
def fresh_schema(dsn: str) -> Iterator[PostgresServer]:
    """Make an empty schema and a role that owns it and nothing else; both are gone afterwards."""
    name = f"t{secrets.token_hex(8)}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"create role {name} login; create schema {name} authorization {name}".encode())
        yield PostgresServer(make_conninfo(dsn, user=name, options=f"-c search_path={name}"))
        connection.execute(f"drop schema {name} cascade; drop role {name}".encode())
