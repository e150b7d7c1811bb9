"""A hub whose database is PostgreSQL does all that one on SQLite does, and dies and rises as well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict

from hub.cli import hub as program
from hub.configuration import Home
from hub.doctor import examine
from hub.rebuild import rebuild
from hub.store.location import PostgresServer
from protos.epochs import next_epoch
from protos.problems import Conflict, Malformed
from tests.simulator import EPOCH, pseudonym
from tests.unit.hub.stores import fresh_schema
from tests.unit.hub.test_accounts import check_books, close, release_all
from tests.unit.hub.test_crash import check_log, refused_or_closed
from tests.unit.hub.world import CrashAt, World, begin, enrol, make_home, refused, running


@pytest.fixture
def server(postgres_server: str) -> Iterator[PostgresServer]:
    with fresh_schema(postgres_server) as found:
        yield found


@pytest.fixture
def settled(tmp_path: Path, server: PostgresServer) -> World:
    """A hub that is down and whose enterprises have released."""
    world = World(opened=make_home(tmp_path / "hub", server))
    with running(world.opened) as hub:
        world.hub = hub
        release_all(enrol(begin(world)))
    return world


@pytest.mark.parametrize("step", ["stored", "committed", "closed"])
def test_a_close_cut_off_is_taken_up_and_rebuilt_without_a_difference(settled: World, step: str) -> None:
    crash = CrashAt(step)
    with running(settled.opened, crash) as hub:
        settled.hub = hub
        refused_or_closed(settled)
    assert step in crash.reached
    with running(settled.opened) as hub:
        settled.hub = hub
        response = close(settled)
        check_books(settled, response, EPOCH)
        assert close(settled) == response
    check_log(settled)
    assert rebuild(settled.opened, write=False).differences == []
    assert all(check.is_good for check in examine(settled.opened.home.folder) if check.name != "disk")


def test_a_hub_from_another_home_is_refused(settled: World, tmp_path: Path, server: PostgresServer) -> None:
    with running(settled.opened):
        problem = refused(lambda: make_home(tmp_path / "other", server))
    assert isinstance(problem, Conflict)


def test_the_secret_stays_in_its_file(settled: World) -> None:
    home = settled.opened.home
    assert "dsn_file" in home.configuration.read_text()
    assert "dbname" not in home.configuration.read_text()
    (home.private / "store.dsn").chmod(0o644)
    assert isinstance(refused(lambda: Home(home.folder).database), Malformed)


def test_scrubbing_takes_erased_bytes_out_of_a_servers_tables(
    settled: World, postgres_server: str, server: PostgresServer
) -> None:
    """The old rows lie in the server's files until the tables are written anew."""
    name, other = pseudonym(0), pseudonym(6)
    with running(settled.opened) as hub:
        settled.hub = hub
        close(settled)
        settled.follow()
        settled.enrol("bike-share", [], effective=next_epoch(EPOCH), withdrawn=[0, 6])
        settled.erase("bike-share", [0, 6])
        hub.closer.forget_erased()
        assert name in relation_bytes(postgres_server, server)
        assert (
            CliRunner().invoke(program, ["scrub", "--home", str(settled.opened.home.folder)]).exit_code == 0
        )
        left = relation_bytes(postgres_server, server)
    assert name not in left
    assert other in left


def relation_bytes(superuser: str, server: PostgresServer) -> bytes:
    """Read the files of all tables and indexes of a role, flushed to the disk."""
    owner = conninfo_to_dict(server.dsn)["user"]
    query = (
        "select pg_relation_filepath(c.oid) from pg_class c join pg_roles r on r.oid = c.relowner "
        "where r.rolname = %s and pg_relation_filepath(c.oid) is not null"
    )
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("checkpoint")
        [[folder]] = connection.execute("show data_directory").fetchall()
        paths = [Path(folder) / path for [path] in connection.execute(query, [owner]).fetchall()]
    return b"".join(path.read_bytes() for path in paths if path.exists())
