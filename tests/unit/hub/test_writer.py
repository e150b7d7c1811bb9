from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import IntegrityError

from hub.store.database import create_database, open_readers, open_writer
from hub.store.location import Location
from hub.store.rows import Rows, write
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
    assert told.wait(120)
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


class Counting:
    """Standing work that puts one row a turn for all that asked, each row under a number."""

    is_expecting = False

    def __init__(self) -> None:
        self.asked = 0
        self.done: list[str] = []
        self.told: list[Exception | None] = []
        self.refusals: list[Unavailable] = []
        self.settled = threading.Event()
        self.fail: Callable[[Connection], object] = lambda connection: None

    def gather(self) -> bool:
        taken, self.asked = self.asked, 0
        return taken > 0

    def decide(self, connection: Connection) -> None:
        self.name = f"n{len(self.done)}"

    def write(self, connection: Connection) -> None:
        write(connection, Rows(setting, [(self.name, "1")]))
        self.done.append(self.name)
        self.fail(connection)

    def settle(self, error: Exception | None) -> None:
        self.told.append(error)
        self.settled.set()

    def refuse(self, refusal: Unavailable) -> None:
        self.refusals.append(refusal)


def standing(database: tuple[Engine, Engine]) -> tuple[Writer, Counting]:
    found, work = Writer(database[0], after_commit=lambda: None, on_broken=lambda: None), Counting()
    found.stand(work)
    return found, work


def test_standing_work_is_done_once_for_all_that_asked(database: tuple[Engine, Engine]) -> None:
    writer, work = standing(database)
    work.asked = 5
    writer.wake()
    writer.start()
    assert work.settled.wait(120)
    assert (work.done, work.told, values(database[1])) == (["n0"], [None], {"n0": "1"})
    writer.stop()
    assert [one.reason for one in work.refusals[:1]] == [reasons.REASON_SHUTTING_DOWN]


def test_standing_work_shares_a_transaction_with_jobs_and_harms_none(
    database: tuple[Engine, Engine],
) -> None:
    """Refused behind a job it leaves nothing of its own; the job stays."""
    writer, work = standing(database)

    def refuse(connection: Connection) -> None:
        raise Refused(reasons.REASON_RATE_EXCEEDED, "No.")

    work.fail = refuse
    job = threading.Thread(target=writer.call, args=(put("a", "1"),))
    job.start()
    while not writer.waiting:
        pass
    work.asked = 1
    writer.start()
    job.join()
    writer.stop()
    assert [type(one) for one in work.told] == [Refused]
    assert values(database[1]) == {"a": "1"}


def test_what_the_store_refuses_of_standing_work_leaves_nothing_and_the_writer_goes_on(
    database: tuple[Engine, Engine],
) -> None:
    writer, work = standing(database)
    writer.start()
    writer.call(put("n0", "0"))  # type: ignore[arg-type]
    work.asked = 1
    writer.wake()
    assert work.settled.wait(120)
    assert isinstance(work.told[0], IntegrityError)
    writer.call(put("a", "1"))  # type: ignore[arg-type]
    assert values(database[1]) == {"n0": "0", "a": "1"}
    writer.stop()


def test_standing_work_that_dies_stops_the_writer(database: tuple[Engine, Engine]) -> None:
    """On a server its statement had committed itself; nobody was told, so either is right."""
    writer, work = standing(database)

    def die(connection: Connection) -> None:
        raise Crash("x")

    work.fail = die
    work.asked = 1
    writer.start()
    writer.wake()
    assert refused(lambda: writer.call(put("a", "1"))).reason == reasons.REASON_SHUTTING_DOWN  # type: ignore[arg-type]
    writer.stop()
    assert not work.told
    assert work.refusals
    assert values(database[1]) in ({}, {"n0": "1"})
