"""Brings a node that lags behind its own log up to it: its messages, charges, roster and releases, as logged.

For a state restored from a copy, or lost while the keys were kept, and for a node that had a twin. What the
log holds counts; what this node signed in its place never will, yet what it charged stays charged. A
reservation whose release is not in the log counts as spent: whether it was drawn for, nobody here can know.
Exact figures behind recovered releases are gone with the state that drew them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.message import Message

from enterprise_node.messages import MESSAGES
from enterprise_node.release import NO_NONCE, covered_by, planned_charges
from enterprise_node.slot_erasures import NO_EPOCH
from enterprise_node.store.charges import StoredCharge
from enterprise_node.store.commitments import CommitmentTable, StoredCommitment
from enterprise_node.store.releases import ReleaseState, StoredRelease
from privacy import envelope, releases
from privacy.envelope import Kind
from protos.epochs import Epoch, end_day
from protos.problems import InvariantBroken, Unavailable
from protos.v1 import commitment_pb2, evidence_pb2, release_pb2, roster_pb2
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN, REASON_NOT_FOUND

if TYPE_CHECKING:
    from enterprise_node.chain import OwnChain
    from enterprise_node.following import Following
    from enterprise_node.kept import Kept
    from enterprise_node.outbox import HubReads
    from enterprise_node.persons import Persons
    from enterprise_node.pseudonyms import Pseudonymiser
    from enterprise_node.roster import Roster
    from enterprise_node.slot_erasures import SlotErasures
    from enterprise_node.store.charges import ChargeTable
    from enterprise_node.store.database import Database
    from enterprise_node.store.outbox import OutboxTable, StoredMessage
    from enterprise_node.store.releases import ReleaseTable
    from privacy.envelope import Opened
    from runtime.log_follower import Entry

logger = logging.getLogger(__name__)

Parsed = TypeVar("Parsed", bound=Message)


@dataclass(frozen=True, slots=True)
class Recovered:
    """What came back from the log; unassigned slots are of persons this node does not know."""

    messages: int = 0
    releases: int = 0
    reservations: int = 0
    slots: int = 0
    slots_unassigned: int = 0
    # Messages this node had signed in the place of logged ones.
    messages_dropped: int = 0


@dataclass(frozen=True, slots=True)
class _Lost:
    """One message of ours that the log holds and the node does not, with its bodies."""

    index: int
    opened: Opened
    sequence: int
    epoch: int
    data: bytes
    bodies: list[bytes]


class Recovery:
    """Re-imports what the log holds of one enterprise."""

    def __init__(
        self,
        database: Database,
        chain: OwnChain,
        messages: OutboxTable,
        table: ReleaseTable,
        charges: ChargeTable,
        roster: Roster,
        slot_erasures: SlotErasures,
        kept: Kept,
        persons: Persons,
        pseudonymiser: Pseudonymiser,
        following: Following,
        reads: HubReads,
        *,
        enterprise_id: str,
    ) -> None:
        self._database = database
        self._chain = chain
        self._messages = messages
        self._table = table
        self._charges = charges
        self._roster = roster
        self._slot_erasures = slot_erasures
        self._kept = kept
        self._persons = persons
        self._pseudonymiser = pseudonymiser
        self._following = following
        self._reads = reads
        self._enterprise_id = enterprise_id

    def recover(self) -> Recovered:
        """Take over everything the log holds of this enterprise, in one step; then the node is opened anew.

        The sources must have been read: persons are found again by their pseudonyms, which costs evaluations
        for those whose pseudonym is no longer remembered.
        """
        self._following.refresh()
        lost = [self._lost(entry) for entry in self._following.strange]
        if not lost:
            return Recovered()
        named = self._named(lost)
        with self._database.transaction():
            dropped = self._drop_from(lost[0].sequence)
            unassigned = sum(self._adopt(one, named) for one in lost)
            self._spend_unknown()
        kinds = [one.opened.kind for one in lost]
        recovered = Recovered(
            messages=len(lost),
            releases=kinds.count(Kind.RELEASE),
            reservations=kinds.count(Kind.RESERVATION),
            slots=sum(_batch(one).count for one in lost if one.opened.kind is Kind.ROSTER_BATCH),
            slots_unassigned=unassigned,
            messages_dropped=dropped,
        )
        logger.info("recovered from the log", extra={"messages": len(lost), "dropped": dropped})
        return recovered

    def _lost(self, entry: Entry) -> _Lost:
        opened = envelope.open_envelope(entry.data)
        message: Any = opened.parse(MESSAGES[opened.kind])
        epoch = _epoch(opened.kind, message)
        has_bodies = opened.kind in (Kind.ROSTER_BATCH, Kind.RELEASE)
        bodies = self._reads.bodies(entry.index) if has_bodies else []
        if bodies is None:
            raise Unavailable(
                REASON_NOT_FOUND,
                f"The hub does not give back the bodies of entry {entry.index}, this enterprise's own.",
                remedy="Ask the hub's operator; nothing was changed here.",
            )
        if opened.kind is Kind.RELEASE:
            releases.check_bodies(message, bodies)
        return _Lost(entry.index, opened, message.header.sequence, epoch, entry.data, list(bodies))

    def _named(self, lost: Sequence[_Lost]) -> dict[bytes, int]:
        """Find the persons behind pseudonyms, remembered or evaluated again."""
        batches = [_batch(one) for one in lost if one.opened.kind is Kind.ROSTER_BATCH]
        if not any(batch.count for batch in batches):
            return {}
        numbers = [number for number, _, _ in self._persons.contracts()]
        found: dict[bytes, int] = {}
        for key_id in {batch.pseudonym_key_id for batch in batches}:
            known = self._pseudonymiser.known(numbers, key_id)
            found.update((pseudonym, person) for person, pseudonym in known.items())
        missing = [person for person in self._persons.new_for_enrolment() if person not in found.values()]
        trust = self._following.trust
        again = self._pseudonymiser.pseudonymise(missing, trust, self._enterprise_id)
        found.update((pseudonym, person) for person, pseudonym in again.items())
        return found

    def _drop_from(self, sequence: int) -> int:
        """Take back what this node signed in the place of logged messages; charges stay."""
        orphans = self._messages.since(sequence)
        for orphan in reversed(orphans):
            if orphan.kind == Kind.ROSTER_BATCH.value:
                self._roster.drop(_parsed(orphan, roster_pb2.RosterBatch))
        for release in self._table.all():
            if max(release.reservation_sequence, release.release_sequence or 0) >= sequence:
                self._table.drop(release.epoch)
        CommitmentTable(self._database).drop_since(sequence)
        self._messages.drop_since(sequence)
        return len(orphans)

    def _adopt(self, lost: _Lost, named: dict[bytes, int]) -> int:
        """Take over one message; gives how many slots nobody here stands behind."""
        self._chain.adopt(lost.sequence, lost.opened.kind, lost.epoch, lost.data, lost.bodies, lost.index)
        match lost.opened.kind:
            case Kind.ROSTER_BATCH:
                return self._roster.adopt(_batch(lost), lost.bodies, self._holding(lost, named))
            case Kind.RESERVATION:
                self._charge(lost.opened.parse(release_pb2.Reservation))
            case Kind.ERASURE_ORDER:
                self._slot_erasures.forget(lost.opened.parse(evidence_pb2.ErasureOrder).slots)
            case Kind.COMMITMENT:
                message = lost.opened.parse(commitment_pb2.Commitment)
                stored = StoredCommitment(message.epoch, message.policy_hash, lost.sequence)
                CommitmentTable(self._database).put(stored)
            case Kind.RELEASE:
                self._release(lost.opened.parse(release_pb2.Release), lost.sequence)
            case _:
                silence = lost.opened.parse(release_pb2.NothingToReport)
                self._table.drop(silence.epoch)
                place = (lost.sequence, lost.sequence, 0)
                self._table.add(StoredRelease(silence.epoch, ReleaseState.DRAWN, b"", NO_NONCE, *place))
        return 0

    def _holding(self, lost: _Lost, named: Mapping[bytes, int]) -> dict[bytes, int]:
        """Give whose pseudonyms were at the end of a batch's first epoch: a number may have changed hands."""
        then = self._persons.holders_on(end_day(Epoch(lost.epoch)) - 1)
        return {pseudonym: then.get(person, person) for pseudonym, person in named.items()}

    def _charge(self, reservation: release_pb2.Reservation) -> None:
        """Charge what a logged reservation says, unless it is charged already."""
        if self._charges.has(reservation.nonce):
            return
        policy = self._following.policy_by_hash(reservation.policy_hash)
        epoch, covered = Epoch(reservation.epoch), covered_by(reservation)
        self._charges.add(
            StoredCharge(one, charge.unit, charge.series, reservation.nonce, charge.epsilon, "reserved")
            for charge in planned_charges(policy, self._enterprise_id, epoch, covered)
            for one in charge.epochs
        )

    def _release(self, release: release_pb2.Release, sequence: int) -> None:
        reserved = self._messages.by_hash(release.reservation_hash)
        if reserved is None:
            raise InvariantBroken(REASON_INVARIANT_BROKEN, "A logged release has no logged reservation.")
        reservation = _parsed(reserved, release_pb2.Reservation)
        self._table.drop(release.epoch)
        self._table.add(
            StoredRelease(
                release.epoch,
                ReleaseState.DRAWN,
                release.policy_hash,
                reservation.nonce,
                reserved.sequence,
                sequence,
                sum(statement.rows for statement in release.statements),
            )
        )
        self._kept.forget(Epoch(release.epoch))

    def _spend_unknown(self) -> None:
        """Never draw for a reservation another state of this node may have drawn for."""
        for release in self._table.all():
            if release.state is ReleaseState.RESERVED:
                self._table.drop(release.epoch)


def _epoch(kind: Kind, message: Any) -> int:
    match kind:
        case Kind.ROSTER_BATCH:
            return int(message.effective_epoch)
        case Kind.ERASURE_ORDER:
            return NO_EPOCH
        case _:
            return int(message.epoch)


def _batch(lost: _Lost) -> roster_pb2.RosterBatch:
    return lost.opened.parse(roster_pb2.RosterBatch)


def _parsed(stored: StoredMessage, message_type: type[Parsed]) -> Parsed:
    return envelope.open_envelope(stored.envelope).parse(message_type)
