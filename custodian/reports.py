"""Count reports: what was charged is said to the hub's log, signed, in a chain, the same bytes until taken.

The chain lives in the store and in the log. Where they differ the log is right about what it holds: reports
that only it knows are adopted, charges included; reports that only the store knows are sent again.
"""

from __future__ import annotations

from collections.abc import Callable

from custodian.silence import Silence
from custodian.store import Batch, Report, Store
from privacy import codec, envelope
from privacy.envelope import Kind
from privacy.keys import SigningKey
from privacy.trust import TrustRoot
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
        self._silence = Silence()

    def next_report(self, root: TrustRoot | None = None) -> Report | None:
        """Give the report that waits for its receipt, else build and keep one; None if all is counted.

        Under a policy with a deadline all being counted is said once a month, to the trust root's parties.
        """
        if root is not None and root.origin != self._origin:
            self._origin = root.origin
            self._move()
        waiting = self._store.waiting_report()
        if waiting is not None:
            return waiting
        batches = self._store.unreported(BATCHES_PER_REPORT_MAX)
        if batches:
            report = self._signed(batches[0].enterprise_id, batches[0].key_id, batches)
        elif root is not None and self._is_silence_due(root):
            assert root.pseudonym_key is not None
            report = self._signed(root.enterprises[0].id, root.pseudonym_key.key_id, batches)
        else:
            return None
        self._store.add_report(report, batches)
        return report

    def _move(self) -> None:
        """Sign anew, for the origin under which the log goes on, a report the hub has not taken."""
        waiting = self._store.waiting_report()
        if waiting is None:
            return
        message = envelope.open_envelope(waiting.envelope).parse(CountReport)
        message.header.origin = self._origin
        data = envelope.sign(codec.encode(message), Kind.COUNT_REPORT, [self._key])
        self._store.replace_waiting(Report(waiting.sequence, data, envelope.envelope_hash(data)))

    def _is_silence_due(self, root: TrustRoot) -> bool:
        is_named = any(one.id == self._custodian_id for one in root.custodians)
        if not (is_named and root.enterprises and root.pseudonym_key):
            return False
        return self._silence.is_due(self._last_issued_at(), int(self._clock()))

    def _last_issued_at(self) -> int:
        sequence = self._store.chain_end().sequence
        if not sequence:
            return 0
        report = envelope.open_envelope(self._store.report(sequence).envelope).parse(CountReport)
        return report.header.issued_at

    def take(self, entry: Entry) -> None:
        """Recognise a report of ours in the log and adopt it; raises Conflict LOG_AHEAD on two histories."""
        self._silence.take(entry)
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

    def _signed(self, enterprise_id: str, key_id: bytes, batches: list[Batch]) -> Report:
        end = self._store.chain_end()
        counted = sum(batch.elements for batch in batches)
        message = CountReport(
            header=envelope.header(
                self._origin,
                self._custodian_id,
                sequence=end.sequence + 1,
                previous=end.envelope_hash,
                issued_at=int(self._clock()),
            ),
            enterprise_id=enterprise_id,
            key_id=key_id,
            evaluations_total=self._store.reported(enterprise_id) + counted,
        )
        for batch in batches:
            message.batches.add(batch_hash=batch.batch_hash, elements=batch.elements)
        data = envelope.sign(codec.encode(message), Kind.COUNT_REPORT, [self._key])
        return Report(end.sequence + 1, data, envelope.envelope_hash(data))
