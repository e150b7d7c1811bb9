"""Progress: JSON lines into a file, a bar on a terminal."""

from __future__ import annotations

import io
import itertools
import json

import pytest

from runtime.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_file_gets_json_lines_at_intervals() -> None:
    stream, clock = io.StringIO(), itertools.count()
    with Progress(
        "enrol", 4, unit="persons", stream=stream, interval_seconds=2, clock=lambda: next(clock)
    ) as progress:
        for _ in range(4):
            progress.advance()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["state"] for line in lines] == ["running", "running", "done"]
    assert lines[-1] == {
        "progress": "enrol",
        "state": "done",
        "done": 4,
        "total": 4,
        "unit": "persons",
        "seconds": 7,
    }


def test_note_is_said_once() -> None:
    stream = io.StringIO()
    progress = Progress("run", stream=stream)
    progress.note("waiting for the hub")
    progress.note("waiting for the hub")
    assert stream.getvalue().count("waiting for the hub") == 1


def test_terminal_gets_a_bar() -> None:
    stream, clock = Terminal(), itertools.count()
    with Progress("ingest", 2, stream=stream, clock=lambda: next(clock)) as progress:
        progress.advance()
    assert "ingest ████████████░░░░░░░░░░░░ 1 of 2" in stream.getvalue()
    assert stream.getvalue().endswith("\n")


def test_failure_is_said() -> None:
    stream = io.StringIO()
    with pytest.raises(KeyError), Progress("run", stream=stream):
        raise KeyError
    assert json.loads(stream.getvalue())["state"] == "failed"
