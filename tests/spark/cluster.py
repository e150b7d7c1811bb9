"""A Spark cluster of real processes on loopback: a master and workers, from the classes pyspark brings."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MASTER_CLASS = "org.apache.spark.deploy.master.Master"
WORKER_CLASS = "org.apache.spark.deploy.worker.Worker"
START_SECONDS_MAX = 90.0
STOP_SECONDS_MAX = 10.0
# Room for two applications at a time, each with an executor a worker.
WORKER_CORES = 2
WORKER_MEMORY = "1280M"
EXECUTOR_MEMORY = "512m"
# For short runs over many small plans: the quick compiler alone, and one thread to collect garbage.
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"

_MASTER = re.compile(r"Starting Spark master at (spark://127\.0\.0\.1:[0-9]+)")
_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where a running cluster is, and the settings a driver beside it needs."""

    master: str
    folder: Path

    @property
    def settings(self) -> dict[str, str]:
        return {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.extraJavaOptions": QUICK,
            "spark.executor.extraJavaOptions": QUICK,
            "spark.executor.memory": EXECUTOR_MEMORY,
            "spark.executor.cores": "1",
            "spark.cores.max": "2",
            "spark.sql.shuffle.partitions": "2",
        }

    def executors_by_worker(self) -> list[int]:
        """Count the executors each worker was asked to launch."""
        logs = sorted(self.folder.glob("worker-*.log"))
        return [log.read_text(errors="replace").count("Asked to launch executor") for log in logs]


@contextlib.contextmanager
def standalone_cluster(folder: Path, *, workers: int = 2) -> Iterator[Cluster]:
    """Start a master and workers on ports the system chooses; end them all."""
    with contextlib.ExitStack() as running:
        log = folder / "master.log"
        ports = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
        running.enter_context(_daemon(folder, log, MASTER_CLASS, *ports))
        master = _wait(log, lambda text: found[1] if (found := _MASTER.search(text)) else None)
        for number in range(workers):
            asked = [*ports, "--cores", str(WORKER_CORES), "--memory", WORKER_MEMORY]
            asked += ["--work-dir", str(folder / f"work-{number}"), master]
            running.enter_context(_daemon(folder, folder / f"worker-{number}.log", WORKER_CLASS, *asked))
        _wait(log, lambda text: master if text.count("Registering worker") == workers else None)
        yield Cluster(master, folder)


@contextlib.contextmanager
def _daemon(folder: Path, log: Path, *command: str) -> Iterator[None]:
    """Run a class of Spark's in its own process group, which ends with this block or with this process."""
    import pyspark

    home = Path(pyspark.__file__).parent
    environment = os.environ | {
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(folder / "local"),
        "SPARK_DAEMON_MEMORY": "192m",
        "SPARK_DAEMON_JAVA_OPTS": QUICK,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(home / "bin" / "spark-class"), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: _libc.prctl(_PDEATHSIG, signal.SIGTERM),
        )
    try:
        yield
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS_MAX)
    assert process.poll() is not None


def _wait(log: Path, found: Callable[[str], str | None]) -> str:
    """Wait for a daemon's log to say something; show the log if it does not."""
    end = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < end:
        answer = found(log.read_text(errors="replace"))
        if answer is not None:
            return answer
        time.sleep(0.1)
    raise AssertionError(
        f"{log.name} within {START_SECONDS_MAX:.0f} s:\n{log.read_text(errors='replace')[-3000:]}"
    )
