"""A custodian with nothing to count says so once a month, where a policy names a deadline."""

from __future__ import annotations

from pathlib import Path

from custodian.reports import CountReports
from custodian.store import Batch, Store
from privacy import codec, envelope
from privacy.deadlines import ended_at
from privacy.envelope import Kind
from privacy.trust import TrustRoot
from protos.epochs import Epoch
from protos.v1.custodian_pb2 import CountReport
from protos.v1.policy_pb2 import Policy
from runtime.log_follower import Entry
from tests.simulator import CUSTODIANS, KEY_ID, ORIGIN, begun, key

DECEMBER, JANUARY = Epoch(202012), Epoch(202101)


def policy(deadline_days: int) -> Entry:
    message = Policy(first_epoch=DECEMBER, deadline_days=deadline_days)
    return Entry(3, envelope.sign(codec.encode(message), Kind.POLICY, [key("operator")]))


class Custodian:
    """A custodian's reports over a real store, at a time the test sets."""

    def __init__(self, folder: Path) -> None:
        self.now = ended_at(DECEMBER)
        self.store = Store(folder / "custodian.sqlite")
        name = CUSTODIANS[0]
        self.reports = CountReports(
            self.store, key(name), custodian_id=name, origin=ORIGIN, clock=lambda: self.now
        )
        self.root: TrustRoot = begun().state.trust

    def next_total(self) -> int | None:
        """Give the total of the next report, taken by the hub at once; None where none is due."""
        report = self.reports.next_report(self.root)
        if report is None:
            return None
        self.store.receive(report.sequence, b"receipt")
        return envelope.open_envelope(report.envelope).parse(CountReport).evaluations_total


def test_an_empty_report_is_due_once_a_month(tmp_path: Path) -> None:
    custodian = Custodian(tmp_path)
    assert custodian.next_total() is None
    custodian.reports.take(policy(20))
    assert (custodian.next_total(), custodian.next_total()) == (0, None)
    custodian.now = ended_at(JANUARY) - 1
    assert custodian.next_total() is None
    custodian.now = ended_at(JANUARY)
    assert (custodian.next_total(), custodian.next_total()) == (0, None)


def test_a_report_with_counts_serves_as_well(tmp_path: Path) -> None:
    custodian = Custodian(tmp_path)
    custodian.reports.take(policy(20))
    custodian.store.charge(Batch(custodian.root.enterprises[0].id, KEY_ID, b"h" * 32, 7), 100)
    assert (custodian.next_total(), custodian.next_total()) == (7, None)


def test_without_a_deadline_silence_stays_silent(tmp_path: Path) -> None:
    custodian = Custodian(tmp_path)
    custodian.reports.take(policy(0))
    assert custodian.next_total() is None
