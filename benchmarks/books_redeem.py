"""Redemptions through the hub's ledger, beside one UPDATE and one INSERT, and beside pgledger."""

from __future__ import annotations

import random
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path

import psycopg

from hub.app import Hub
from hub.store.location import PostgresServer
from privacy.asked import PURPOSE, subject
from protos.v1 import ledger_pb2
from tests.simulator import SimulatedEnterprise, pseudonym
from tests.unit.hub.spending import PROGRAMME, reserve, settled
from tests.unit.hub.world import World, make_home, running

PARTNERS = 20
# Acts that a client of the ledger has ready; a round ends when it has done them.
READY = 1_000
START_POINTS = 1_000_000
# One point each, so that nobody runs out; one reservation holds points and money, two transfers.
_CHEAP = PROGRAMME.replace("cost_points = 20", "cost_points = 1").replace(
    "unit_cost_fen = 500", "unit_cost_fen = 1"
)

# What one client does, one act after the other.
Acts = Iterator[Callable[[], object]]
# Opens a client's connection; what it yields is made before the clock runs.
Connect = Callable[[random.Random], AbstractContextManager[Acts]]


@dataclass(frozen=True, slots=True)
class Rate:
    """How many acts a second so many clients got done."""

    clients: int
    per_second: float


def measure(clients: int, seconds: float, connect: Connect) -> Rate:
    """Let clients act for some seconds, or until one has nothing left to do."""
    counts = [0] * clients
    begin = threading.Barrier(clients + 1)
    stop = threading.Event()

    def run(number: int) -> None:
        with connect(random.Random(number)) as acts:
            next(acts)()
            begin.wait()
            for act in acts:
                if stop.is_set():
                    break
                act()
                counts[number] += 1
            stop.set()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    begin.wait()
    began = time.perf_counter()
    stop.wait(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    return Rate(clients, sum(counts) / (time.perf_counter() - began))


@dataclass(frozen=True, slots=True)
class Running:
    """A hub that redeems: what connects a client to its ledger, and what its transfers take."""

    connect: Connect
    hub: Hub

    def bytes_per_transfer(self) -> int:
        """Give what a stored transfer takes, keys and free space in pages included."""
        with self.hub.parts.readers.begin() as connection:
            size = (
                "select sum(pgsize) from dbstat where name = 'transfer'"
                if connection.dialect.name == "sqlite"
                else "select pg_total_relation_size('transfer')"
            )
            counted = connection.exec_driver_sql("select count(*) from transfer").scalar_one()
            return round(int(connection.exec_driver_sql(size).scalar_one()) / counted)


@contextmanager
def ledger(folder: Path, persons: int, server: PostgresServer | None) -> Iterator[Running]:
    """Run a hub whose persons have points to spend.

    Orders are ready, each with its ticket: signing is the enterprise's work, on a machine of its own.
    """
    one = SimulatedEnterprise("bike-share", range(persons), ("bike",), quota=4 * persons)
    world = World(opened=make_home(folder, server), enterprises=[one])
    with running(world.opened) as hub:
        world.hub = hub
        accounts = settled(world, _CHEAP)
        persons_of = {world.linked[pseudonym(number)][0]: number for number in range(persons)}

        @contextmanager
        def connect(own: random.Random) -> Iterator[Acts]:
            chosen = own.choices(accounts, k=READY)
            ready = [_order(world, account, persons_of[account]) for account in chosen]
            yield (partial(world.hub.ledger.submit, one) for one in ready)

        yield Running(connect, hub)


def _order(world: World, account: bytes, person: int) -> ledger_pb2.Operation:
    asked = ledger_pb2.Operation(key=secrets.token_bytes(16), reserve=reserve(account))
    named = {"subject": subject(asked), "nonce": secrets.token_bytes(16)}
    asked.reserve.ticket = world.ticket("bike-share", person, PURPOSE, **named)
    return asked


def raw_postgres(dsn: str, persons: int) -> Connect:
    """Lay out one table to update and one to insert into; one statement does both and commits."""
    with psycopg.connect(dsn, autocommit=True) as made:
        made.execute(
            "create table raw_user (id bigint primary key, points bigint not null) with (fillfactor = 70)"
        )
        made.execute("create table raw_spent (key uuid primary key, id bigint, partner int, points bigint)")
        made.execute(
            "insert into raw_user select n, %s from generate_series(1, %s) n", (START_POINTS, persons)
        )
        made.execute("vacuum analyze raw_user")
    text = (
        "with paid as (update raw_user set points = points - 1 where id = %s and points >= 1 returning id) "
        "insert into raw_spent select gen_random_uuid(), id, %s, 1 from paid"
    )

    @contextmanager
    def connect(own: random.Random) -> Iterator[Acts]:
        with psycopg.connect(dsn, autocommit=True) as opened:
            yield repeat(
                lambda: opened.execute(
                    text, (own.randint(1, persons), own.randint(1, PARTNERS)), prepare=True
                )
            )

    return connect


def raw_sqlite(path: Path, persons: int) -> Connect:
    """The same in a file, each client a writer of its own, flushed at each commit."""
    with sqlite3.connect(path) as made:
        made.execute("pragma journal_mode=wal")
        made.execute("create table raw_user (id integer primary key, points integer not null) strict")
        made.execute(
            "create table raw_spent (key blob primary key, id integer, partner integer, points integer)"
        )
        made.executemany(
            "insert into raw_user values (?, ?)", [(n, START_POINTS) for n in range(1, persons + 1)]
        )

    @contextmanager
    def connect(own: random.Random) -> Iterator[Acts]:
        connection = sqlite3.connect(path, isolation_level=None, timeout=60)
        connection.execute("pragma synchronous=full")

        def act() -> None:
            user = own.randint(1, persons)
            connection.execute("begin immediate")
            connection.execute(
                "update raw_user set points = points - 1 where id = ? and points >= 1", (user,)
            )
            connection.execute(
                "insert into raw_spent values (?, ?, ?, 1)",
                (secrets.token_bytes(16), user, own.randint(1, PARTNERS)),
            )
            connection.execute("commit")

        yield repeat(act)
        connection.close()

    return connect


def pgledger(dsn: str, sql: Path, persons: int) -> Connect:
    """Load pgledger into a schema of its own: an account a user and a partner, one transfer a redemption."""
    with psycopg.connect(dsn, autocommit=True) as made:
        # Its repository keeps two functions it needs beside it.
        for file in (*sorted(sql.parent.glob("vendor/*/*.sql")), sql):
            made.execute(file.read_bytes())
        users = _accounts(made, "user", persons)
        partners = _accounts(made, "partner", PARTNERS)
        bank = _accounts(made, "bank", 1)[0]
        for user in users:
            made.execute("select pgledger_create_transfer(%s, %s, %s)", (bank, user, START_POINTS))

    @contextmanager
    def connect(own: random.Random) -> Iterator[Acts]:
        with psycopg.connect(dsn, autocommit=True) as opened:
            yield repeat(
                lambda: opened.execute(
                    "select pgledger_create_transfer(%s, %s, 1)",
                    (own.choice(users), own.choice(partners)),
                    prepare=True,
                )
            )

    return connect


def _accounts(connection: psycopg.Connection, name: str, count: int) -> Sequence[str]:
    text = "select (pgledger_create_account(%s || n, 'POINTS')).id from generate_series(1, %s) n"
    return [row[0] for row in connection.execute(text, (name, count)).fetchall()]
