"""A reconciliation holds over books in which everything has happened, and names each sum that does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, text

from hub.cli import hub as program
from hub.reconcile import CHECKS, reconcile, reconciled
from hub.store.dialects import connect_writer
from hub.store.location import PostgresServer
from protos.epochs import next_epoch
from protos.problems import Problem
from protos.v1 import ledger_pb2
from tests.simulator import EPOCH
from tests.unit.hub.spending import reserve, settled, submit
from tests.unit.hub.stores import STORES, fresh_schema
from tests.unit.hub.test_accounts import close, release_all
from tests.unit.hub.world import World, make_home, running

# What somebody who edits the database changes, and the checks that must name it.
CHANGES = {
    "update operation set at = at + 1 where seq = 1": {"journal"},
    "delete from operation where seq = 2": {"journal", "segments"},
    "update segment set count = count + 1": {"segments"},
    "update credit set delta = delta + 1 where ledger = 'P:city' and account = "
    "(select account from wallet where ledger = 'P:city' order by available desc limit 1)": {
        "closes",
        "wallets",
        "zero-sums",
    },
    "update wallet set available = available + 1 where ledger = 'P:city' and deficit = 0": {"wallets"},
    "update wallet set pending = pending + 1 where ledger = 'P:city'": {"wallets", "reservations"},
    # What is available follows from what is credited; the closes say otherwise.
    "update wallet set available = available + 1, credited = credited + 1 "
    "where ledger = 'P:city' and deficit = 0": {"wallets"},
    "update transfer set amount = amount + 1 where operation = 0": {"balances"},
    # From wallets to accounts that are nobody's.
    "update transfer set credit = (select act_hash from operation where seq = 0) where ledger = 'P:city'": {
        "wallets"
    },
    "update system_balance set debits = debits + 1 where path = 'mint'": {"balances", "zero-sums"},
    "update system_balance set credits = credits + 1 where path = 'payable:transit'": {
        "balances",
        "zero-sums",
        "redemptions",
        "funds",
    },
    "update system_balance set debits = debits + 1 where path like 'src_utility_%'": {
        "balances",
        "zero-sums",
        "claims",
    },
    # One enterprise's milligrams called another's: no sum shows it but the closes'.
    "update system_balance set debits = debits + case when path like 'src_utility_%' then 1 else -1 end "
    "where path like 'src_%_2020-12'": {"balances", "claims"},
    "update reservation set state = 2 where state = 1": {"reservations", "redemptions"},
    "update system_balance set ledger = 'U', path = 'issuer:b' where path = 'mint'": {"units", "zero-sums"},
}


@pytest.fixture(scope="module", params=STORES)
def used(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A hub in whose books everything has happened, two closes included."""
    folder = tmp_path_factory.mktemp("used")
    if request.param == "sqlite":
        yield _used(folder, None)
        return
    with fresh_schema(request.getfixturevalue("postgres_server")) as server:
        yield _used(folder, server)


def _used(folder: Path, server: PostgresServer | None) -> World:
    world = World(opened=make_home(folder / "hub", server))
    with running(world.opened) as hub:
        world.hub = hub
        accounts = settled(world)
        keys = [world.randomness.randbytes(16) for _ in range(4)]
        for key, account in zip(keys, accounts, strict=False):
            submit(world, key, reserve=reserve(account, 2))
        submit(world, confirm=ledger_pb2.Confirm(reserve_key=keys[0]))
        submit(world, confirm=ledger_pb2.Confirm(reserve_key=keys[1]))
        submit(world, cancel=ledger_pb2.Cancel(reserve_key=keys[2]))
        submit(world, dispute=ledger_pb2.Dispute(reserve_key=keys[1]))
        submit(world, settle=ledger_pb2.Settle(partner="transit", fen=300, reference="r"))
        release_all(world, next_epoch(EPOCH))
        close(world, next_epoch(EPOCH))
        submit(world, reserve=reserve(accounts[0]))
        assert [check for check in reconcile(world.opened) if not check.is_good] == []
    return world


def test_everything_holds_on_each_store(used: World) -> None:
    checks = reconcile(used.opened)
    assert [check.name for check in checks] == list(CHECKS)
    assert [str(check) for check in checks if not check.is_good] == []


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_is_named(used: World, change: str) -> None:
    engine = connect_writer(used.opened.home.database)
    with engine.connect() as connection, connection.begin() as transaction:
        unprotect(connection)
        assert connection.execute(text(change)).rowcount > 0
        wrong = {check.name for check in reconciled(connection) if not check.is_good}
        transaction.rollback()
    engine.dispose()
    assert wrong >= CHANGES[change]


def test_miscredited_wallets_are_named_by_ledger_and_close(used: World) -> None:
    engine = connect_writer(used.opened.home.database)
    with engine.connect() as connection, connection.begin() as transaction:
        unprotect(connection)
        query = "select count(*), max(applied_epoch) from wallet where ledger = 'P:city' and deficit = 0"
        count, epoch = connection.execute(text(query)).one()
        change = "available = available + 1, credited = credited + 1"
        connection.execute(text(f"update wallet set {change} where ledger = 'P:city' and deficit = 0"))
        [wallets] = [check for check in reconciled(connection) if check.name == "wallets"]
        transaction.rollback()
    engine.dispose()
    lines = wallets.detail.split("; ")
    assert any(f"P:city through {epoch}: " in one for one in lines)
    assert sum(int(one.split(": ")[1].split()[0]) for one in lines if "through" in one) == count


def unprotect(connection: Connection) -> None:
    """Do as somebody would who may change everything."""
    if connection.dialect.name == "sqlite":
        for name in connection.scalars(text("select name from sqlite_master where type = 'trigger'")).all():
            connection.execute(text(f'drop trigger "{name}"'))
        return
    for name in ("operation", "segment", "credit", "transfer"):
        connection.execute(text(f"alter table {name} disable trigger user"))
        connection.execute(text(f"grant update, delete on {name} to current_user"))


def test_the_command_tells_by_name_and_exit_code(used: World) -> None:
    home = str(used.opened.home.folder)
    done = CliRunner().invoke(program, ["reconcile", "--home", home, "--json"], standalone_mode=False)
    said = json.loads(done.output)
    assert (said["ok"], done.return_value) == (True, 0)
    assert [check["name"] for check in said["checks"]] == list(CHECKS)
    assert not isinstance(done.exception, Problem)
