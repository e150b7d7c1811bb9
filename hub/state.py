"""What the log has established, held in memory: the fold of privacy.acceptance, and who stands in which slot.

One thread changes it (the writer); all others read under the lock.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence

from privacy import envelope, kinds
from privacy.acceptance import Admission, LogState
from privacy.beacon import Drawn
from privacy.checkpoint import Checkpoint
from privacy.chunks import HALF_BYTES
from privacy.deadlines import Due
from privacy.envelope import Kind
from privacy.erasures import ERASED, Ordered
from privacy.ownership import Move
from privacy.policy import Policy
from privacy.rosters import RosterRows
from privacy.standing import HUB_ID, Answer, AnswerKind, Chain, ProgrammeStanding, Role, Selection
from privacy.trust import TrustRoot
from protos.epochs import Epoch, next_epoch
from protos.problems import InvariantBroken, Refused
from protos.v1 import envelope_pb2
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN, REASON_ROSTER_WRONG

EPOCHS_MAX = 1200
_OF_ENTERPRISES = kinds.signed_by(Role.ENTERPRISE)
_ERASURES = frozenset({Kind.ERASURE_ORDER, Kind.HUB_ERASURE_ORDER})
_CHANGING_BOOKS = _ERASURES | {Kind.POLICY, Kind.PROGRAMME, Kind.LINK_BATCH, Kind.ACCOUNT_CHANGE}


class State:
    """The log's state, as intake checks against it and views show it; it replays until it goes live."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._log = LogState(replaying=True)
        self._books_changed = -1
        self._pseudonyms: dict[str, bytearray] = {}
        # Enterprises that have sent something; a later trust root may no longer name them.
        self._senders: set[str] = set()
        self._lock = threading.RLock()

    def check(self, data: bytes, bodies: Sequence[bytes] | None, index: int) -> Admission:
        """Decide on the next entry; raises the Problem that refuses it."""
        with self._lock:
            return self._log.check(data, bodies, index)

    def apply(self, admission: Admission) -> None:
        """Take an entry that was admitted."""
        with self._lock:
            self._log.apply(admission)
            if admission.kind in _OF_ENTERPRISES:
                self._senders.add(admission.issuer)
            if admission.kind is Kind.ROSTER_BATCH and isinstance(admission.rows, RosterRows):
                rows = self._pseudonyms.setdefault(admission.issuer, bytearray())
                rows += admission.rows.pseudonyms or b""
            if admission.kind in _CHANGING_BOOKS:
                self._books_changed = admission.index
            if admission.kind in _ERASURES:
                mine = self._pseudonyms.get(admission.message.enterprise_id, bytearray())
                for slot in admission.message.slots:
                    mine[slot * HALF_BYTES : (slot + 1) * HALF_BYTES] = ERASED

    @property
    def log(self) -> LogState:
        """Give the log's state itself, for what runs in the writer's turn or while it waits."""
        return self._log

    def open_dues(self, now: int) -> list[Due]:
        """List what parties owe for epochs that are over."""
        with self._lock:
            return self._log.open_dues(now)

    def is_missed(self, due: Due) -> bool:
        """Say whether an entry states that a deadline was missed."""
        with self._lock:
            return (due.role, due.party_id, due.epoch) in self._log.missed

    def go_live(self) -> None:
        """End the replay: rows of messages to come may not be empty."""
        with self._lock:
            self._log.go_live()

    def moves(self, epoch: Epoch, log_size: int | None = None) -> list[Move]:
        """List what changes whose grams are whose in an epoch's books."""
        with self._lock:
            return self._log.participants.moves_on(epoch, log_size)

    def moves_about(self, names: Collection[bytes], epoch: Epoch) -> list[Move]:
        """List what of an epoch's changes names accounts or pseudonyms, in log order."""
        with self._lock:
            return self._log.participants.moves_about(names, epoch)

    def is_selected(self, enterprise_id: str, epoch: Epoch) -> bool:
        """Say whether an enterprise's epoch has its selection."""
        with self._lock:
            return self._log.participants.selection(enterprise_id, epoch) is not None

    def select(self, enterprise_id: str, epoch: Epoch) -> Selection:
        """Give what an enterprise leaves out of an epoch as the log stands."""
        with self._lock:
            return self._log.participants.select(enterprise_id, epoch)

    def account_names(self, account: bytes) -> list[bytes]:
        """Give an account and those whose place it has taken."""
        with self._lock:
            return [account, *self._log.participants.merged_into(account)]

    def gone_by(self, enterprise_id: str, slots: Sequence[int]) -> frozenset[bytes]:
        """Give the pseudonyms that no slot names any more once these are erased."""
        with self._lock:
            return self._log.gone_by(enterprise_id, slots)

    def slots_of(self, pseudonyms: Collection[bytes]) -> dict[str, list[int]]:
        """Give the slots by enterprise at which pseudonyms stand."""
        with self._lock:
            return self._log.slots_of(pseudonyms)

    def check_erasable(self, slots: Mapping[str, Sequence[int]]) -> None:
        """Refuse slots still enrolled at an enterprise that can withdraw them; raises ROSTER_WRONG."""
        with self._lock:
            registered = {one.id for one in self._log.trust.enterprises}
            enrolled = sorted(
                enterprise_id
                for enterprise_id, mine in slots.items()
                if enterprise_id in registered
                and not all(map(self._log.roster(enterprise_id).is_withdrawn, mine))
            )
        if enrolled:
            raise Refused(
                REASON_ROSTER_WRONG,
                f"The person is still enrolled at {', '.join(enrolled)}.",
                remedy="The person withdraws there first; the enterprise's next roster batch says so.",
            )

    @property
    def erasures(self) -> tuple[Ordered, ...]:
        """Give the erasure orders, oldest first."""
        with self._lock:
            return self._log.erasures

    @property
    def size(self) -> int:
        """Count the entries taken."""
        with self._lock:
            return self._log.size

    def root(self, size: int) -> bytes:
        """Give the root over the first `size` entries."""
        with self._lock:
            return self._log.root(size)

    @property
    def trust_root(self) -> TrustRoot | None:
        """Give the trust root in force; None before the first."""
        with self._lock:
            return self._log.trust if self._log.has_trust else None

    def policy_for(self, epoch: Epoch) -> Policy:
        """Give the policy in force for an epoch."""
        with self._lock:
            return self._log.policy_for(epoch)

    def policy(self, policy_hash: bytes) -> Policy:
        """Give a policy by its envelope's hash."""
        with self._lock:
            return self._log.policy_by_hash(policy_hash)

    @property
    def programmes(self) -> dict[str, ProgrammeStanding]:
        """Give the programmes by id, not to be changed."""
        with self._lock:
            return self._log.programmes

    def chain(self, role: Role, issuer: str) -> Chain:
        """Say where an issuer's chain stands."""
        with self._lock:
            return self._log.chain(role, issuer)

    def next_header(self, *, issued_at: int) -> envelope_pb2.Header:
        """Give the header of the hub's own next message."""
        chain = self.chain(Role.HUB, HUB_ID)
        return envelope.header(
            self.origin, HUB_ID, sequence=chain.next_sequence, previous=chain.head, issued_at=issued_at
        )

    def enrolled(self, enterprise_id: str) -> int:
        """Count the slots an enterprise has ever given."""
        with self._lock:
            return self._log.roster(enterprise_id).total

    def active_pseudonyms(self, enterprise_id: str, epoch: Epoch) -> bytes:
        """Give the pseudonyms of the active slots of an epoch, 16 bytes each, in slot order."""
        with self._lock:
            roster = self._log.roster(enterprise_id)
            rows = self._pseudonyms.get(enterprise_id, bytearray())
            if len(rows) != roster.total * HALF_BYTES:
                raise InvariantBroken(
                    REASON_INVARIANT_BROKEN, "Roster openings do not cover the roster's slots."
                )
            slots = roster.active_slots(epoch)
            return b"".join(bytes(rows[slot * HALF_BYTES : (slot + 1) * HALF_BYTES]) for slot in slots)

    def active_slots(self, enterprise_id: str, epoch: Epoch) -> Sequence[int]:
        """Give the active slots of an epoch, in order."""
        with self._lock:
            return self._log.roster(enterprise_id).active_slots(epoch)

    def row_of(self, enterprise_id: str, slot: int, epoch: Epoch) -> int | None:
        """Give a slot's place among the active slots of an epoch; None for one that is not."""
        with self._lock:
            return self._log.roster(enterprise_id).row_of(slot, epoch)

    def answers(self, enterprise_id: str) -> dict[Epoch, Answer]:
        """Give an enterprise's releases and silences by epoch."""
        with self._lock:
            return self._log.answers(enterprise_id)

    def inherited(self, pseudonyms: Iterable[bytes]) -> dict[bytes, bytes]:
        """Give the accounts that pseudonyms inherit from those they follow; newcomers are not among them."""
        with self._lock:
            found = {pseudonym: self._log.inherited(pseudonym) for pseudonym in pseudonyms}
        return {pseudonym: account for pseudonym, account in found.items() if account is not None}

    def is_frozen(self, account: bytes) -> bool:
        """Say whether enterprises disagree whose an account is after a rotation of the key."""
        with self._lock:
            return account in self._log.frozen_accounts()

    def released(self, epoch: Epoch) -> list[str]:
        """List the enterprises that have released."""
        return self._answered(epoch, AnswerKind.RELEASE)

    def released_since_close(self, epoch: Epoch) -> list[tuple[str, Epoch]]:
        """List (enterprise, epoch) of the releases up to an epoch that no close stands on yet.

        A release that came before an earlier epoch's close, but for a later epoch, is among them.
        """
        with self._lock:
            closes = self._log.closes
            last = max(closes, default=Epoch(0))
            size = closes[last].log_size if closes else 0
            return [
                (enterprise, spoken)
                for enterprise in self._enterprises()
                for spoken, answer in sorted(self._log.answers(enterprise).items())
                if spoken <= epoch
                and answer.kind is AnswerKind.RELEASE
                and (spoken > last or answer.index >= size)
            ]

    def nothing_to_report(self, epoch: Epoch) -> list[str]:
        """List the enterprises that have signed a silence."""
        return self._answered(epoch, AnswerKind.NOTHING_TO_REPORT)

    def silent(self, epoch: Epoch) -> list[str]:
        """List the registered enterprises that have said nothing."""
        with self._lock:
            return self._log.missing(epoch) if self._log.has_trust else []

    def unstated(self, epoch: Epoch) -> list[str]:
        """List the silent enterprises that have a deadline, of whom no entry says that they missed it."""
        with self._lock:
            return [one for one in self.silent(epoch) if self._log.is_unstated(one, epoch)]

    def last_change(self, epoch: Epoch) -> int:
        """Give the index of the newest entry that a close of the epoch depends on; -1 without any.

        Answers for it or an epoch before it, and whatever changes whose grams or points are whose.
        """
        with self._lock:
            answers = (
                answer.index
                for enterprise in self._enterprises()
                for spoken, answer in self._log.answers(enterprise).items()
                if spoken <= epoch
            )
            return max([*answers, self._books_changed])

    def beacons(self) -> dict[Epoch, Drawn]:
        """Give the beacons by epoch."""
        with self._lock:
            return self._log.beacons

    def beacon_head(self, epoch: Epoch, note: bytes) -> Checkpoint:
        """Give the checkpoint an epoch's beacon may be evaluated over; raises what keeps it from that."""
        with self._lock:
            return self._log.beacon_head(epoch, note)

    def is_closed(self, epoch: Epoch) -> bool:
        """Say whether an epoch's books are closed."""
        with self._lock:
            return self._log.is_closed(epoch)

    @property
    def last_closed(self) -> Epoch | None:
        """Give the last epoch closed."""
        with self._lock:
            return self._log.last_closed

    def close_index(self, epoch: Epoch) -> int | None:
        """Give the entry in which an epoch was closed."""
        with self._lock:
            closed = self._log.closes.get(epoch)
            return None if closed is None else closed.index

    def epochs(self) -> list[Epoch]:
        """List the epochs from the first policy's on that somebody has spoken of, without gaps."""
        with self._lock:
            spoken = {epoch for one in self._enterprises() for epoch in self._log.answers(one)}
            spoken |= set(self._log.closes) | {one.first_epoch for one in self._log.policies}
        if not spoken:
            return []
        found = [min(spoken)]
        while found[-1] < max(spoken) and len(found) < EPOCHS_MAX:
            found.append(next_epoch(found[-1]))
        return found

    def waits(self, epoch: Epoch) -> list[str]:
        """Say whom a close of the epoch still waits for, one reason each."""
        with self._lock:
            return [*self._silences(epoch), *self._uncovered()]

    def open_before(self, epoch: Epoch) -> list[Epoch]:
        """List the earlier epochs that are not closed: books are closed in order."""
        with self._lock:
            return [one for one in self.epochs() if one < epoch and not self._log.is_closed(one)]

    def _silences(self, epoch: Epoch) -> list[str]:
        return [f"{one} has neither released nor signed nothing-to-report" for one in self.silent(epoch)]

    def _uncovered(self) -> list[str]:
        """Say where the custodians have reported fewer evaluations than persons enrolled need."""
        root = self._log.trust
        if root.pseudonym_key is None:
            return []
        waits: list[str] = []
        for enterprise in root.enterprises:
            needed = self._log.roster(enterprise.id).total * root.pseudonym_key.threshold
            counted = sum(self._log.evaluations(enterprise.id).values())
            if counted < needed:
                waits.append(
                    f"custodians have reported {counted} evaluations for {enterprise.id}, "
                    f"its enrolments need {needed}"
                )
        return waits

    def _answered(self, epoch: Epoch, kind: AnswerKind) -> list[str]:
        with self._lock:
            return [
                enterprise
                for enterprise in self._enterprises()
                if epoch in (answers := self._log.answers(enterprise)) and answers[epoch].kind is kind
            ]

    def _enterprises(self) -> list[str]:
        named = {one.id for one in self._log.trust.enterprises} if self._log.has_trust else set()
        return sorted(named | self._senders)
