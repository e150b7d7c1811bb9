from __future__ import annotations

from pathlib import Path

import pytest

from hub.log import LogWriter, PublicLog, WriterLock
from hub.store.entries import TreeHead
from privacy import merkle, tiles
from privacy.checkpoint import open_checkpoint
from protos.problems import Conflict, Problem, Unavailable, Unverified
from protos.v1 import problem_pb2 as reasons
from runtime.log_reader import FolderLog
from tests.simulated_log import SimulatedLog
from tests.simulator import ORIGIN, key
from tests.tiled_log import read_entries
from tests.unit.hub.world import Crash, refused

LOG_KEY = key("log")
VKEY = SimulatedLog(ORIGIN, LOG_KEY).vkey


def entry(number: int) -> bytes:
    return b"entry %d" % number


def entries(count: int) -> list[bytes]:
    return [entry(number) for number in range(count)]


def head(count: int) -> TreeHead:
    return TreeHead(count, merkle.root(entries(count)))


def writer(folder: Path) -> LogWriter:
    return LogWriter(folder, ORIGIN, LOG_KEY)


def grow(log: LogWriter, end: int) -> None:
    for number in range(log.head.size, end):
        log.append(merkle.leaf_hash(entry(number)), entry(number))


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 600])
def test_the_folder_reads_back_as_the_log(tmp_path: Path, size: int) -> None:
    log = writer(tmp_path)
    log.restore(entries(size), head(size))
    assert [one.data for one in read_entries(FolderLog(tmp_path), VKEY)] == entries(size)
    assert log.unpublished == 0


def test_every_published_size_keeps_its_tiles(tmp_path: Path) -> None:
    log = writer(tmp_path)
    sizes = [1, 2, 255, 256, 257, 511, 513]
    for size in sizes:
        grow(log, size)
        log.publish()
    public = PublicLog(tmp_path)
    for size in sizes:
        for tile in (*tiles.tiles_of(size), *tiles.bundles_of(size)):
            assert public.tile(tile.path.removeprefix("tile/"))


def test_a_restart_gives_the_same_folder(tmp_path: Path) -> None:
    first = writer(tmp_path)
    grow(first, 300)
    first.publish()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    writer(tmp_path).restore(entries(300), head(300))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_what_was_committed_but_not_published_is_published_at_the_start(tmp_path: Path) -> None:
    log = writer(tmp_path)
    grow(log, 200)
    log.publish()
    writer(tmp_path).restore(entries(300), head(300))
    assert open_checkpoint(PublicLog(tmp_path).checkpoint(), VKEY).size == 300


def test_a_write_that_failed_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = writer(tmp_path)
    grow(log, 256)
    full = tmp_path / "tile"
    full.write_bytes(b"in the way")
    with pytest.raises(OSError):
        log.publish()
    assert log.unpublished == 256
    full.unlink()
    grow(log, 300)
    log.publish()
    assert [one.data for one in read_entries(FolderLog(tmp_path), VKEY)] == entries(300)


def test_lost_and_damaged_tiles_are_derived_again(tmp_path: Path) -> None:
    log = writer(tmp_path)
    log.restore(entries(300), head(300))
    (tmp_path / "tile/0/000").write_bytes(b"damaged")
    (tmp_path / "tile/entries/000").unlink()
    writer(tmp_path).restore(entries(300), head(300))
    assert [one.data for one in read_entries(FolderLog(tmp_path), VKEY)] == entries(300)


@pytest.mark.parametrize("kept", [0, 1, 100, 299])
def test_a_database_behind_the_published_checkpoint_stops_the_start(tmp_path: Path, kept: int) -> None:
    writer(tmp_path).restore(entries(300), head(300))
    before = PublicLog(tmp_path).checkpoint()
    problem = refused(lambda: writer(tmp_path).restore(entries(kept), head(kept)))
    assert (type(problem), problem.reason) == (Unverified, reasons.REASON_HISTORY_INCONSISTENT)
    assert PublicLog(tmp_path).checkpoint() == before


def test_another_history_stops_the_start(tmp_path: Path) -> None:
    writer(tmp_path).restore(entries(300), head(300))
    other = [*entries(100), b"forged", *entries(300)[101:], b"more"]
    problem = refused(lambda: writer(tmp_path).restore(other, TreeHead(301, merkle.root(other))))
    assert problem.reason == reasons.REASON_HISTORY_INCONSISTENT


def test_a_stored_root_that_does_not_fit_stops_the_start(tmp_path: Path) -> None:
    problem = refused(lambda: writer(tmp_path).restore(entries(3), TreeHead(3, bytes(32))))
    assert problem.reason == reasons.REASON_HISTORY_INCONSISTENT


def test_a_checkpoint_of_another_key_stops_the_start(tmp_path: Path) -> None:
    LogWriter(tmp_path, ORIGIN, key("another log")).restore(entries(3), head(3))
    problem = refused(lambda: writer(tmp_path).restore(entries(3), head(3)))
    assert problem.reason == reasons.REASON_CHECKPOINT_INVALID


def test_a_crash_between_tiles_and_checkpoint_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    def die(name: str) -> None:
        raise Crash(name)

    log = writer(tmp_path)
    log.restore(entries(10), head(10))
    dying = LogWriter(tmp_path, ORIGIN, LOG_KEY, step=die)
    with pytest.raises(Crash):
        dying.restore(entries(20), head(20))
    assert open_checkpoint(PublicLog(tmp_path).checkpoint(), VKEY).size == 10
    writer(tmp_path).restore(entries(20), head(20))
    assert open_checkpoint(PublicLog(tmp_path).checkpoint(), VKEY).size == 20


def test_only_one_writer_holds_the_lock(tmp_path: Path) -> None:
    with WriterLock(tmp_path / "lock"):
        assert isinstance(refused(lambda: WriterLock(tmp_path / "lock").__enter__()), Conflict)
    with WriterLock(tmp_path / "lock"):
        pass


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    public = PublicLog(tmp_path)
    for read in (public.checkpoint, public.vkey, lambda: public.tile("0/000")):
        assert isinstance(refused(read), Unavailable | Problem)
