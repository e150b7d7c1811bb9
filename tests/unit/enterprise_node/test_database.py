"""Transactions nest, schemas only grow, and a newer program's state is not touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from enterprise_node.store.database import Database, Schema, check_integrity
from protos.problems import InvariantBroken, Malformed

FIRST = "CREATE TABLE one (number INTEGER) STRICT"
SECOND = "ALTER TABLE one ADD COLUMN word TEXT"


def test_schema_grows_by_appending(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    old = Database(path, [Schema("one", (FIRST,))])
    old.execute("INSERT INTO one VALUES (1)")
    old.close()
    new = Database(path, [Schema("one", (FIRST, SECOND)), Schema("two", ("CREATE TABLE two (x) ",))])
    assert new.rows("SELECT number, word FROM one") == [(1, None)]
    new.close()
    with pytest.raises(Malformed, match="newer version"):
        Database(path, [Schema("one", (FIRST,))])


def test_state_is_private(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    database = Database(path, [Schema("one", (FIRST,))])
    with database.transaction():
        database.execute("INSERT INTO one VALUES (1)")
        for file in tmp_path.iterdir():
            assert file.stat().st_mode & 0o077 == 0


def test_inner_transaction_falls_with_the_outer(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.sqlite", [Schema("one", (FIRST,))])
    with pytest.raises(KeyError), database.transaction():
        with database.transaction():
            database.execute("INSERT INTO one VALUES (1)")
        raise KeyError
    assert database.value("SELECT count(*) FROM one") == 0
    database.execute_many("INSERT INTO one VALUES (?)", [(1,), (2,)])
    assert database.value("SELECT sum(number) FROM one") == 3
    assert database.value("SELECT number FROM one WHERE number = 9") is None


def test_damage_is_found(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    Database(path, [Schema("one", (FIRST,))]).close()
    assert check_integrity(path) == "ok"
    path.write_bytes(b"SQLite format 3\0" + b"x" * 8000)
    with pytest.raises(InvariantBroken):
        check_integrity(path)
