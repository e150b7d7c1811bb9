"""Issues whole tonnes: pooled cells from the log, claims from the books, one entry that says every figure.

The operation that moves claims and units, its segment and the public entry are one transaction. What is
issued stands only on entries that the trust root's witnesses have seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

from sqlalchemy import Connection, Engine

from accounting.issuance import Pooled
from accounting.ledger.units import batch_message, issuing, pool_epoch
from accounting.packs import parse_canonical
from accounting.programmes.issue_rules import IssueRule
from accounting.serials import Owned, serials
from hub.intake import Intake, Own, following
from hub.ledger import Ledger
from hub.state import State
from hub.store import entries
from hub.store.entries import StoredEntry
from hub.store.operations import read_operations
from hub.store.writer import Writer
from privacy import envelope
from privacy.envelope import Kind
from privacy.laplace import variance_upper
from privacy.policy import Policy
from privacy.populations import pooled
from protos.epochs import Epoch
from protos.problems import Refused, Unavailable
from protos.v1 import envelope_pb2, ledger_pb2, release_pb2
from protos.v1.problem_pb2 import (
    REASON_NOT_FOUND,
    REASON_NOTHING_TO_ISSUE,
    REASON_PROGRAMME_UNKNOWN,
)

_KEY_TAG = b"cgsp issue\x1f"
_KEY_BYTES = 16
ISSUE_SECONDS_MAX = 600.0


class Issuer:
    """Issues batches of a programme's rule, each once."""

    def __init__(
        self,
        state: State,
        intake: Intake,
        ledger: Ledger,
        writer: Writer,
        readers: Engine,
        *,
        wait_witnessed: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._state = state
        self._intake = intake
        self._ledger = ledger
        self._writer = writer
        self._readers = readers
        self._wait_witnessed = wait_witnessed

    def preview(self, programme: str, rule: str, last: Epoch) -> ledger_pb2.IssuedBatch:
        """Reckon the batch that would be issued now; raises the Problem that refuses it."""
        with self._readers.begin() as connection:
            return self._batch(connection, programme, rule, last)

    def issue(self, programme: str, rule: str, last: Epoch) -> tuple[ledger_pb2.IssuedBatch, int]:
        """Issue, or give the batch of that epoch again; with the index of its entry."""
        found = self._issued(programme, rule, last)
        if found is None:
            self._wait_witnessed(self._state.size)
            stored = self._writer.call(
                lambda connection: self._write(connection, programme, rule, last),
                timeout_seconds=ISSUE_SECONDS_MAX,
            )
            found = _batch_in(stored), stored.index
        return found

    def serials(self, name: str) -> list[Owned]:
        """Say whose the serial numbers of a batch are; raises Unavailable NOT_FOUND."""
        for batch, _ in self._all_issued():
            if batch.batch == name:
                with self._readers.begin() as connection:
                    operations = [
                        ledger_pb2.Operation.FromString(one.data) for one in read_operations(connection, 0)
                    ]
                return serials(batch, operations)
        raise Unavailable(REASON_NOT_FOUND, f"No batch is called {name}.")

    def _write(self, connection: Connection, programme: str, rule: str, last: Epoch) -> StoredEntry:
        batch = self._batch(connection, programme, rule, last)
        key = hashlib.sha256(_KEY_TAG + batch.batch.encode()).digest()[:_KEY_BYTES]

        def build(header: envelope_pb2.Header) -> Own:
            return Own(Kind.ISSUANCE, ledger_pb2.Issuance(header=header, batch=batch))

        self._intake.check_own(build)
        self._ledger.take(connection, ledger_pb2.Operation(key=key, issue=batch))
        with following("the operation"):
            return self._intake.append_own(connection, build)

    def _batch(
        self, connection: Connection, programme_id: str, name: str, last: Epoch
    ) -> ledger_pb2.IssuedBatch:
        books = self._ledger.books(connection)
        programme = issuing(books, programme_id, last)
        if programme is None or name not in programme.issue:
            raise Refused(REASON_PROGRAMME_UNKNOWN, f"{programme_id} issues nothing as {name} now.")
        first = pool_epoch(books, programme, name)
        rule = programme.issue[name]
        releases = list(self._releases(connection, first, last))
        self._check_founded(connection, rule, {policy.policy_hash: policy for policy, _ in releases}.values())
        cells = pooled(releases, enterprises=rule.enterprises, pack_ids=rule.packs)
        total = Pooled(cells.value, sum(variance_upper(scale) for scale in cells.scales))
        return batch_message(books, programme, name, last, total)

    def _releases(
        self, connection: Connection, first: Epoch, last: Epoch
    ) -> Iterator[tuple[Policy, release_pb2.Release]]:
        for entry in entries.find_entries(connection, Kind.RELEASE.value):
            if first <= entry.epoch <= last:
                message = envelope.open_envelope(entry.envelope).parse(release_pb2.Release)
                yield self._state.policy(message.policy_hash), message

    def _check_founded(self, connection: Connection, rule: IssueRule, policies: Iterable[Policy]) -> None:
        """Refuse packs with a figure that is only illustrative: they may earn points, never issue units."""
        for policy in policies:
            for reference in policy.packs:
                logged = self._state.log.packs[reference.id, reference.version]
                body = entries.read_bodies(connection, logged.index)[0]
                if reference.id in rule.packs and parse_canonical(body).illustrative:
                    raise Refused(
                        REASON_NOTHING_TO_ISSUE,
                        f"Pack {reference.id} version {reference.version} rests on illustrative figures.",
                        remedy="Issue from packs whose every figure has a source.",
                    )

    def _issued(self, programme: str, rule: str, last: Epoch) -> tuple[ledger_pb2.IssuedBatch, int] | None:
        for batch, index in self._all_issued():
            if (batch.programme, batch.rule, batch.last_epoch) == (programme, rule, last):
                return batch, index
        return None

    def _all_issued(self) -> list[tuple[ledger_pb2.IssuedBatch, int]]:
        with self._readers.begin() as connection:
            found = entries.find_entries(connection, Kind.ISSUANCE.value)
        return [(_batch_in(entry), entry.index) for entry in found]


def _batch_in(entry: StoredEntry) -> ledger_pb2.IssuedBatch:
    return envelope.open_envelope(entry.envelope).parse(ledger_pb2.Issuance).batch
