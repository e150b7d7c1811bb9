from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import IntegrityError

from hub.store.database import create_database, open_readers, open_writer
from hub.store.location import Location
from hub.store.schema import setting
from hub.store.writer import Writer
from protos.problems import InvariantBroken, Refused, Unavailable
from protos.v1 import problem_pb2 as reasons
from tests.unit.hub.world import Crash, refused


@pytest.fixture
def database(location: Location) -> Iterator[tuple[Engine, Engine]]:
    create_database(location)
    engines = open_writer(location), open_readers(location)
    yield engines
    for engine in engines:
        engine.dispose()


@pytest.fixture
def writer(database: tuple[Engine, Engine]) -> Iterator[Writer]:
    found = Writer(database[0], after_commit=lambda: None, on_broken=lambda: None)
    found.start()
    yield found
    found.stop()


def put(name: str, value: str) -> object:
    return lambda connection: connection.execute(insert(setting).values(name=name, value=value))


def values(readers: Engine) -> dict[str, str]:
    with readers.begin() as connection:
        rows = connection.execute(select(setting.c.name, setting.c.value)).all()
    return {name: value for name, value in rows if name != "schema"}


def test_a_job_is_durable_when_it_returns(writer: Writer, database: tuple[Engine, Engine]) -> None:
    writer.call(put("a", "1"))  # type: ignore[arg-type]
    assert values(database[1]) == {"a": "1"}


def test_a_refused_job_leaves_nothing_and_harms_no_other(
    writer: Writer, database: tuple[Engine, Engine]
) -> None:
    def refuse(connection: Connection) -> None:
        connection.execute(insert(setting).values(name="bad", value="1"))
        raise Refused(reasons.REASON_RATE_EXCEEDED, "No.")

    threads = [threading.Thread(target=writer.call, args=(put(f"n{number}", "1"),)) for number in range(40)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        assert refused(lambda: writer.call(refuse)).reason == reasons.REASON_RATE_EXCEEDED
    for thread in threads:
        thread.join()
    assert values(database[1]) == {f"n{number}": "1" for number in range(40)}


def test_a_bug_in_a_job_harms_no_other(writer: Writer, database: tuple[Engine, Engine]) -> None:
    writer.call(put("a", "1"))  # type: ignore[arg-type]
    with pytest.raises(IntegrityError):
        writer.call(put("a", "2"))  # type: ignore[arg-type]
    writer.call(put("b", "3"))  # type: ignore[arg-type]
    assert values(database[1]) == {"a": "1", "b": "3"}


@pytest.mark.parametrize("error", [InvariantBroken(reasons.REASON_INVARIANT_BROKEN, "x"), Crash("x")])
def test_what_parts_memory_and_database_stops_the_writer(
    database: tuple[Engine, Engine], error: BaseException
) -> None:
    told = threading.Event()
    found = Writer(database[0], after_commit=lambda: None, on_broken=told.set)
    found.start()

    def break_it(connection: Connection) -> None:
        connection.execute(insert(setting).values(name="bad", value="1"))
        raise error

    assert isinstance(refused(lambda: found.call(break_it)), Unavailable)
    assert told.wait(10)
    assert found.broken is error
    assert refused(lambda: found.call(put("a", "1"))).reason == reasons.REASON_SHUTTING_DOWN  # type: ignore[arg-type]
    found.stop()
    assert values(database[1]) == {}


def test_a_full_disk_while_publishing_stops_nothing(database: tuple[Engine, Engine]) -> None:
    attempts: list[int] = []

    def publish() -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError(28, "No space left on device")

    found = Writer(database[0], after_commit=publish, on_broken=lambda: None)
    found.start()
    found.call(put("a", "1"))  # type: ignore[arg-type]
    found.call(put("b", "1"))  # type: ignore[arg-type]
    assert found.broken is None
    found.stop()


def test_a_stopped_writer_refuses(writer: Writer) -> None:
    writer.stop()
    assert refused(lambda: writer.call(put("a", "1"))).reason == reasons.REASON_SHUTTING_DOWN  # type: ignore[arg-type]


def test_shared_work_is_done_once_for_all_that_wait(writer: Writer, database: tuple[Engine, Engine]) -> None:
    began, go = threading.Event(), threading.Event()
    done: list[int] = []

    def hold(connection: Connection) -> None:
        began.set()
        assert go.wait(10)

    def share(connection: Connection) -> int:
        done.append(1)
        connection.execute(insert(setting).values(name=f"n{len(done)}", value="1"))
        return len(done)

    held = threading.Thread(target=writer.call, args=(hold,))
    held.start()
    assert began.wait(10)
    answers: list[int] = []
    waiting = [
        threading.Thread(target=lambda: answers.append(writer.call(share, is_shared=True))) for _ in range(5)
    ]
    for thread in waiting:
        thread.start()
    while writer.waiting < len(waiting):
        pass
    go.set()
    for thread in [held, *waiting]:
        thread.join()
    assert (answers, done) == ([1] * 5, [1])
    assert values(database[1]) == {"n1": "1"}


def test_shared_work_that_is_refused_is_refused_to_all(writer: Writer) -> None:
    def refuse(connection: Connection) -> None:
        raise Refused(reasons.REASON_RATE_EXCEEDED, "No.")

    for _ in range(3):
        problem = refused(lambda: writer.call(refuse, is_shared=True))
        assert problem.reason == reasons.REASON_RATE_EXCEEDED
