"""Charges and reports on disk: never lost, never counted twice, whatever is repeated or interrupted."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from custodian.store import Batch, Report, Store
from protos.problems import Conflict, InvariantBroken
from protos.v1.problem_pb2 import REASON_LOG_AHEAD

KEY = b"k" * 32
GRANTED = 100


def batch(number: int, elements: int = 10, enterprise: str = "bikeshare") -> Batch:
    return Batch(enterprise, KEY, number.to_bytes(32, "big"), elements)


def report(sequence: int, content: bytes = b"report") -> Report:
    data = content + b"%d" % sequence
    return Report(sequence, data, data.rjust(32, b"\x00"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "custodian.db")


def test_charge_counts_down_and_stops_at_the_grant(store: Store) -> None:
    assert store.charge(batch(1, 60), GRANTED) == 40
    assert store.charge(batch(2, 41), GRANTED) is None
    assert store.charge(batch(2, 40), GRANTED) == 0
    assert store.charge(batch(3, 1), GRANTED) is None
    assert store.used("bikeshare") == 100


def test_same_batch_is_free_even_without_quota(store: Store) -> None:
    store.charge(batch(1, 100), GRANTED)
    assert store.charge(batch(1, 100), GRANTED) == 0
    assert store.charge(batch(1, 100), 0) == 0
    assert store.used("bikeshare") == 100


def test_enterprises_are_charged_apart(store: Store) -> None:
    store.charge(batch(1, 100), GRANTED)
    assert store.charge(batch(1, 100, "metro"), GRANTED) == 0
    assert store.totals_by_enterprise() == {"bikeshare": 100, "metro": 100}


def test_batch_is_not_evaluated_with_two_keys(store: Store) -> None:
    store.charge(batch(1, 10), GRANTED)
    with pytest.raises(Conflict):
        store.charge(Batch("bikeshare", b"n" * 32, batch(1).batch_hash, 10), GRANTED)
    assert store.charge(Batch("bikeshare", b"n" * 32, batch(2).batch_hash, 10), GRANTED) == 80


def test_file_is_private(store: Store, tmp_path: Path) -> None:
    assert (tmp_path / "custodian.db").stat().st_mode & 0o777 == 0o600


def test_concurrent_charges_never_pass_the_grant(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        left = list(pool.map(lambda number: store.charge(batch(number, 7), GRANTED), range(40)))
    assert sum(item is not None for item in left) == GRANTED // 7
    assert store.used("bikeshare") == GRANTED // 7 * 7


def test_reports_take_one_enterprise_and_key_at_a_time(store: Store) -> None:
    store.charge(batch(1), GRANTED)
    store.charge(batch(2, enterprise="metro"), GRANTED)
    store.charge(batch(3), GRANTED)
    first = store.unreported(10)
    assert [item.batch_hash[-1] for item in first] == [1, 3]
    assert len(store.unreported(1)) == 1
    store.add_report(report(1), first)
    assert [item.enterprise_id for item in store.unreported(10)] == ["metro"]
    assert store.reported("bikeshare") == 20
    assert store.totals() == (30, 30)
    store.receive(1, b"receipt")
    assert store.totals() == (30, 10)
    assert store.waiting_report() is None


def test_report_must_continue_the_chain(store: Store) -> None:
    with pytest.raises(InvariantBroken):
        store.add_report(report(2), [])
    with pytest.raises(InvariantBroken):
        store.report(1)


def test_report_found_in_the_log_brings_its_charges_back(store: Store) -> None:
    assert store.adopt(report(1), [batch(1), batch(2)])
    assert not store.adopt(report(1), [batch(1), batch(2)])
    assert store.used("bikeshare") == 20
    assert store.chain_end().envelope_hash == report(1).envelope_hash
    assert store.charge(batch(1), GRANTED) == 80
    assert store.totals() == (20, 0)


def test_log_wins_over_a_report_that_never_left(store: Store) -> None:
    store.charge(batch(1), GRANTED)
    store.charge(batch(2), GRANTED)
    store.add_report(report(1, b"ours"), [batch(1), batch(2)])
    assert store.adopt(report(1, b"logged"), [batch(1)])
    assert store.waiting_report() is None
    assert store.unreported(10) == [batch(2)]
    assert store.totals() == (20, 10)


def test_log_that_contradicts_a_receipt_stops(store: Store) -> None:
    store.charge(batch(1), GRANTED)
    store.add_report(report(1, b"ours"), [batch(1)])
    store.receive(1, b"receipt")
    with pytest.raises(Conflict) as caught:
        store.adopt(report(1, b"other"), [batch(2)])
    assert caught.value.reason == REASON_LOG_AHEAD
    assert store.used("bikeshare") == 10
    with pytest.raises(Conflict):
        store.adopt(report(3), [])


def test_file_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "custodian.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(InvariantBroken):
        Store(path)


CHARGER = """
import sys
from pathlib import Path
from custodian.store import Batch, Store
store = Store(Path(sys.argv[1]))
number = store.used("bikeshare")
while True:
    number += 1
    store.charge(Batch("bikeshare", b"k" * 32, number.to_bytes(32, "big"), 1), 10**9)
    print(number, flush=True)
"""


def test_killed_process_never_loses_a_charge_it_told_of(tmp_path: Path) -> None:
    path, told = tmp_path / "custodian.db", 0
    for lines in (1, 40, 7):
        with subprocess.Popen(
            [sys.executable, "-c", CHARGER, str(path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for _ in range(lines):
                told = int(process.stdout.readline())
            os.kill(process.pid, signal.SIGKILL)
            rest = process.stdout.read().splitlines(keepends=True)
        told = max([told, *(int(line) for line in rest if line.endswith("\n"))])
        store = Store(path)
        # At most the one charge in work was made and not told.
        assert told <= store.used("bikeshare") <= told + 1
        store.close()


class ChargesAndReports(RuleBasedStateMachine):
    """Any order of charging, reporting, answers lost and restarts gives the sums of a plain set."""

    @initialize()
    def begin(self) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "custodian.db"
        self.store = Store(self.path)
        self.charged: dict[bytes, int] = {}
        self.logged: list[tuple[Report, list[Batch]]] = []
        self.waiting: list[Batch] = []

    @rule(number=st.integers(1, 12), elements=st.integers(1, 30))
    def charge(self, number: int, elements: int) -> None:
        elements = self.charged.get(number.to_bytes(32, "big"), elements)
        item = batch(number, elements)
        known = item.batch_hash in self.charged
        left = self.store.charge(item, GRANTED)
        if known or sum(self.charged.values()) + elements <= GRANTED:
            self.charged[item.batch_hash] = elements
            assert left == GRANTED - sum(self.charged.values())
        else:
            assert left is None

    @rule()
    def build_report(self) -> None:
        batches = self.store.unreported(5)
        if batches and self.store.waiting_report() is None:
            self.store.add_report(report(self.store.chain_end().sequence + 1), batches)
            self.waiting = batches

    @rule(is_answered=st.booleans())
    def send_report(self, is_answered: bool) -> None:
        waiting = self.store.waiting_report()
        if waiting is None:
            return
        if len(self.logged) < waiting.sequence:
            self.logged.append((waiting, self.waiting))
        if is_answered:
            self.store.receive(waiting.sequence, b"receipt")

    @rule()
    def read_log(self) -> None:
        for item, batches in self.logged:
            assert not self.store.adopt(item, batches)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = Store(self.path)

    @rule()
    def lose_the_file(self) -> None:
        """Start anew from the log alone: what the log never saw is gone, with its charge."""
        self.store.close()
        self.path = self.path.with_name(f"{self.path.stem}x.db")
        self.store = Store(self.path)
        for item, batches in self.logged:
            assert self.store.adopt(item, batches)
        self.charged = {item.batch_hash: item.elements for _, batches in self.logged for item in batches}

    @invariant()
    def sums_agree(self) -> None:
        total, unreported = self.store.totals()
        assert total == sum(self.charged.values()) == self.store.used("bikeshare")
        counted = sum(item.elements for _, batches in self.logged for item in batches)
        assert total - unreported <= counted <= total

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()


TestChargesAndReports = ChargesAndReports.TestCase
TestChargesAndReports.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
