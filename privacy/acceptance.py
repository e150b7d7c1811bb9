"""The one decision whether an entry may stand in the log, run by the hub at intake and by auditors at replay.

A pure fold: `check` looks at bytes and bodies in a fixed order (bounds, envelope, registered key, signature,
parse, origin, role, sequence, then the kind's own rules) and changes nothing; `apply` takes what it admitted.
Recognising an envelope that is in the log already is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from google.protobuf.message import Message

from privacy import (
    account_changes,
    book_rules,
    choice_rules,
    commitment_rules,
    deadline_rules,
    deadlines,
    document_rules,
    envelope,
    erasure_rules,
    issuance_rules,
    merkle,
    person_rules,
    programme_rules,
    release_rules,
    selection_rules,
)
from privacy.beacon import Drawn
from privacy.charges import allowance
from privacy.checkpoint import Checkpoint
from privacy.commitments import Committed
from privacy.deadlines import Due
from privacy.envelope import Kind, Opened
from privacy.erasures import Ordered
from privacy.journal import JournalRows
from privacy.links import LinkRows
from privacy.participants import Participants
from privacy.policy import Policy
from privacy.rosters import RosterRows, RosterState
from privacy.standing import (
    Answer,
    Chain,
    Closed,
    LoggedPack,
    ProgrammeStanding,
    Reserved,
    Role,
    Signer,
    Standing,
)
from privacy.successions import Successions
from privacy.trust import TrustRoot
from privacy.verdicts import Submission, Verdict
from protos.epochs import Epoch
from protos.problems import Conflict, InvariantBroken, Malformed, Refused, Unverified
from protos.v1 import (
    books_pb2,
    commitment_pb2,
    custodian_pb2,
    envelope_pb2,
    evidence_pb2,
    ledger_pb2,
    policy_pb2,
    programme_pb2,
    release_pb2,
    roster_pb2,
    trust_pb2,
)
from protos.v1.problem_pb2 import (
    REASON_BODY_MISMATCH,
    REASON_HISTORY_INCONSISTENT,
    REASON_INVARIANT_BROKEN,
    REASON_KEY_EXPIRED,
    REASON_KEY_UNKNOWN,
    REASON_ROLE_NOT_ALLOWED,
    REASON_SEQUENCE_REUSED,
    REASON_SEQUENCE_SKIPPED,
    REASON_SUSPENDED,
    REASON_WRONG_SHAPE,
    REASON_WRONG_TYPE,
)
from protos.v1.release_pb2 import PrivacyUnit

_DOCUMENTS: dict[Kind, tuple[type[Message], Callable[..., None], Callable[..., Verdict]]] = {
    Kind.POLICY: (policy_pb2.Policy, document_rules.verify_document, document_rules.check_policy),
    Kind.PACK: (policy_pb2.PackRecord, document_rules.verify_document, document_rules.check_pack),
    Kind.PROGRAMME: (
        programme_pb2.ProgrammeRecord,
        programme_rules.verify_programme,
        programme_rules.check_programme,
    ),
}
_SEQUENCED: dict[Kind, tuple[Role, type[Message], Callable[..., Verdict]]] = {
    Kind.ROSTER_BATCH: (Role.ENTERPRISE, roster_pb2.RosterBatch, person_rules.check_roster_batch),
    Kind.RESERVATION: (Role.ENTERPRISE, release_pb2.Reservation, release_rules.check_reservation),
    Kind.RELEASE: (Role.ENTERPRISE, release_pb2.Release, release_rules.check_release),
    Kind.NOTHING_TO_REPORT: (
        Role.ENTERPRISE,
        release_pb2.NothingToReport,
        release_rules.check_nothing_to_report,
    ),
    Kind.COUNT_REPORT: (Role.CUSTODIAN, custodian_pb2.CountReport, person_rules.check_count_report),
    Kind.LINK_BATCH: (Role.HUB, books_pb2.LinkBatch, person_rules.check_link_batch),
    Kind.JOURNAL_SEGMENT: (Role.HUB, ledger_pb2.JournalSegment, book_rules.check_journal_segment),
    Kind.EPOCH_CLOSE: (Role.HUB, books_pb2.EpochClose, book_rules.check_epoch_close),
    Kind.ISSUANCE: (Role.HUB, ledger_pb2.Issuance, issuance_rules.check_issuance),
    Kind.MISSING: (Role.HUB, evidence_pb2.Missing, deadline_rules.check_missing),
    Kind.ERASURE_ORDER: (Role.ENTERPRISE, evidence_pb2.ErasureOrder, erasure_rules.check_erasure_order),
    Kind.HUB_ERASURE_ORDER: (Role.HUB, evidence_pb2.ErasureOrder, erasure_rules.check_hub_erasure),
    Kind.CHOICE_BATCH: (Role.HUB, programme_pb2.ChoiceBatch, choice_rules.check_choice_batch),
    Kind.SELECTION: (Role.HUB, programme_pb2.Selection, selection_rules.check_selection),
    Kind.ACCOUNT_CHANGE: (Role.HUB, programme_pb2.AccountChange, account_changes.check_account_change),
    Kind.COMMITMENT: (Role.ENTERPRISE, commitment_pb2.Commitment, commitment_rules.check_commitment),
    Kind.BEACON: (Role.HUB, commitment_pb2.Beacon, commitment_rules.check_beacon),
}
_WITH_BODIES = frozenset(
    {
        Kind.PACK,
        Kind.PROGRAMME,
        Kind.ROSTER_BATCH,
        Kind.RELEASE,
        Kind.LINK_BATCH,
        Kind.JOURNAL_SEGMENT,
        Kind.CHOICE_BATCH,
        Kind.SELECTION,
        Kind.ACCOUNT_CHANGE,
    }
)
_WHILE_SUSPENDED = frozenset({Kind.NOTHING_TO_REPORT, Kind.ERASURE_ORDER})


@dataclass(frozen=True, slots=True)
class Admission:
    """An entry that may stand at `index`; documents have no issuer (""); `rows` come from its bodies."""

    index: int
    kind: Kind
    issuer: str
    message: Any
    envelope_hash: bytes
    leaf_hash: bytes
    bodies_checked: bool
    rows: RosterRows | LinkRows | JournalRows | None
    effect: Callable[[], None] = field(repr=False, compare=False)


class LogState:
    """What a log has established, and the decision on its next entry.

    `pinned` is the first trust root's fingerprint or envelope; `replaying` allows rows erased since their
    entry was admitted.
    """

    def __init__(self, *, pinned: bytes | None = None, replaying: bool = False) -> None:
        self._standing = Standing()
        self._pinned = pinned
        self._replaying = replaying
        self._unchecked: list[int] = []

    def check(self, data: bytes, bodies: Sequence[bytes] | None, index: int | None = None) -> Admission:
        """Decide on the next entry; raises the Problem that refuses it. Bodies of None go unchecked."""
        standing = self._standing
        if index is not None and index != standing.tree.size:
            raise InvariantBroken(
                REASON_INVARIANT_BROKEN, f"Entry {index} is not next; {standing.tree.size} is."
            )
        opened = envelope.open_envelope(data)
        _check_no_bodies(opened.kind, bodies)
        if opened.kind is Kind.TRUST_ROOT:
            verdict = document_rules.check_trust_root(standing, data, self._pinned)
            return self._admission(data, opened, "", opened.parse(trust_pb2.TrustRoot), verdict)
        if opened.kind in _DOCUMENTS:
            return self._check_document(data, opened, bodies)
        if opened.kind in _SEQUENCED:
            return self._check_sequenced(data, opened, bodies)
        raise Malformed(REASON_WRONG_TYPE, f"A {opened.kind.value} does not stand in the log.")

    def apply(self, admission: Admission) -> None:
        """Take an entry that `check` admitted as the very next one."""
        if admission.index != self._standing.tree.size:
            raise InvariantBroken(REASON_INVARIANT_BROKEN, "The log has moved since this entry was checked.")
        admission.effect()
        self._standing.tree.append(admission.leaf_hash)
        if admission.kind in _SEQUENCED:
            self._extend_chain(admission)
        if not admission.bodies_checked:
            self._unchecked.append(admission.index)

    @property
    def size(self) -> int:
        """Count the entries taken."""
        return self._standing.tree.size

    def root(self, size: int | None = None) -> bytes:
        """Give the root over the first `size` entries (all by default)."""
        return self._standing.tree.root(size)

    @property
    def trust(self) -> TrustRoot:
        """Give the trust root in force; raises Refused TRUST_ROOT_INVALID before the first."""
        return self._standing.trust

    @property
    def trust_roots(self) -> tuple[TrustRoot, ...]:
        """Give all versions of the trust root, oldest first."""
        return tuple(root for _, root in self._standing.trust_roots)

    @property
    def has_trust(self) -> bool:
        """Say whether the log has begun."""
        return bool(self._standing.trust_roots)

    @property
    def policies(self) -> tuple[Policy, ...]:
        """Give all policies, oldest first."""
        return tuple(self._standing.policies)

    def policy_for(self, epoch: Epoch) -> Policy:
        """Give the policy in force for an epoch; raises Refused POLICY_NOT_IN_FORCE."""
        return self._standing.policy_for(epoch)

    def policy_by_hash(self, policy_hash: bytes) -> Policy:
        """Find a policy by its envelope's hash; raises Refused POLICY_NOT_IN_FORCE."""
        return self._standing.policy_by_hash(policy_hash)

    @property
    def packs(self) -> dict[tuple[str, int], LoggedPack]:
        """Give the packs by id and version."""
        return dict(self._standing.packs)

    @property
    def programmes(self) -> dict[str, ProgrammeStanding]:
        """Give the programmes by id, not to be changed."""
        return dict(self._standing.programmes)

    def chain(self, role: Role, issuer: str) -> Chain:
        """Say where an issuer's chain stands."""
        return self._standing.chains.get((role, issuer), Chain())

    def roster(self, enterprise_id: str) -> RosterState:
        """Give an enterprise's roster, not to be changed."""
        return self._standing.enterprise(enterprise_id).roster

    def answers(self, enterprise_id: str) -> dict[Epoch, Answer]:
        """Give an enterprise's releases and silences by epoch."""
        return dict(self._standing.enterprise(enterprise_id).answers)

    def spent(self, enterprise_id: str, unit: PrivacyUnit.ValueType, epoch: Epoch) -> Fraction:
        """Give what an enterprise has charged to a unit for an epoch."""
        return self._standing.enterprise(enterprise_id).spent.get((unit, epoch), Fraction(0))

    def covered(self, enterprise_id: str, policy: Policy, epoch: Epoch) -> dict[str, tuple[Epoch, ...]]:
        """Give the epochs each anchor of a release of this epoch would total, by series name."""
        mine = self._standing.enterprise(enterprise_id)
        return release_rules.anchors_covered(mine, policy, enterprise_id, epoch)

    def reserved(self, enterprise_id: str, reservation_hash: bytes) -> Reserved | None:
        """Give what a reservation in the log pays for."""
        return self._standing.enterprise(enterprise_id).reservations.get(reservation_hash)

    def remaining(self, enterprise_id: str, unit: PrivacyUnit.ValueType, epoch: Epoch) -> Fraction:
        """Give what the policy in force still allows."""
        return allowance(self.policy_for(epoch), unit) - self.spent(enterprise_id, unit, epoch)

    def evaluations(self, enterprise_id: str) -> dict[str, int]:
        """Give what each custodian has counted for an enterprise."""
        return {
            custodian: count.evaluations_total
            for (custodian, served), count in self._standing.counts.items()
            if served == enterprise_id
        }

    def is_linked(self, pseudonym: bytes) -> bool:
        """Say whether a pseudonym has a link (where link openings were at hand)."""
        return pseudonym in self._standing.linked

    @property
    def successions(self) -> Successions:
        """Give which pseudonyms follow which after rotations of the key, not to be changed."""
        return self._standing.successions

    def inherited(self, pseudonym: bytes) -> bytes | None:
        """Give the account inherited from pseudonyms before; None for newcomers and in a dispute."""
        return self._standing.successions.inherited(pseudonym, self._standing.linked)

    def frozen_accounts(self) -> frozenset[bytes]:
        """List the accounts of disputed pseudonyms: nothing is spent from them."""
        return self._standing.disputed_accounts()

    @property
    def participants(self) -> Participants:
        """Give what the log says of participants: tickets, accounts, choices, selections."""
        return Participants(self._standing)

    @property
    def closes(self) -> dict[Epoch, Closed]:
        """Give the epochs closed."""
        return dict(self._standing.closes)

    @property
    def last_closed(self) -> Epoch | None:
        """Give the last epoch closed."""
        return self._standing.last_closed

    def commitments(self, enterprise_id: str) -> dict[Epoch, Committed]:
        """Give an enterprise's commitments by epoch."""
        return dict(self._standing.enterprise(enterprise_id).commitments)

    @property
    def beacons(self) -> dict[Epoch, Drawn]:
        """Give the beacons by epoch."""
        return dict(self._standing.beacons)

    def beacon_head(self, epoch: Epoch, note: bytes) -> Checkpoint:
        """Give the checkpoint an epoch's beacon may be evaluated over; raises what keeps it from that."""
        return commitment_rules.check_input(self._standing, epoch, note)

    def is_closed(self, epoch: Epoch) -> bool:
        """Say whether an epoch's books are closed."""
        return self._standing.is_closed(epoch)

    def missing(self, epoch: Epoch) -> list[str]:
        """List the registered enterprises that have not answered for an epoch, as a close would now."""
        return self._standing.missing(epoch, self.size)

    def open_dues(self, now: int, party: tuple[Role, str] | None = None) -> list[Due]:
        """List what parties (or one) owe for epochs that are over; seconds since 1970."""
        return deadlines.open_dues(self._standing, now, party)

    def due_at(self, role: Role, party_id: str, epoch: Epoch) -> int | None:
        """Give a party's deadline for an epoch; None without one."""
        return deadlines.due_at(self._standing, role, party_id, epoch)

    def is_unstated(self, enterprise_id: str, epoch: Epoch) -> bool:
        """Say whether an enterprise has a deadline for an epoch and no entry says that it missed it."""
        key = (Role.ENTERPRISE, enterprise_id, epoch)
        return key not in self.missed and deadlines.due_at(self._standing, *key) is not None

    @property
    def missed(self) -> Mapping[tuple[Role, str, Epoch], int]:
        """Give the entries that say who missed a deadline, not to be changed."""
        return self._standing.missed

    @property
    def erasures(self) -> tuple[Ordered, ...]:
        """Give the erasure orders, oldest first."""
        return tuple(self._standing.erasures)

    def erased_slots(self, enterprise_id: str) -> frozenset[int]:
        """Give the slots of an enterprise that orders have erased."""
        return frozenset(self._standing.enterprise(enterprise_id).erased)

    def gone_by(self, enterprise_id: str, slots: Sequence[int]) -> frozenset[bytes]:
        """Give the pseudonyms that no slot names any more once these are erased."""
        return erasure_rules.gone(self._standing, enterprise_id, slots)

    def slots_of(self, pseudonyms: Collection[bytes]) -> dict[str, list[int]]:
        """Give the slots by enterprise at which pseudonyms stand, ascending."""
        return erasure_rules.slots_of(self._standing, pseudonyms)

    @property
    def linked(self) -> Mapping[bytes, bytes]:
        """Give the account of every pseudonym linked, not to be changed."""
        return self._standing.linked

    def go_live(self) -> None:
        """End a replay: rows of messages to come may not be empty."""
        self._replaying = False

    @property
    def operations(self) -> int:
        """Count the operations on the ledgers that stand in segments."""
        return self._standing.operations

    @property
    def unchecked(self) -> tuple[int, ...]:
        """List the entries whose bodies were not at hand."""
        return tuple(self._unchecked)

    def _check_document(self, data: bytes, opened: Opened, bodies: Sequence[bytes] | None) -> Admission:
        message_type, verify, rule = _DOCUMENTS[opened.kind]
        verify(self._standing, opened)
        message = opened.parse(message_type)
        return self._admission(data, opened, "", message, rule(*self._case(message, opened, "", bodies)))

    def _check_sequenced(self, data: bytes, opened: Opened, bodies: Sequence[bytes] | None) -> Admission:
        role, message_type, rule = _SEQUENCED[opened.kind]
        signer = _signer(self._standing, opened)
        envelope.verify(opened, [signer.key])
        message: Any = opened.parse(message_type)
        envelope.check_origin(message.header.origin, self._standing.trust.origin)
        _check_role(self._standing, signer, role, opened.kind, message)
        _check_chain(self.chain(role, signer.id), message.header)
        verdict = rule(*self._case(message, opened, signer.id, bodies))
        return self._admission(data, opened, signer.id, message, verdict)

    def _case(
        self, message: Message, opened: Opened, issuer: str, bodies: Sequence[bytes] | None
    ) -> tuple[Standing, Message, Submission]:
        submission = Submission(issuer, self.size, opened.envelope_hash, bodies, self._replaying)
        return self._standing, message, submission

    def _admission(
        self, data: bytes, opened: Opened, issuer: str, message: Message, verdict: Verdict
    ) -> Admission:
        return Admission(
            index=self.size,
            kind=opened.kind,
            issuer=issuer,
            message=message,
            envelope_hash=opened.envelope_hash,
            leaf_hash=merkle.leaf_hash(data),
            bodies_checked=verdict.bodies_checked,
            rows=verdict.rows,
            effect=verdict.apply,
        )

    def _extend_chain(self, admission: Admission) -> None:
        key = (_SEQUENCED[admission.kind][0], admission.issuer)
        self._standing.chains[key] = Chain(admission.message.header.sequence + 1, admission.envelope_hash)


def _check_no_bodies(kind: Kind, bodies: Sequence[bytes] | None) -> None:
    if bodies and kind not in _WITH_BODIES:
        raise Malformed(REASON_BODY_MISMATCH, f"A {kind.value} has no bodies; {len(bodies)} came.")


def _signer(standing: Standing, opened: Opened) -> Signer:
    """Find the registered key of a sequenced message by its keyid, a hint the signature then confirms."""
    _ = standing.trust
    if len(opened.signatures) != 1:
        raise Malformed(REASON_WRONG_SHAPE, f"A {opened.kind.value} carries one signature.")
    keyid = opened.signatures[0].keyid
    signer = standing.signers.get(keyid)
    if signer is None and keyid in standing.retired:
        raise Unverified(REASON_KEY_EXPIRED, "The key that signed is no longer in the trust root.")
    if signer is None:
        raise Unverified(
            REASON_KEY_UNKNOWN,
            "The key that signed is not in the trust root.",
            remedy="Register the party: a new version of the trust root must name its key.",
        )
    return signer


def _check_role(standing: Standing, signer: Signer, role: Role, kind: Kind, message: Any) -> None:
    if signer.role is not role or signer.id != message.header.issuer:
        raise Refused(
            REASON_ROLE_NOT_ALLOWED,
            f"The {signer.role.value} '{signer.id}' cannot sign a {kind.value} of '{message.header.issuer}'.",
        )
    if signer.role is Role.ENTERPRISE and standing.trust.enterprise(signer.id).suspended:
        is_withdrawal = kind is Kind.ROSTER_BATCH and message.count == 0
        if kind not in _WHILE_SUSPENDED and not is_withdrawal:
            raise Refused(
                REASON_SUSPENDED,
                f"Enterprise '{signer.id}' is suspended: it may withdraw, erase and report nothing.",
            )


def _check_chain(chain: Chain, header: envelope_pb2.Header) -> None:
    if header.sequence < chain.next_sequence:
        raise Conflict(
            REASON_SEQUENCE_REUSED,
            f"Sequence {header.sequence} is in the log; {chain.next_sequence} is next.",
            remedy="Read the chain's head from the log and sign again.",
        )
    if header.sequence > chain.next_sequence:
        raise Refused(
            REASON_SEQUENCE_SKIPPED,
            f"Sequence {header.sequence} came; {chain.next_sequence} is next.",
            remedy="Send the messages before it first.",
        )
    if header.previous != chain.head:
        raise Unverified(
            REASON_HISTORY_INCONSISTENT,
            f"Message {header.sequence} names another predecessor than the one in the log: two histories.",
        )
