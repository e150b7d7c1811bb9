"""A mirror grows only consistently, survives a crash anywhere, and works without a network."""

from __future__ import annotations

import secrets
import stat
from pathlib import Path

import pytest

from privacy import keys, merkle
from protos.problems import Malformed, Unavailable, Unverified
from protos.v1.problem_pb2 import REASON_PEER_UNREACHABLE
from runtime.log_mirror import LogMirror
from tests.simulated_log import SimulatedLog

KEY = keys.generate(secrets.token_bytes)


def log_of(size: int) -> SimulatedLog:
    log = SimulatedLog("cgsp.example/log", KEY)
    log.append(*(b"entry %d" % number for number in range(size)))
    return log


def grow(log: SimulatedLog, count: int) -> None:
    log.append(*(b"later %d" % number for number in range(len(log.list), len(log.list) + count)))


def test_mirror_gives_what_is_new_and_keeps_it(tmp_path: Path) -> None:
    log = log_of(3)
    mirror = LogMirror(tmp_path / "log", log.vkey)
    assert [entry.index for entry in mirror.advance(log)] == [0, 1, 2]
    assert mirror.advance(log) == []
    for count in (1, 300, 252, 256, 5):
        known = mirror.size
        grow(log, count)
        assert [entry.index for entry in mirror.advance(log)] == list(range(known, known + count))
        assert mirror.root == merkle.root(log.list)
        reopened = LogMirror(tmp_path / "log", str(log.vkey))
        for start in (0, 1, 255, 256, 700, mirror.size - 1, mirror.size, mirror.size + 1):
            assert [entry.data for entry in reopened.entries(start)] == log.list[start:]
            assert [entry.data for entry in mirror.entries(start)] == log.list[start:]
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o700


def test_only_new_bundles_are_fetched(tmp_path: Path) -> None:
    log = log_of(600)
    mirror = LogMirror(tmp_path, log.vkey)
    mirror.grow(log)
    log.reads.clear()
    grow(log, 1)
    assert mirror.grow(log) == 600
    assert log.reads == ["tile/entries/002.p/89"]


def test_empty_log_is_mirrored(tmp_path: Path) -> None:
    log = log_of(0)
    mirror = LogMirror(tmp_path, log.vkey)
    assert mirror.advance(log) == []
    assert mirror.head is not None and mirror.head.size == 0
    assert list(LogMirror(tmp_path, log.vkey).entries()) == []


@pytest.mark.parametrize("position", [0, 255, 299])
def test_rewritten_history_is_not_followed(tmp_path: Path, position: int) -> None:
    log = log_of(300)
    mirror = LogMirror(tmp_path, log.vkey)
    mirror.grow(log)
    log.list[position] = b"rewritten"
    with pytest.raises(Unverified, match="another root"):
        mirror.grow(log)
    grow(log, 40)
    with pytest.raises(Unverified, match="do not continue"):
        mirror.grow(log)
    assert mirror.size == 300
    assert LogMirror(tmp_path, log.vkey).size == 300


def test_every_byte_served_counts(tmp_path: Path) -> None:
    log = log_of(300)
    mirror = LogMirror(tmp_path, log.vkey)
    honest = {index: log.entries(index, width) for index, width in ((0, 256), (1, 44))}
    served = dict(honest)
    log.entries = lambda index, width=256: served[index]  # type: ignore[method-assign]
    for position in range(len(honest[1])):
        changed = bytearray(honest[1])
        changed[position] ^= 1
        served[1] = bytes(changed)
        with pytest.raises((Unverified, Malformed)):
            mirror.grow(log)
    assert mirror.size == 0
    served[1] = honest[1]
    assert mirror.grow(log) == 0 and mirror.size == 300


def test_log_that_shrinks_is_not_followed(tmp_path: Path) -> None:
    log = log_of(5)
    mirror = LogMirror(tmp_path, log.vkey)
    mirror.grow(log)
    log.list.pop()
    with pytest.raises(Unverified, match="4 entries after it has signed 5"):
        mirror.grow(log)


def test_network_that_fails_half_way_costs_nothing(tmp_path: Path) -> None:
    log = log_of(600)
    mirror = LogMirror(tmp_path, log.vkey)
    honest = log.entries

    def failing(index: int, width: int = 256) -> bytes:
        if index == 1:
            raise Unavailable(REASON_PEER_UNREACHABLE, "The wire was cut.")
        return honest(index, width)

    log.entries = failing  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        mirror.grow(log)
    assert mirror.size == 0
    assert (tmp_path / "entries").stat().st_size > 0
    log.entries = honest  # type: ignore[method-assign]
    for one in (LogMirror(tmp_path, log.vkey), mirror):
        one.grow(log)
        assert [entry.data for entry in one.entries()] == log.list


def test_two_processes_take_turns(tmp_path: Path) -> None:
    log = log_of(10)
    first, second = LogMirror(tmp_path, log.vkey), LogMirror(tmp_path, log.vkey)
    first.grow(log)
    grow(log, 300)
    second.grow(log)
    grow(log, 10)
    assert [entry.index for entry in first.advance(log)] == list(range(10, 320))
    assert [entry.data for entry in second.entries()] == log.list[:310]


@pytest.mark.parametrize("file", ["entries", "head"])
def test_damaged_copy_is_noticed(tmp_path: Path, file: str) -> None:
    log = log_of(20)
    LogMirror(tmp_path, log.vkey).grow(log)
    data = (tmp_path / file).read_bytes()
    for position in range(len(data)):
        (tmp_path / file).write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        with pytest.raises(Unverified):
            LogMirror(tmp_path, log.vkey)
    for length in range(len(data)):
        (tmp_path / file).write_bytes(data[:length])
        with pytest.raises(Unverified):
            LogMirror(tmp_path, log.vkey)
    (tmp_path / "head").write_bytes(log.checkpoint())
    (tmp_path / "entries").unlink()
    with pytest.raises(Unverified, match="does not match"):
        LogMirror(tmp_path, log.vkey)


def test_other_logs_mirror_is_not_opened(tmp_path: Path) -> None:
    log = log_of(2)
    LogMirror(tmp_path, log.vkey).grow(log)
    other = SimulatedLog("cgsp.example/log", keys.generate(secrets.token_bytes))
    with pytest.raises(Unverified):
        LogMirror(tmp_path, other.vkey)
