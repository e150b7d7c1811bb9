"""An audit goes on where it was stopped, reads only what is new, and notices another history."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from auditor import app
from auditor.app import NO_OPTIONS, Options, verify
from auditor.findings import Check, Results, Verdict
from auditor.report import Report
from auditor.saved import FORM, files_folder, read_state
from privacy import trust
from privacy.tiles import TILE_WIDTH
from protos.epochs import Epoch
from protos.problems import Malformed
from runtime.log_reader import FolderLog
from tests.simulated_log import SimulatedLog
from tests.simulator import EPOCH, ORIGIN, Federation, closed, enrolled, key
from tests.unit.auditor.city import found, parts

NEXT = Epoch(202101)


class Watched(FolderLog):
    """Counts what is read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.bundles: list[int] = []
        self.bodies_of: list[int] = []

    def entries(self, index: int, width: int = TILE_WIDTH) -> bytes:
        self.bundles.append(index)
        return super().entries(index, width)

    def bodies(self, index: int) -> list[bytes] | None:
        self.bodies_of.append(index)
        return super().bodies(index)


def audited(federation: Federation, folder: Path, options: Options = NO_OPTIONS) -> tuple[Report, Watched]:
    federation.write_bundle(folder)
    reader, pinned = Watched(folder), federation.entries[0].data
    report = verify(str(folder), reader, pinned, trust.verify_first(pinned), Results(), options)
    return report, reader


def grown(federation: Federation) -> Federation:
    for one in federation.enterprises:
        federation.release(one.id, NEXT)
    federation.close(NEXT)
    return federation


def told(report: Report) -> dict[str, object]:
    """Give the report; partial tiles that were looked at twice count twice."""
    report.results[Check.TREE].examined = 0
    return report.to_json() | {"source": ""}


def test_a_grown_log_is_read_from_where_it_was_left(tmp_path: Path) -> None:
    options = Options(state=tmp_path / "audit.state")
    federation = closed(**parts())
    before = len(federation.entries)
    first, _ = audited(federation, tmp_path / "one", options)
    assert first.verdict is Verdict.PASS
    second, reader = audited(grown(federation), tmp_path / "two", options)
    assert min(reader.bodies_of) >= before
    whole, _ = audited(federation, tmp_path / "three")
    assert told(second) == told(whole)
    third, reader = audited(federation, tmp_path / "four", options)
    assert (told(third), reader.bodies_of, reader.bundles) == (told(whole), [], [])


class KilledError(Exception):
    """The audit dies here."""


def test_a_killed_audit_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "SAVE_ENTRIES", 1)
    federation = grown(closed(**parts()))
    state = tmp_path / "audit.state"
    whole, _ = audited(federation, tmp_path / "whole")
    stops = range(1, len(federation.entries), 3)
    for stop in stops:

        def die(done: int, total: int, stop: int = stop) -> None:
            if done > stop:
                raise KilledError

        with pytest.raises(KilledError):
            audited(federation, tmp_path / "log", Options(state=state, watch=die))
    report, reader = audited(federation, tmp_path / "log", Options(state=state))
    assert told(report) == told(whole)
    assert min(reader.bodies_of) >= stops[-1]


def test_findings_before_the_kill_are_kept(tmp_path: Path) -> None:
    options = Options(state=tmp_path / "audit.state")
    federation = closed(**parts())
    at = next(index for index, one in enumerate(federation.entries) if len(one.bodies) == 1 and index > 8)
    body = federation.entries[at].bodies[0]
    federation.entries[at].bodies[0] = body[:-1] + bytes([body[-1] ^ 1])
    first, _ = audited(federation, tmp_path / "one", options)
    again, reader = audited(federation, tmp_path / "two", options)
    assert found(first) == found(again) != []
    assert reader.bodies_of == []


def test_a_log_that_was_cut_or_forked_is_found(tmp_path: Path) -> None:
    options = Options(state=tmp_path / "audit.state")
    federation = closed(**parts())
    audited(federation, tmp_path / "one", options)
    cut = enrolled(**parts())
    report, _ = audited(cut, tmp_path / "cut", options)
    assert (Check.CHECKPOINT.value, "checkpoint") in found(report)
    assert "the log was cut" in report.results.findings[0].message
    other = closed(**parts(), batch_min=2)
    report, _ = audited(other, tmp_path / "other", options)
    assert "two histories" in report.results.findings[0].message
    longer = grown(closed(**parts(), batch_min=2))
    report, _ = audited(longer, tmp_path / "longer", options)
    assert report.verdict is Verdict.FINDINGS


def test_erasures_since_make_the_audit_begin_anew(tmp_path: Path) -> None:
    options = Options(state=tmp_path / "audit.state")
    federation = closed(**parts())
    audited(federation, tmp_path / "one", options)
    federation.enrol("bike-share", [], effective=NEXT, withdrawn=[0])
    federation.erase("bike-share", [0])
    report, reader = audited(grown(federation), tmp_path / "two", options)
    assert report.verdict is Verdict.PASS, "\n".join(report.lines())
    assert min(reader.bodies_of) < 10


def test_an_erasure_does_not_hide_another_history(tmp_path: Path) -> None:
    options = Options(state=tmp_path / "audit.state")
    audited(closed(**parts()), tmp_path / "one", options)
    other = closed(**parts(), batch_min=2)
    other.enrol("bike-share", [], effective=NEXT, withdrawn=[0])
    other.erase("bike-share", [0])
    report, _ = audited(grown(other), tmp_path / "two", options)
    assert any("two histories" in one.message for one in report.results.findings)


def test_a_state_is_its_owners_and_its_logs(tmp_path: Path) -> None:
    state = tmp_path / "audit.state"
    federation = closed(**parts())
    audited(federation, tmp_path / "one", Options(state=state))
    assert state.stat().st_mode & 0o077 == 0
    assert files_folder(state).stat().st_mode & 0o077 == 0
    pinned = federation.entries[0].data
    with pytest.raises(Malformed, match="another log"):
        read_state(state, origin="other.example/log", pinned=pinned)
    data = state.read_bytes()
    for at in (0, len(FORM), len(FORM) + 40, len(data) - 1):
        state.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(Malformed, match="damaged"):
            read_state(state, origin=ORIGIN, pinned=pinned)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (__import__("os").system, ("true",))


def test_a_state_names_nothing_but_our_own_values(tmp_path: Path) -> None:
    import hashlib

    for value in (Evil(), print, pickle.loads, trust.verify_first):
        body = pickle.dumps(value)
        path = tmp_path / "evil.state"
        path.write_bytes(FORM + hashlib.sha256(body).digest() + body)
        with pytest.raises(Malformed, match="no part of one"):
            read_state(path, origin=ORIGIN, pinned=b"")


def test_partial_bundles_are_continued_over_many_sizes(tmp_path: Path) -> None:
    """The tree alone, across a bundle's edge: sizes 1, 255, 256, 257, 600 in one growing state."""
    from auditor.log import EntryStream, Head
    from auditor.log_tree import LogTree
    from privacy import checkpoint, merkle

    log, tree, results = SimulatedLog(ORIGIN, key("log")), LogTree(), Results()
    for size in (1, 255, 256, 257, 600):
        log.append(*(b"entry %d" % number for number in range(len(log.list), size)))
        head = Head(checkpoint.open_checkpoint(log.checkpoint(), log.vkey), log.checkpoint(), exported=False)
        stream = EntryStream(log, head, tree, results)
        assert [entry.index for entry in stream.entries()][-1:] == [size - 1]
        stream.finish()
        assert results.findings == ()
        whole = log.tree

        def fetch(tile: object, whole: merkle.Tree = whole) -> bytes:
            return whole.nodes(0, tile.index * TILE_WIDTH, tile.width)  # type: ignore[attr-defined]

        for index in {0, size // 2, size - 1}:
            assert tree.leaf(index, fetch) == whole.node(0, index)
            assert tree.root_at(index + 1, fetch) == whole.root(index + 1)
    assert EPOCH
