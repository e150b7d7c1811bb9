"""Spark in this process: found, started, checked and ended; one at a time, since it is one Java machine.

Spark's own log quotes values, so it goes nowhere unless the operator sets spark.log.level.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.spark_settings import LOG_LEVEL, check_running, is_local, session_settings
from protos.problems import Conflict, Malformed, Unavailable
from protos.v1.problem_pb2 import (
    REASON_ALREADY_EXISTS,
    REASON_BUSY,
    REASON_CONFIGURATION_INVALID,
    REASON_PEER_UNREACHABLE,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

JAVA_MAJOR_MIN = 17
SPARK_MAJOR_MIN = 4
JAVA_SECONDS_MAX = 60.0
EXECUTOR_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0

_POLL_SECONDS = 0.2
_JAVA_VERSION = re.compile(r'version "(?:1\.)?([0-9]+)')
_started = threading.Lock()


def check_installed() -> None:
    """See that Java and pyspark are there; CONFIGURATION_INVALID says what is missing and how to get it."""
    if importlib.util.find_spec("pyspark") is None:
        raise _missing("pyspark is not installed", "Install the extra: pip install cgsp-gateway[spark].")
    major = java_major()
    if major is None:
        raise _missing("there is no Java", f"Install Java {JAVA_MAJOR_MIN} or later, or set JAVA_HOME.")
    if major < JAVA_MAJOR_MIN:
        raise _missing(f"Java is version {major}", f"Spark needs {JAVA_MAJOR_MIN} or later; set JAVA_HOME.")


def java_major() -> int | None:
    """Give the major version of the Java that Spark would use, None without one."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if java is None:
        return None
    try:
        told = subprocess.run(  # noqa: S603  (the operator's own Java)
            [java, "-version"], capture_output=True, text=True, timeout=JAVA_SECONDS_MAX, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = _JAVA_VERSION.search(told.stderr + told.stdout)
    return int(found[1]) if found else None


def start_session(
    master: str, settings: Mapping[str, str], *, memory_limit_mb: int, folder: Path
) -> SparkSession:
    """Start Spark under the exact settings; raises Conflict if one runs, Unavailable if it does not start."""
    check_installed()
    merged = session_settings(master, settings, memory_limit_mb=memory_limit_mb, folder=folder)
    if not _started.acquire(blocking=False):
        raise Conflict(
            REASON_ALREADY_EXISTS,
            "A query engine on Spark is already open in this process.",
            remedy="Close it first: one process holds one Spark.",
        )
    try:
        session = _launch(master, merged, log_wanted=LOG_LEVEL in settings)
        _check(session, master)
    except BaseException:
        _shut_down()
        raise
    return session


def stop_session(session: SparkSession) -> None:
    """End the session and its Java machine."""
    with _own_interrupts(), contextlib.suppress(Exception):
        session.stop()
    _shut_down()


def _launch(master: str, settings: Mapping[str, str], *, log_wanted: bool) -> SparkSession:
    from py4j.protocol import Py4JError
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkException
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    # It writes every failed query with the values that made it fail.
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL + 1)
    logging.getLogger("py4j").setLevel(logging.WARNING)
    configuration = SparkConf(loadDefaults=False).setMaster(master).setAll(list(settings.items()))
    nowhere: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        with _own_interrupts():
            gateway = launch_gateway(configuration, {} if log_wanted else nowhere)
            return SparkSession(SparkContext(conf=configuration, gateway=gateway))
    except (Py4JError, PySparkException, OSError) as error:
        raise _no_spark(master) from error


def _check(session: SparkSession, master: str) -> None:
    """See that Spark is new enough, runs under the exact settings, and has somebody who works."""
    if int(session.version.split(".")[0]) < SPARK_MAJOR_MIN:
        raise _missing(
            f"Spark is version {session.version}", f"Use {SPARK_MAJOR_MIN} or later; see SPARK_HOME."
        )
    check_exact(session)
    if is_local(master):
        return
    end = time.monotonic() + EXECUTOR_SECONDS_MAX
    while not _executors(session):
        if time.monotonic() > end:
            raise Unavailable(
                REASON_BUSY,
                f"No worker of the Spark cluster took up work within {EXECUTOR_SECONDS_MAX:.0f} s.",
                remedy="See that workers run, with the cores and memory asked for (spark.executor.memory).",
            )
        time.sleep(_POLL_SECONDS)


def check_exact(session: SparkSession) -> None:
    """Refuse a session that somebody set to other rules; make it this thread's.

    Spark reads some settings of whatever session is the calling thread's, and none of ours in one without.
    """
    check_running(session.conf.getAll)
    session._get_j_spark_session_class(session._jvm).setActiveSession(session._jsparkSession)


def _executors(session: SparkSession) -> int:
    """Count the executors there are; the driver counts itself."""
    return int(session.sparkContext._jsc.sc().getExecutorMemoryStatus().size()) - 1


def _shut_down() -> None:
    """End the Java machine, so that memory and settings do not outlive the session."""
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    SparkContext._gateway = SparkContext._jvm = None
    SparkContext._active_spark_context = None
    try:
        if gateway is not None:
            _end(gateway)
    finally:
        _started.release()


def _end(gateway: Any) -> None:
    with contextlib.suppress(Exception):
        gateway.shutdown()
    process: subprocess.Popen[bytes] = gateway.proc
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _own_interrupts() -> Iterator[None]:
    """Keep the program's handler of SIGINT, which Spark would replace."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _missing(problem: str, remedy: str) -> Malformed:
    return Malformed(
        REASON_CONFIGURATION_INVALID,
        f"The query engine is to run on Spark, but {problem}.",
        remedy=f'{remedy} Or set engine = "duckdb".',
    )


def _no_spark(master: str) -> Unavailable:
    if is_local(master):
        return Unavailable(
            REASON_BUSY, "Spark did not start.", remedy=f'Set {LOG_LEVEL} = "WARN" to see why; check memory.'
        )
    return Unavailable(
        REASON_PEER_UNREACHABLE,
        f"The Spark cluster at {master} did not answer.",
        remedy="Check address and network; its Spark must be of this pyspark's version.",
    )
