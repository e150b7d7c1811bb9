"""A node's egress journal held against the log and the custodians' counts, entry by entry, both ways.

What left is what is on record: every message sent stands in the log, every message of the enterprise in the
log was sent by this node, and the batches custodians counted are those that left. Made on the premises, from
the file that `cgsp-node egress --json` writes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auditor.findings import Results, Verdict
from auditor.log import walk_log
from privacy import envelope, rosters
from privacy.egress import COUNT_MAX, EgressEntry, EgressKind, first_broken
from privacy.envelope import Kind
from privacy.trust import TrustRoot
from protos.json_text import parse_json
from protos.problems import Malformed, Problem
from protos.v1 import commitment_pb2, custodian_pb2, evidence_pb2, release_pb2, roster_pb2
from protos.v1.problem_pb2 import REASON_MALFORMED_MESSAGE
from runtime.files import read_bounded
from runtime.log_follower import Entry
from runtime.log_reader import LogReader

JOURNAL_BYTES_MAX = 1 << 30
ELEMENT_BYTES = 32
UNLOGGED = frozenset({EgressKind.JOIN, EgressKind.READ, EgressKind.DEPOSIT})
_MESSAGES: dict[Kind, type[Any]] = {
    Kind.ROSTER_BATCH: roster_pb2.RosterBatch,
    Kind.RESERVATION: release_pb2.Reservation,
    Kind.RELEASE: release_pb2.Release,
    Kind.NOTHING_TO_REPORT: release_pb2.NothingToReport,
    Kind.ERASURE_ORDER: evidence_pb2.ErasureOrder,
    Kind.COMMITMENT: commitment_pb2.Commitment,
}


@dataclass(slots=True)
class Comparison:
    """What was compared, what does not fit, and what could not be told."""

    enterprise_id: str
    rows: int = 0
    messages: int = 0
    batches: int = 0
    findings: list[tuple[str, str]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """Give the verdict; what is open is neither a pass nor a finding."""
        if self.findings:
            return Verdict.FINDINGS
        return Verdict.UNCHECKED if self.open else Verdict.PASS

    def find(self, place: str, message: str) -> None:
        """Record what does not fit."""
        self.findings.append((place, message))

    def to_json(self) -> dict[str, Any]:
        """Give the comparison as JSON."""
        return {
            "verdict": self.verdict.value,
            "enterprise": self.enterprise_id,
            "journal_rows": self.rows,
            "messages_on_record": self.messages,
            "batches_on_record": self.batches,
            "findings": [{"object": place, "message": message} for place, message in self.findings],
            "open": self.open,
        }

    def lines(self) -> Iterator[str]:
        """Give the comparison as text."""
        yield f"{self.verdict.value}  {self.enterprise_id}: what left against what is on record 出境比对"
        for place, message in self.findings:
            yield f"  ! {place}: {message}"
        yield from (f"  ? {one}" for one in self.open)
        yield f"journal rows 出境记录 {self.rows}, messages 消息 {self.messages}, batches 批次 {self.batches}"


@dataclass(slots=True)
class _OnRecord:
    """What the log holds of one enterprise: messages by envelope hash, batches by custodian and hash."""

    enterprise_id: str
    messages: dict[bytes, Entry] = field(default_factory=dict)
    batches: dict[tuple[str, bytes], int] = field(default_factory=dict)
    # Whether somebody's slots were erased: rows of rosters that left the node are empty in the log since.
    has_erased: bool = False

    def take(self, entry: Entry) -> None:
        """Take an entry of the log."""
        try:
            opened = envelope.open_envelope(entry.data)
            if opened.kind in _MESSAGES:
                if opened.parse(_MESSAGES[opened.kind]).header.issuer == self.enterprise_id:
                    self.messages[opened.envelope_hash] = entry
            elif opened.kind is Kind.COUNT_REPORT:
                self._take_report(opened.parse(custodian_pb2.CountReport))
            if opened.kind in (Kind.ERASURE_ORDER, Kind.HUB_ERASURE_ORDER):
                order = opened.parse(evidence_pb2.ErasureOrder)
                self.has_erased |= order.enterprise_id == self.enterprise_id
        except Problem:
            # An entry that cannot be read is nobody's; `verify` names it.
            return

    def _take_report(self, report: custodian_pb2.CountReport) -> None:
        if report.enterprise_id == self.enterprise_id:
            self.batches.update(
                {(report.header.issuer, one.batch_hash): one.elements for one in report.batches}
            )


def compare_egress(journal: Path, reader: LogReader, root: TrustRoot, enterprise_id: str) -> Comparison:
    """Compare; raises Malformed on a journal that cannot be read and what the log itself raises."""
    rows = read_journal(journal)
    found = Comparison(enterprise_id, rows=len(rows))
    broken = first_broken(rows)
    if broken is not None:
        found.find(f"journal row {broken}", "The journal was changed here: its chain does not hold.")
    results = Results()
    record = _OnRecord(enterprise_id)
    head = walk_log(reader, root, results, record.take)
    for one in results.findings:
        found.find(one.place, one.message)
    if head is None:
        found.open.append("the log could not be read")
        return found
    found.messages, found.batches = len(record.messages), len(record.batches)
    _compare_messages(rows, record, reader, found)
    _compare_batches(rows, record, found)
    return found


def read_journal(path: Path) -> list[EgressEntry]:
    """Read what `cgsp-node egress --json` wrote; raises Malformed."""
    try:
        listed = parse_json(read_bounded(path, JOURNAL_BYTES_MAX))["entries"]
        return [
            EgressEntry(
                _count(one["number"]),
                _count(one["time"]),
                _text(one["destination"]),
                _text(one["kind"]),
                _count(one["bytes"]),
                bytes.fromhex(one["sha256"]),
                bytes.fromhex(one["envelope_hash"]),
                bytes.fromhex(one["chain"]),
            )
            for one in listed
        ]
    except (ValueError, KeyError, TypeError, OverflowError):
        raise Malformed(
            REASON_MALFORMED_MESSAGE,
            f"{path} is not an egress journal.",
            remedy="Write it anew with `cgsp-node egress --json`.",
        ) from None


def _count(value: Any) -> int:
    count = int(value)
    if not 0 <= count <= COUNT_MAX:
        raise ValueError
    return count


def _text(value: Any) -> str:
    """Take text that has bytes to hash: JSON also spells halves of characters."""
    return str(value).encode().decode()


def _compare_messages(
    rows: Sequence[EgressEntry],
    record: _OnRecord,
    reader: LogReader,
    found: Comparison,
) -> None:
    sent: dict[bytes, EgressEntry] = {}
    for row in rows:
        if row.kind in UNLOGGED or row.kind == EgressKind.BLINDED_BATCH:
            continue
        if row.kind not in {kind.value for kind in _MESSAGES}:
            found.find(f"journal row {row.number}", f"Nothing of kind '{row.kind}' may leave a node.")
        elif row.envelope_hash not in record.messages:
            found.find(f"journal row {row.number}", f"A {row.kind} left the node and is not in the log.")
        elif row.envelope_hash not in sent:
            sent[row.envelope_hash] = row
    for envelope_hash, entry in record.messages.items():
        row_sent = sent.get(envelope_hash)
        if row_sent is None:
            found.find(f"entry {entry.index}", "It is in the enterprise's name; this node never sent it.")
        else:
            _compare_bytes(row_sent, entry, record, reader, found)


def _compare_bytes(
    row: EgressEntry, entry: Entry, record: _OnRecord, reader: LogReader, found: Comparison
) -> None:
    """The bytes that left are those on record: envelope and bodies, where the bodies are at hand."""
    bodies = reader.bodies(entry.index)
    if bodies is None and row.size != len(entry.data):
        found.open.append(f"entry {entry.index}: its bodies are not at hand")
        return
    parts = (entry.data, *(bodies or ()))
    if sum(map(len, parts)) == row.size and hashlib.sha256(b"".join(parts)).digest() == row.sha256:
        return
    if record.has_erased and _is_erased(row, entry, bodies or []):
        found.open.append(f"entry {entry.index}: rows of it were erased since; the rest proves itself")
        return
    found.find(f"journal row {row.number}", f"Other bytes left than those on record at entry {entry.index}.")


def _is_erased(row: EgressEntry, entry: Entry, bodies: list[bytes]) -> bool:
    """Say whether a roster batch is as long as what left and differs from it by emptied rows alone."""
    opened = envelope.open_envelope(entry.data)
    if opened.kind is not Kind.ROSTER_BATCH or len(entry.data) + sum(map(len, bodies)) != row.size:
        return False
    try:
        batch = opened.parse(roster_pb2.RosterBatch)
        return rosters.check_bodies(batch, bodies, erasure_allowed=True).erased > 0
    except Problem:
        return False


def _compare_batches(rows: Sequence[EgressEntry], record: _OnRecord, found: Comparison) -> None:
    sent = {row.sha256: row for row in rows if row.kind == EgressKind.BLINDED_BATCH}
    counted = _by_batch(record.batches)
    for batch_hash, by_custodian in counted.items():
        row = sent.get(batch_hash)
        names = ", ".join(sorted(by_custodian))
        if row is None:
            found.find(f"batch {batch_hash.hex()}", f"{names} counted it; this node never sent it.")
        elif any(elements * ELEMENT_BYTES > row.size for elements in by_custodian.values()):
            found.find(f"journal row {row.number}", f"{names} counted more elements than left the node.")
    for batch_hash, row in sent.items():
        if batch_hash not in counted:
            found.open.append(
                f"journal row {row.number}: no custodian has counted this batch; it was not answered, "
                "or their reports are still to come"
            )


def _by_batch(batches: Mapping[tuple[str, bytes], int]) -> dict[bytes, dict[str, int]]:
    found: dict[bytes, dict[str, int]] = {}
    for (custodian_id, batch_hash), elements in batches.items():
        found.setdefault(batch_hash, {})[custodian_id] = elements
    return found
