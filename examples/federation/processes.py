"""Starts, watches, kills and always stops the demo's processes; each writes into a log file of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

START_SECONDS_MAX = 180
STOP_SECONDS_MAX = 20
COMMAND_SECONDS_MAX = 900
_TAIL_LINES = 25
_POLL_SECONDS = 0.1


class StepFailed(Exception):
    """A command or process of the demo did not do what the next step needs."""


def program(name: str) -> str:
    """Give the path of one of the project's programs, beside the running Python."""
    return str(Path(sys.executable).parent / name)


class Process:
    """One long-running process that can be killed and started again."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path, pids: Path) -> None:
        self.name = name
        self._arguments = list(arguments)
        self._log = log
        self._pids = pids
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, appending to its log."""
        with self._log.open("ab") as output:
            # A session of its own: Ctrl-C reaches the demo alone, which then stops its children in order.
            self._running = subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        with self._pids.open("a") as pids:
            pids.write(f"{self._running.pid}\n")

    @property
    def exit_code(self) -> int | None:
        """Give how it ended, None while it runs."""
        return None if self._running is None else self._running.poll()

    def check_running(self) -> None:
        """Raise StepFailed, with the end of its log, if it has ended."""
        if self._running is None or self.exit_code is not None:
            raise StepFailed(f"{self.name} ended with {self.exit_code}.\n{tail(self._log)}")

    def wait(self, seconds: float) -> None:
        """Wait until it has ended well; raises StepFailed otherwise."""
        if self._running is None:
            raise StepFailed(f"{self.name} was never started.")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._running.wait(seconds)
        if self.exit_code != 0:
            how = "is still running" if self.exit_code is None else f"ended with {self.exit_code}"
            raise StepFailed(f"{self.name} {how}.\n{tail(self._log)}")

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()

    def stop(self) -> None:
        """Ask it to end (SIGTERM); kill it if it does not."""
        if self._running is None or self.exit_code is not None:
            return
        self._running.terminate()
        try:
            self._running.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()


class Supervisor:
    """Owns all processes of a run; whatever happens, leaving it stops them."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._logs = home / "logs"
        self._pids = home / "pids"
        self._processes: list[Process] = []

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self._processes):
            process.stop()
        self._pids.unlink(missing_ok=True)

    def start(self, name: str, arguments: Sequence[str]) -> Process:
        """Start a long-running process with its log in logs/<name>.log."""
        process = Process(name, arguments, self._logs / f"{name}.log", self._pids)
        self._processes.append(process)
        process.start()
        return process

    def call(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        accept: Sequence[int] = (0,),
        shows_raw_data: bool = False,
    ) -> dict[str, Any]:
        """Run a command to its end and give its JSON; raises StepFailed on any other exit code.

        What a command shows of raw data is for the eyes of its operator and is not logged.
        """
        log = self._logs / f"{name}.log"
        done = subprocess.run(
            list(arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )
        with log.open("ab") as output:
            shown = b"(output not kept)\n" if shows_raw_data else done.stdout
            output.write(b"$ " + _shown(arguments).encode() + b"\n" + shown + done.stderr)
        if done.returncode not in accept:
            raise StepFailed(f"{_shown(arguments)} ended with {done.returncode}.\n{tail(log)}")
        return parse_output(done.stdout)


def parse_output(output: bytes) -> dict[str, Any]:
    """Read the JSON document a command printed; nothing printed is an empty one."""
    try:
        value = json.loads(output or b"{}")
    except ValueError as error:
        raise StepFailed(f"The command printed no JSON: {output[:200]!r}") from error
    return value if isinstance(value, dict) else {"items": value}


def _shown(arguments: Sequence[str]) -> str:
    """Give the command for a log; a token is a secret and is left out."""
    shown = ["<token>" if text.startswith("cgsp1.") else text for text in arguments]
    return " ".join([Path(shown[0]).name, *shown[1:]])


def _interrupt(number: int, frame: object) -> None:
    """Turn a signal into the exception Ctrl-C raises, so that children are stopped on the way out."""
    raise KeyboardInterrupt


def tail(log: Path) -> str:
    """Give the last lines of a log."""
    if not log.exists():
        return ""
    lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
    return "\n".join(f"  {log.name}: {line}" for line in lines)


def wait_for(what: str, is_ready: Callable[[], bool], *, process: Process | None = None) -> None:
    """Wait until the condition holds; raises StepFailed when it takes too long or the process ends."""
    until = time.monotonic() + START_SECONDS_MAX
    while not is_ready():
        if process is not None:
            process.check_running()
        if time.monotonic() > until:
            raise StepFailed(f"Waited {START_SECONDS_MAX} s in vain for {what}.")
        time.sleep(_POLL_SECONDS)


def is_listening(address: str) -> bool:
    """Tell whether something accepts connections at host:port."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except OSError:
        return False


def end_leftovers(home: Path) -> None:
    """Kill what a run that was itself killed left behind: only processes whose command names this home."""
    pids = home / "pids"
    if not pids.exists():
        return
    for pid in {int(line) for line in pids.read_text().split() if line.isdigit()}:
        command = Path(f"/proc/{pid}/cmdline")
        with contextlib.suppress(OSError):
            if str(home).encode() in command.read_bytes():
                os.kill(pid, signal.SIGKILL)
    pids.unlink()
