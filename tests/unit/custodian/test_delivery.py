"""Count reports reach the log once each, in a chain, whatever is down, lost, restored or forgotten."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from custodian.delivery import DeliveryLoop, ReportDelivery
from custodian.followed_log import FollowedLog
from custodian.reports import BATCHES_PER_REPORT_MAX, CountReports
from custodian.store import Batch, Store
from privacy import envelope, trust
from protos.problems import Conflict, InvariantBroken, Unavailable, Unverified
from protos.v1.problem_pb2 import REASON_BUSY, REASON_INVARIANT_BROKEN, REASON_LOG_AHEAD
from runtime.log_mirror import LogMirror
from tests.unit.custodian.simulators import ORIGIN, DirectIntake, Federation, signing_key

NAME = "regulator"


class Parts:
    """One custodian's counting parts over a database file."""

    def __init__(
        self, federation: Federation, path: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.federation = federation
        self.store = Store(path)
        self.reports = CountReports(
            self.store, signing_key(NAME), custodian_id=NAME, origin=ORIGIN, clock=lambda: 1_600_000_000.5
        )
        pinned = federation.roots[0]
        mirror = LogMirror(path.with_suffix(".log"), trust.verify_first(pinned).log_vkey)
        self.log = FollowedLog(
            mirror, federation.hub.reader, pinned, self.reports, refresh_seconds=1, clock=clock
        )
        self.log.start()
        self.intake = DirectIntake(federation.hub, NAME)
        self.delivery = ReportDelivery(self.reports, self.store, self.intake.connect)

    def charge(self, number: int, elements: int = 5, enterprise: str = "bikeshare") -> None:
        key_id = self.federation.ceremony.key.key_id
        assert (
            self.store.charge(Batch(enterprise, key_id, number.to_bytes(32, "big"), elements), 10**6)
            is not None
        )

    def deliver(self) -> int:
        return self.delivery.deliver(self.log.root)

    def counted(self) -> list[int]:
        return [
            int.from_bytes(batch.batch_hash, "big")
            for report in self.federation.hub.reports(NAME)
            for batch in report.batches
        ]


@pytest.fixture
def parts(federation: Federation, tmp_path: Path) -> Parts:
    return Parts(federation, tmp_path / "custodian.db")


def test_report_counts_what_was_charged(parts: Parts) -> None:
    parts.charge(1, 5)
    parts.charge(2, 7)
    assert parts.deliver() == 1
    parts.charge(3, 1)
    assert parts.deliver() == 1
    assert parts.deliver() == 0
    first, second = parts.federation.hub.reports(NAME)
    assert (first.header.issuer, first.header.origin, first.header.sequence) == (NAME, ORIGIN, 1)
    assert first.header.issued_at == 1_600_000_000
    assert (first.enterprise_id, first.key_id) == ("bikeshare", parts.federation.ceremony.key.key_id)
    assert first.evaluations_total == 12
    assert second.evaluations_total == 13
    assert second.header.previous == envelope.envelope_hash(parts.federation.hub.chains[NAME][0])
    assert parts.store.totals() == (13, 0)


def test_each_enterprise_has_its_own_report(parts: Parts) -> None:
    for number, enterprise in enumerate(["bikeshare", "metro", "bikeshare", "metro"]):
        parts.charge(number, 5, enterprise)
    assert parts.deliver() == 2
    assert [report.enterprise_id for report in parts.federation.hub.reports(NAME)] == ["bikeshare", "metro"]


def test_largest_report_fits_into_a_log_entry(parts: Parts) -> None:
    for number in range(BATCHES_PER_REPORT_MAX + 1):
        parts.charge(number)
    assert parts.deliver() == 2
    sizes = [len(data) for data in parts.federation.hub.chains[NAME]]
    assert sizes[0] <= envelope.ENTRY_BYTES_MAX
    assert sorted(parts.counted()) == list(range(BATCHES_PER_REPORT_MAX + 1))


def test_lost_answer_leads_to_the_same_bytes_and_one_entry(parts: Parts) -> None:
    parts.charge(1)
    parts.federation.hub.loses_answers = 1
    with pytest.raises(Unavailable):
        parts.deliver()
    waiting = parts.store.waiting_report()
    parts.charge(2)
    assert parts.deliver() == 2
    assert waiting is not None
    assert parts.federation.hub.chains[NAME][0] == waiting.envelope
    assert parts.counted() == [1, 2]


def test_restart_between_keeping_and_sending_goes_on_with_the_kept_report(
    parts: Parts, federation: Federation, tmp_path: Path
) -> None:
    parts.charge(1)
    kept = parts.reports.next_report()
    parts.store.close()
    again = Parts(federation, tmp_path / "custodian.db")
    assert again.reports.next_report() == kept
    assert again.deliver() == 1
    assert again.counted() == [1]


def test_report_seen_in_the_log_needs_no_receipt(parts: Parts) -> None:
    parts.charge(1)
    parts.federation.hub.loses_answers = 1
    with pytest.raises(Unavailable):
        parts.deliver()
    parts.log.refresh()
    assert parts.store.waiting_report() is None
    assert parts.deliver() == 0
    assert parts.store.totals() == (5, 0)


def test_restored_backup_takes_its_charges_and_chain_from_the_log(
    parts: Parts, federation: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts.charge(1)
    parts.deliver()
    parts.store.close()
    shutil.copy(tmp_path / "custodian.db", tmp_path / "backup.db")
    later = Parts(federation, tmp_path / "custodian.db")
    later.charge(2)
    later.charge(3)
    later.deliver()
    with monkeypatch.context() as patched:
        patched.setattr(FollowedLog, "start", lambda log: None)
        restored = Parts(federation, tmp_path / "backup.db")
    restored.charge(3)
    restored.charge(4)
    with pytest.raises(Unavailable) as caught:
        restored.deliver()
    assert caught.value.reason == REASON_BUSY
    restored.log.refresh()
    assert restored.deliver() == 1
    assert restored.counted() == [1, 2, 3, 4]
    assert restored.store.totals() == (20, 0)
    assert federation.hub.reports(NAME)[-1].evaluations_total == 20


def test_empty_store_is_rebuilt_from_the_log(parts: Parts, federation: Federation, tmp_path: Path) -> None:
    for number in range(3):
        parts.charge(number)
        parts.deliver()
    rebuilt = Parts(federation, tmp_path / "new.db")
    rebuilt.log.refresh()
    assert rebuilt.store.totals() == (15, 0)
    rebuilt.charge(9)
    assert rebuilt.deliver() == 1
    assert federation.hub.reports(NAME)[-1].evaluations_total == 20


def test_reports_the_hub_forgot_are_sent_again(parts: Parts) -> None:
    for number in (1, 2):
        parts.charge(number)
        parts.deliver()
    forgotten = list(parts.federation.hub.chains[NAME])
    parts.federation.hub.chains[NAME].clear()
    parts.charge(3)
    assert parts.deliver() == 1
    assert parts.federation.hub.chains[NAME][:2] == forgotten
    assert parts.counted() == [1, 2, 3]


def test_receipt_by_another_key_is_refused(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    import tests.unit.custodian.simulators as simulators

    parts.charge(1)
    real = simulators.signing_key
    monkeypatch.setattr(simulators, "signing_key", lambda name: real("thief" if name == "hub" else name))
    with pytest.raises(Unverified):
        parts.deliver()
    monkeypatch.setattr(simulators, "signing_key", real)
    assert parts.deliver() == 1
    assert parts.counted() == [1]


def test_twin_with_the_same_key_stops_the_service(
    parts: Parts, federation: Federation, tmp_path: Path
) -> None:
    twin = Parts(federation, tmp_path / "twin.db")
    twin.charge(8)
    twin_report = twin.reports.next_report()
    assert twin_report is not None
    parts.charge(1)
    parts.deliver()
    federation.hub.publish(twin_report.envelope)
    with pytest.raises(Conflict) as caught:
        parts.log.refresh()
    assert caught.value.reason == REASON_LOG_AHEAD
    assert parts.log.is_stopped
    with pytest.raises(Conflict):
        parts.log.check_usable()


def test_loop_delivers_at_once_and_outlives_a_hub_that_is_away(parts: Parts) -> None:
    loop = loop_over(parts, on_broken=lambda: None)
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        parts.charge(1)
        loop.wake()
        assert wait(lambda: parts.counted() == [1])
        parts.federation.hub.is_down = True
        parts.charge(2)
        loop.wake()
        assert wait(lambda: isinstance(loop.problem, Unavailable))
        parts.federation.hub.is_down = False
        assert wait(lambda: parts.counted() == [1, 2])
        assert wait(lambda: loop.problem is None)
    finally:
        loop.stop()
        thread.join()


def test_broken_invariant_stops_and_a_sick_disk_is_waited_out(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken: list[str] = []
    loop = loop_over(parts, on_broken=lambda: broken.append("stop"))
    thread = threading.Thread(target=loop.run)

    def fail(root: object) -> int:
        raise sqlite3.OperationalError("disk I/O error")

    def break_down(root: object) -> int:
        raise InvariantBroken(REASON_INVARIANT_BROKEN, "A report does not continue its chain.")

    monkeypatch.setattr(parts.delivery, "deliver", fail)
    thread.start()
    try:
        assert wait(lambda: isinstance(loop.problem, Unavailable))
        assert broken == []
        monkeypatch.setattr(parts.delivery, "deliver", break_down)
        assert wait(lambda: broken != [])
    finally:
        loop.stop()
        thread.join()


def loop_over(parts: Parts, *, on_broken: Callable[[], None]) -> DeliveryLoop:
    return DeliveryLoop(
        parts.log, parts.delivery, wait_seconds=0.2, clock=time.monotonic, on_broken=on_broken
    )


def wait(is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 120
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
