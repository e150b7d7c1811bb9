"""Brings a hub's database to the revision this program needs, in one transaction: all of it or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, inspect

from hub.store.database import current_revision, told
from hub.store.dialects import connect_writer
from hub.store.location import Location
from hub.store.schema import REVISION, revision
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID

_FOLDER = "hub.store:migrations"


@dataclass(frozen=True, slots=True)
class Migrated:
    """From which revision to which, by what steps, and whether it was kept."""

    before: str
    after: str
    steps: tuple[str, ...]
    kept: bool

    def to_json(self) -> dict[str, Any]:
        """Give the outcome as JSON."""
        return {"before": self.before, "after": self.after, "steps": list(self.steps), "kept": self.kept}


def migrate(location: Location, *, dry_run: bool) -> Migrated:
    """Run the revisions that are missing; a dry run tries all of them and takes them back.

    Raises Malformed for a database that is empty, or newer than this program.
    """
    engine = connect_writer(location)
    try:
        with told(), engine.connect() as connection, connection.begin() as transaction:
            found = _found(connection)
            steps = _missing(found)
            if steps:
                upgrade(connection)
            if dry_run:
                transaction.rollback()
            return Migrated(found, REVISION, steps, not dry_run)
    finally:
        engine.dispose()


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", _FOLDER)
    configuration.set_main_option("path_separator", "os")
    return configuration


def _found(connection: Connection) -> str:
    found = current_revision(connection)
    if found is None:
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            "There are no tables of a hub in this database.",
            remedy="Check --home and its store, or make a hub with cgsp-hub init.",
        )
    return found


def check_known(found: str) -> ScriptDirectory:
    """Refuse a revision that is newer than this program."""
    scripts = ScriptDirectory.from_config(_configuration())
    if found not in {one.revision for one in scripts.walk_revisions()}:
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            f"The database is of revision {found}, which is newer than this program ({REVISION}).",
            remedy="Run the program that made it. Nothing was changed.",
        )
    return scripts


def _missing(found: str) -> tuple[str, ...]:
    """Name the steps from a revision to this program's."""
    scripts = check_known(found)
    steps = reversed(list(scripts.iterate_revisions("head", found)))
    return tuple(f"{one.revision} {one.doc}" for one in steps)


def upgrade(connection: Connection, to: str = "head") -> None:
    """Run the revisions up to one; from nothing, all of them."""
    found = current_revision(connection)
    if found is not None and not inspect(connection).has_table(revision.name):
        # The first form did not say which it is.
        revision.create(connection)
        connection.execute(insert(revision).values(version_num=found))
    configuration = _configuration()
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, to)
