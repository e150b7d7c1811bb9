"""Processes of the demo: logged, waited for, killed and started again, never left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from examples.federation.processes import (
    Process,
    StepFailed,
    Supervisor,
    end_leftovers,
    parse_output,
    wait_for,
)

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]


def is_up(process: Process, log: Path) -> None:
    wait_for("the sleeper", lambda: "up" in log.read_text(), process=process)


def test_children_end_with_the_supervisor(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        process = supervisor.start("sleeper", SLEEPER)
        is_up(process, tmp_path / "logs" / "sleeper.log")
        process.check_running()
    with pytest.raises(StepFailed):
        process.check_running()
    assert not (tmp_path / "pids").exists()


def test_killed_process_starts_again_and_appends_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "sleeper.log"
    with Supervisor(tmp_path) as supervisor:
        process = supervisor.start("sleeper", SLEEPER)
        is_up(process, log)
        process.kill()
        with pytest.raises(StepFailed):
            process.check_running()
        process.start()
        wait_for("the second sleeper", lambda: log.read_text().count("up") == 2, process=process)


def test_failed_command_shows_the_end_of_its_log_but_no_token(tmp_path: Path) -> None:
    fail = [sys.executable, "-c", "import sys; sys.exit('wrong key')", "cgsp1.c2VjcmV0"]
    with Supervisor(tmp_path) as supervisor, pytest.raises(StepFailed, match="wrong key") as failure:
        supervisor.call("operator", fail)
    assert "c2VjcmV0" not in str(failure.value)
    assert "c2VjcmV0" not in (tmp_path / "logs" / "operator.log").read_text()


def test_what_shows_raw_data_is_not_logged(tmp_path: Path) -> None:
    show = [sys.executable, "-c", "import json; print(json.dumps({'row': 7 * 11}))"]
    with Supervisor(tmp_path) as supervisor:
        assert supervisor.call("node", show, shows_raw_data=True) == {"row": 77}
    assert "77" not in (tmp_path / "logs" / "node.log").read_text()


def test_output_that_is_no_json_is_a_failure() -> None:
    assert parse_output(b"") == {}
    assert parse_output(b"[1]") == {"items": [1]}
    with pytest.raises(StepFailed):
        parse_output(b"Traceback")


def test_leftovers_of_this_home_are_ended_and_others_are_not(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    mine = subprocess.Popen([*SLEEPER, str(home)], stdout=subprocess.PIPE)
    other = subprocess.Popen(SLEEPER, stdout=subprocess.PIPE)
    try:
        for process in (mine, other):
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
        (home / "pids").write_text(f"{mine.pid}\n{other.pid}\n999999999\n")
        end_leftovers(home)
        assert mine.wait(10) != 0
        assert other.poll() is None
        assert not (home / "pids").exists()
    finally:
        for process in (mine, other):
            process.kill()
            process.communicate()
