"""A hub that lost its books makes them again from the log, row for row, and goes on as its twin does."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, text, update
from sqlalchemy.exc import DBAPIError

from accounting.ledger.books import NOTHING
from accounting.ledger.chart import points_ledger
from accounting.ledger.decide import act_hash
from accounting.ledger.wallets import Wallet
from hub.backup import Manifest, backup, restore
from hub.deciding import Answered
from hub.participation import Asked
from hub.rebuild import FOLDED, rebuild
from hub.rebuilt_ledgers import TABLES
from hub.reconcile import reconcile
from hub.setup import Opened
from hub.store import ledger_schema
from hub.store.database import open_writer
from hub.store.dialects import wipe
from hub.store.location import Location, SqliteFile
from hub.store.operations import (
    StoredOperation,
    last_operation_at,
    next_operation,
    operation_rows,
)
from hub.store.rows import write
from hub.store.schema import balance, closed_epoch, link, metadata, points_balance
from privacy import codec
from privacy.account_changes import MERGE
from protos.epochs import Epoch, next_epoch
from protos.v1 import ledger_pb2
from tests.simulator import EPOCH, Logged
from tests.unit.hub.operations import asked, holder_of
from tests.unit.hub.past_wallets import wallet_at
from tests.unit.hub.spending import OPEN, reserve, settled
from tests.unit.hub.test_accounts import close, release_all
from tests.unit.hub.test_backup import copy_of, emptied_home
from tests.unit.hub.world import World, make_home, running, stored

POINTS = points_ledger("city")
LATER = next_epoch(OPEN)


@dataclass
class Lived(World):
    """A hub with a history: whose accounts have points, and what was asked and answered last."""

    holders: tuple[bytes, ...] = ()
    last: ledger_pb2.Operation = field(default_factory=ledger_pb2.Operation)
    answered: Answered | None = None


@dataclass(frozen=True)
class Went:
    """Where a hub has got to: what it says of the past, its log, and all its rows."""

    past: dict[tuple[bytes, Epoch], Wallet]
    log: list[Logged]
    rows: Manifest


def operation(number: int, **act: object) -> ledger_pb2.Operation:
    return ledger_pb2.Operation(key=number.to_bytes(16, "big"), **act)  # type: ignore[arg-type]


def merge(world: World, one: bytes, other: bytes) -> None:
    """Let two persons say that they are one."""
    first = world.ticket(*holder_of(world, one), "merge")
    second = world.ticket(*holder_of(world, other), "merge", subject=hashlib.sha256(first).digest())
    world.hub.parts.participation.change(Asked(MERGE, [first, second]))


def live(world: Lived) -> None:
    """Two closes, a merge, and an order in each state, some before the last close and some behind it."""
    submit = world.hub.ledger.submit
    world.holders = tuple(settled(world))
    for number, account in enumerate(world.holders[:4]):
        submit(asked(world, operation(2 * number + 1, reserve=reserve(account, 2))))
    submit(operation(100, confirm=ledger_pb2.Confirm(reserve_key=(1).to_bytes(16, "big"))))
    submit(operation(101, cancel=ledger_pb2.Cancel(reserve_key=(3).to_bytes(16, "big"))))
    merge(world, world.holders[2], world.holders[3])
    world.follow()
    close(release_all(world, OPEN), OPEN)
    world.follow()
    submit(operation(102, confirm=ledger_pb2.Confirm(reserve_key=(5).to_bytes(16, "big"))))
    world.last = asked(world, operation(9, reserve=reserve(world.holders[0])))
    world.answered = submit(world.last)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """A hub that has lived, was copied, and is down."""
    world = Lived(opened=make_home(tmp_path_factory.mktemp("lived") / "hub"))
    with running(world.opened) as hub:
        world.hub = hub
        live(world)
    world.follow()
    backup(world.opened, copy_of(world))
    return world


@pytest.fixture(scope="module")
def twin(lived: Lived, tmp_path_factory: pytest.TempPathFactory) -> Went:
    """What becomes of the copy that nothing happens to."""
    folder = tmp_path_factory.mktemp("twin")
    return go_on(lived, restored(lived, SqliteFile(folder / "unused"), folder / "hub"))


def restored(lived: Lived, location: Location, folder: Path) -> Opened:
    home = emptied_home(lived, location, folder)
    assert restore(home, copy_of(lived))[1].differences == []
    return home


def go_on(lived: Lived, home: Opened) -> Went:
    """Go on from where the copy was taken, always in the same way."""
    state = pickle.loads(pickle.dumps((lived.state, lived.randomness)))
    world = replace(lived, opened=home, state=state[0], randomness=state[1], entries=list(lived.entries))
    with running(home) as world.hub:
        submit = world.hub.ledger.submit
        assert submit(world.last) == world.answered
        assert [one for one in reconcile(home) if not one.is_good] == []
        submit(operation(103, confirm=ledger_pb2.Confirm(reserve_key=(9).to_bytes(16, "big"))))
        submit(asked(world, operation(10, reserve=reserve(world.holders[1], 3))))
        world.hub.parts.writer.call(world.hub.ledger.seal)
        world.follow()
        close(release_all(world, LATER), LATER)
        submit(operation(104, cancel=ledger_pb2.Cancel(reserve_key=(10).to_bytes(16, "big"))))
        world.hub.parts.writer.call(world.hub.ledger.seal)
        with world.hub.parts.readers.begin() as connection:
            facts = world.hub.ledger.facts(connection)
            past = {
                (account, epoch): wallet_at(connection, facts, POINTS, account, epoch)
                for account in world.holders
                for epoch in (EPOCH, OPEN, LATER)
            }
        assert [one for one in reconcile(home) if not one.is_good] == []
    return Went(past, stored(home.home), backup(home, home.home.folder / "rows"))


def damage(connection: Connection) -> None:
    """Lose whole tables, the rows of others, and figures in the rest.

    Whoever edits the database is not stopped by what protects it from mistakes.
    """
    made = ledger_schema
    wipe(connection, metadata, [link, made.operation, made.transfer, made.credit, made.wallet])
    emptied = (made.segment, made.received, made.reservation)
    for table in (balance, points_balance, closed_epoch, *emptied):
        unprotect(connection, table.name)
        connection.execute(delete(table))
    connection.execute(update(made.counter).values(value=made.counter.c.value + 1))
    connection.execute(update(made.system_balance).values(credits=made.system_balance.c.credits + 1))


def unprotect(connection: Connection, table: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text(f'alter table "{table}" disable trigger user'))
        connection.execute(text(f'grant all on "{table}" to current_user'))
        return
    named = "select name from sqlite_master where type = 'trigger' and tbl_name = :table"
    for name in connection.scalars(text(named), {"table": table}).all():
        connection.execute(text(f'drop trigger "{name}"'))


def test_books_that_were_lost_are_made_again_row_for_row(
    lived: Lived, twin: Went, location: Location, tmp_path: Path
) -> None:
    home = restored(lived, location, tmp_path / "damaged")
    before = backup(home, tmp_path / "before")
    engine = open_writer(home.home.database)
    with engine.begin() as connection:
        damage(connection)
    engine.dispose()
    shutil.rmtree(home.home.work, ignore_errors=True)
    named = rebuild(home, write=False)
    assert not named.written
    assert {table.name for table in (*FOLDED, *TABLES) if table.name in " ".join(named.differences)} >= {
        "link",
        *(table.name for table in TABLES if table is not ledger_schema.received),
    }
    assert rebuild(home, write=True).written
    assert rebuild(home, write=False).differences == []
    assert backup(home, tmp_path / "after") == before
    check_protected(home)
    assert go_on(lived, home) == twin


def test_an_answer_that_the_rules_refuse_is_named_and_never_written(lived: Lived, tmp_path: Path) -> None:
    home = restored(lived, SqliteFile(tmp_path / "unused"), tmp_path / "hub")
    engine = open_writer(home.home.database)
    with engine.begin() as connection:
        last = next_operation(connection)
        forged = operation(200, confirm=ledger_pb2.Confirm(reserve_key=(3).to_bytes(16, "big")))
        forged.at = last_operation_at(connection)
        row = StoredOperation(last, forged.key, act_hash(forged), forged.at, codec.encode(forged), NOTHING)
        write(connection, operation_rows([row]))
    engine.dispose()
    made = rebuild(home, write=True)
    assert made.differences[0].startswith(f"the open segment: operation {last} does not hold")
    assert made.differences[-1].startswith("the log's own ledgers do not hold")
    assert rebuild(home, write=False).differences == made.differences


def check_protected(home: Opened) -> None:
    """The tables refuse again what they refused before."""
    engine = open_writer(home.home.database)
    for table in (ledger_schema.operation, ledger_schema.transfer, ledger_schema.credit):
        with pytest.raises(DBAPIError, match=r"append-only|permission denied"), engine.begin() as connection:
            connection.execute(delete(table))
    engine.dispose()


def test_every_table_follows_from_the_log_or_is_named_as_one_that_does_not() -> None:
    """The log itself, who joined, codes, names on boards, looks at accounts; one more is to be decided."""
    apart = {"entry", "body", "body_erasure", "tree", "setting", "alembic_version"}
    apart |= {"invitation", "registration", "voucher", "board_entry", "ticket"}
    derived = {one.name for one in (*FOLDED, *TABLES)}
    assert {one.name for one in metadata.tables.values()} == apart | derived
    assert not apart & derived
