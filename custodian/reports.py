"""Count reports: what was charged is said to the hub's log, signed, in a chain, the same bytes until taken.

The chain lives in the store and in the log. Where they differ the log is right about what it holds: reports
that only it knows are adopted, charges included; reports that only the store knows are sent again.
"""

from __future__ import annotations

from collections.abc import Callable

from custodian.store import Batch, Report, Store
from privacy import codec, envelope
from privacy.envelope import Kind
from privacy.keys import SigningKey
from protos.problems import Malformed, Unverified
from protos.v1.custodian_pb2 import CountReport
from runtime.log_follower import Entry

# 41 bytes each: the envelope stays below the 65,535 bytes of a log entry.
BATCHES_PER_REPORT_MAX = 1000


class CountReports:
    """Builds, keeps and recognises this custodian's count reports."""

    def __init__(
        self, store: Store, key: SigningKey, *, custodian_id: str, origin: str, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._key = key
        self._custodian_id = custodian_id
        self._origin = origin
        self._clock = clock

    def next_report(self) -> Report | None:
        """Give the report that waits for its receipt, else build and keep one; None if all is counted."""
        waiting = self._store.waiting_report()
        if waiting is not None:
            return waiting
        batches = self._store.unreported(BATCHES_PER_REPORT_MAX)
        if not batches:
            return None
        report = self._signed(batches)
        self._store.add_report(report, batches)
        return report

    def take(self, entry: Entry) -> None:
        """Recognise a report of ours in the log and adopt it; raises Conflict LOG_AHEAD on two histories."""
        message = self._own_report(entry.data)
        if message is None:
            return
        batches = [
            Batch(message.enterprise_id, message.key_id, batch.batch_hash, batch.elements)
            for batch in message.batches
        ]
        report = Report(message.header.sequence, entry.data, envelope.envelope_hash(entry.data))
        self._store.adopt(report, batches)

    def _own_report(self, data: bytes) -> CountReport | None:
        try:
            opened = envelope.open_envelope(data)
            if opened.kind is not Kind.COUNT_REPORT:
                return None
            envelope.verify(opened, [self._key.verify_key])
            return opened.parse(CountReport)
        except (Malformed, Unverified):
            return None

    def _signed(self, batches: list[Batch]) -> Report:
        first, end = batches[0], self._store.chain_end()
        counted = sum(batch.elements for batch in batches)
        message = CountReport(
            header=envelope.header(
                self._origin,
                self._custodian_id,
                sequence=end.sequence + 1,
                previous=end.envelope_hash,
                issued_at=int(self._clock()),
            ),
            enterprise_id=first.enterprise_id,
            key_id=first.key_id,
            evaluations_total=self._store.reported(first.enterprise_id) + counted,
        )
        for batch in batches:
            message.batches.add(batch_hash=batch.batch_hash, elements=batch.elements)
        data = envelope.sign(codec.encode(message), Kind.COUNT_REPORT, [self._key])
        return Report(end.sequence + 1, data, envelope.envelope_hash(data))
