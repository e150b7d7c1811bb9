"""The node's data plane put together: configuration, state, activities, persons, reductions of one home."""

from __future__ import annotations

import datetime
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from accounting.compiler import CompiledPack, compile_pack
from accounting.packs import Pack
from engine.opening import DUCKDB
from enterprise_node.activities import Activities
from enterprise_node.commitments import forget_records_before
from enterprise_node.configuration import REGISTER_SOURCE, NodeConfiguration, load_configuration
from enterprise_node.exclusive import exclusive
from enterprise_node.ingest import FileReport, Ingest, reading_folder
from enterprise_node.judgement import Released
from enterprise_node.kept import Kept
from enterprise_node.local_keys import LocalKeys, open_keys
from enterprise_node.mapping import Surroundings
from enterprise_node.persons import Persons
from enterprise_node.quarantine import Quarantine
from enterprise_node.reductions import Reductions
from enterprise_node.register import Register
from enterprise_node.removal import Removal
from enterprise_node.sources.files import FileSource
from enterprise_node.staging import Stage
from enterprise_node.store import corrections as correction_store
from enterprise_node.store import marks as mark_store
from enterprise_node.store import persons as person_store
from enterprise_node.store import push as push_store
from enterprise_node.store import releases as release_store
from enterprise_node.store import selections as selection_store
from enterprise_node.store import sources as source_store
from enterprise_node.store.database import Database, Schema
from enterprise_node.store.marks import MarkTable
from enterprise_node.store.persons import FormerHolder
from enterprise_node.store.push import PushTable
from enterprise_node.store.releases import ReleaseState, ReleaseTable
from enterprise_node.store.selections import SelectionTable
from protos.epochs import Epoch, epoch_of, first_day, shift_epoch
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID
from runtime.configuration import open_home
from runtime.pack_files import PACK_FILE, load_activities, load_pack, load_packs

if TYPE_CHECKING:
    from engine.duckdb_engine import DuckDbEngine
    from enterprise_node.configuration import SourceSettings
    from enterprise_node.sources.source import Source
    from enterprise_node.spool import Spool

logger = logging.getLogger(__name__)

STATE_FILE = "state.sqlite"
LOCK_FILE = "reading.lock"
# Reading asks which months were released.
DATA_SCHEMAS: tuple[Schema, ...] = (
    person_store.SCHEMA,
    source_store.SCHEMA,
    mark_store.SCHEMA,
    push_store.SCHEMA,
    release_store.SCHEMA,
    selection_store.SCHEMA,
    correction_store.SCHEMA,
)

# Of rows held in memory at once: of a query, or pushed.
PIECE_BYTES_MAX = 64 << 20

_ORIGIN = datetime.date(1970, 1, 1)
CIVIL_ZONE = datetime.timezone(datetime.timedelta(hours=8))


@dataclass(frozen=True, slots=True)
class Workspace:
    """Everything the node's commands work with; `close` when done.

    `reductions` run on the engine of node.toml; `lookups`, of single persons and records, always here.
    """

    home: Path
    configuration: NodeConfiguration
    database: Database
    engine: DuckDbEngine
    keys: LocalKeys
    persons: Persons
    files: source_store.SourceFiles
    activities: Activities
    quarantine: Quarantine
    packs: Mapping[str, CompiledPack]
    reductions: Reductions
    lookups: Reductions
    today: datetime.date

    def stage(self, *, store: bool = True) -> Stage:
        """Give the reader of raw files; without `store` persons are numbered for a rehearsal only."""

        def numbering(values: Sequence[str], kind: str | None) -> Mapping[str, int | None]:
            return self.persons.number_all(values, kind=kind, store=store)

        def remembering(values: Sequence[str], kind: str | None) -> Mapping[str, Sequence[FormerHolder]]:
            return self.persons.former_holders(values, kind=kind)

        first = self.keep_from_day()
        around = Surroundings(
            self.activities.registry,
            self.configuration.region,
            self.keys.token,
            self.today,
            None if first is None else _ORIGIN + datetime.timedelta(days=first),
        )
        return Stage(self.home, self.configuration.engine, around, numbering, remembering)

    def keep_from_day(self) -> int | None:
        """Give the first day the retention rule keeps, None without a rule."""
        months = self.configuration.retention.months
        if months is None:
            return None
        return first_day(shift_epoch(epoch_of((self.today - _ORIGIN).days), -months))

    def ingest(self) -> Ingest:
        """Give what reads the sources."""
        return Ingest(
            self.home,
            self.configuration.engine,
            self.configuration.source,
            self.open_source,
            self.stage(),
            self.activities,
            self.quarantine,
            self.files,
            tuple(self.packs.values()),
            self.released,
        )

    def open_source(self, settings: SourceSettings, mapping: str) -> Source:
        """Give what tells a source's pieces."""
        size = min(PIECE_BYTES_MAX, (self.configuration.engine.memory_limit_mb << 20) // 8)
        if settings.kind == "postgresql":
            from enterprise_node.sources.postgres import PostgresSource

            return PostgresSource(self.home, settings, mapping, self.files, MarkTable(self.database), size)
        if settings.kind == "push":
            from enterprise_node.sources.pushed import PushedSource

            return PushedSource(settings, mapping, self.files, self.spool(), size)
        return FileSource(self.home, settings, mapping, self.files)

    def spool(self) -> Spool:
        """Give where pushed records wait."""
        from enterprise_node.spool import Spool

        sources = {one.id: one for one in self.configuration.source if one.kind == "push"}
        return Spool(PushTable(self.database), self.keys, sources)

    def released(self) -> Released:
        """Give the months whose release was begun, and drawn."""
        releases = ReleaseTable(self.database).all()
        drawn = {one.epoch for one in releases if one.state is not ReleaseState.RESERVED}
        return Released(frozenset(Epoch(one.epoch) for one in releases), frozenset(map(Epoch, drawn)))

    def read(self, note: Callable[[str], None] = lambda _: None) -> Iterator[FileReport]:
        """Read what is new: the register first, then every source; `note` is told what is being read."""
        with exclusive(self.home / LOCK_FILE, "reading sources"):
            shutil.rmtree(reading_folder(self.home), ignore_errors=True)
            self.activities.sweep()
            self._apply_retention()
            register = self.register()
            if register is not None:
                for path, outcome in register.run():
                    yield FileReport(REGISTER_SOURCE, path, outcome)
            yield from self.ingest().run(note)

    def _apply_retention(self) -> None:
        first = self.keep_from_day()
        if first is not None:
            Kept(self.home).forget_days_before(first)
            forget_records_before(self.home, first)
        if first is not None and (dropped := self.removal().older_than(first)):
            logger.info("retention applied", extra={"activities": dropped})

    def removal(self) -> Removal:
        """Give what takes rows out of kept activities."""
        return Removal(self.home, self.configuration.engine, self.activities, self.files)

    def register(self) -> Register | None:
        """Give what reads the register of persons, if there is one."""
        settings = self.configuration.persons
        if settings is None:
            return None
        engine = self.configuration.engine
        return Register(self.home, engine, settings, self.persons, self.quarantine, self.files)

    def close(self) -> None:
        """Close the state and the engines."""
        if self.reductions is not self.lookups:
            self.reductions.engine.close()
        self.engine.close()
        self.database.close()


def open_workspace(
    home: Path, *, schemas: Sequence[Schema] = (), today: datetime.date | None = None
) -> Workspace:
    """Open the home; `schemas` are those of the outward half. Raises Malformed for node.toml or a pack."""
    from engine.duckdb_engine import DuckDbEngine

    home = open_home(home)
    configuration = load_configuration(home)
    packs = load_node_packs(home, configuration)
    database = Database(home / STATE_FILE, (*DATA_SCHEMAS, *schemas))
    keys = open_keys(home)
    temp = home / "temp"
    temp.mkdir(mode=0o700, exist_ok=True)
    engine = DuckDbEngine(
        memory_limit_mb=configuration.engine.memory_limit_mb,
        threads=configuration.engine.threads,
        temp_dir=temp,
    )
    persons = Persons(
        person_store.PersonTable(database),
        keys,
        configuration.identifier_kind,
        consent_by_register=configuration.persons is not None,
    )
    files = source_store.SourceFiles(database)
    activities = Activities(home, files, load_activities())
    parts = activities, persons, packs, SelectionTable(database)
    lookups = reductions = Reductions(home, engine, *parts)
    if configuration.engine.at != DUCKDB:
        reductions = Reductions(home, configuration.engine.open(temp), *parts)
    return Workspace(
        home=home,
        configuration=configuration,
        database=database,
        engine=engine,
        keys=keys,
        persons=persons,
        files=files,
        activities=activities,
        quarantine=Quarantine(home, files, engine),
        packs=packs,
        reductions=reductions,
        lookups=lookups,
        today=today or datetime.datetime.now(CIVIL_ZONE).date(),
    )


def load_node_packs(home: Path, configuration: NodeConfiguration) -> dict[str, CompiledPack]:
    """Compile the packs over activities the sources yield, by id; of several versions the last."""
    codes = {code for source in configuration.source for code in source.activity_codes()}
    chosen: dict[str, Pack] = {}
    for entry in configuration.packs:
        folder = home / entry
        found = [load_pack(folder)] if (folder / PACK_FILE).is_file() else load_packs(folder)
        for pack in found:
            known = chosen.get(pack.id)
            if pack.activity.code in codes and (known is None or known.version < pack.version):
                chosen[pack.id] = pack
    compiled = {pack_id: compile_pack(pack) for pack_id, pack in sorted(chosen.items())}
    _check_retention(configuration, compiled)
    return compiled


def _check_retention(configuration: NodeConfiguration, packs: Mapping[str, CompiledPack]) -> None:
    """Refuse to drop what a pack still compares with."""
    months = configuration.retention.months
    # And the months not released yet: the present one and the one before.
    needed = max((one.months_back + 2 for one in packs.values() if one.own_history), default=0)
    if months is not None and months < needed:
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            f"retention.months is {months}; the packs here compare with up to {needed} months ago.",
            remedy=f"Keep at least {needed} months, or leave those packs out.",
        )
