"""The books are a fold over the log: made again they are the same; what differs is named and put right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import delete, text, update

from hub.cli import hub
from hub.rebuild import rebuild
from hub.store.database import open_writer
from hub.store.schema import balance, body, closed_epoch, link
from protos.problems import Conflict, Unverified
from tests.simulator import EPOCH
from tests.unit.hub.world import World


@pytest.fixture
def settled(enrolled: World) -> World:
    """A hub that has closed an epoch and is down."""
    for one in enrolled.enterprises:
        enrolled.release(one.id)
    enrolled.hub.closer.close(EPOCH, allow_missing=True)
    with pytest.raises(Conflict):
        rebuild(enrolled.opened, write=True)
    enrolled.hub.__exit__()
    return enrolled


def change(found: World, *statements: object) -> None:
    engine = open_writer(found.opened.home.database)
    with engine.begin() as connection:
        # Whoever edits the file is not stopped by what protects it from mistakes.
        for name in connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
            connection.execute(text(f'DROP TRIGGER "{name}"'))
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]
    engine.dispose()


def test_nothing_differs(settled: World) -> None:
    made = rebuild(settled.opened, write=True)
    assert (made.differences, made.written) == ([], False)
    assert len(made.closes) == 1
    assert made.last is not None
    assert made.entries == settled.hub.log_size


def test_books_that_were_changed_are_named_and_put_right(settled: World) -> None:
    change(
        settled,
        update(balance).values(balance_mg=balance.c.balance_mg + 1000),
        delete(closed_epoch),
        delete(link),
    )
    made = rebuild(settled.opened, write=False)
    assert any(one.startswith("account ") for one in made.differences)
    assert any(one.startswith("closed epoch 2020-12") for one in made.differences)
    assert any(one.startswith("link ") for one in made.differences)
    assert rebuild(settled.opened, write=True).written
    assert rebuild(settled.opened, write=False).differences == []


def test_a_log_that_does_not_hold_is_never_written_over(settled: World) -> None:
    change(settled, update(body).values(data=b"other"))
    with pytest.raises(Unverified, match="does not hold"):
        rebuild(settled.opened, write=True)


def test_the_command(settled: World, tmp_path: Path) -> None:
    home = str(settled.opened.home.folder)
    done = CliRunner().invoke(hub, ["rebuild", "--home", home, "--json"], standalone_mode=False)
    assert json.loads(done.output)["differences"] == []
    assert done.return_value == 0
