"""The one decision whether an entry may stand in the log, run by the hub at intake and by auditors at replay.

A pure fold: `check` looks at bytes and bodies in a fixed order (bounds, envelope, registered key, signature,
parse, origin, role, sequence, then the kind's own rules) and changes nothing; `apply` takes what it admitted.
Recognising an envelope that is in the log already is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from privacy import document_rules, envelope, merkle
from privacy.envelope import Kind, Opened
from privacy.journal import JournalRows
from privacy.kinds import DOCUMENTS, SEQUENCED, WHILE_SUSPENDED, WITH_BODIES
from privacy.links import LinkRows
from privacy.log_readings import LogReadings
from privacy.rosters import RosterRows
from privacy.standing import Chain, Role, Signer, Standing
from privacy.verdicts import Submission, Verdict
from protos.problems import Conflict, InvariantBroken, Malformed, Refused, Unverified
from protos.v1 import envelope_pb2, trust_pb2
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


class LogState(LogReadings):
    """What a log has established, and the decision on its next entry.

    `pinned` is the first trust root's fingerprint or envelope; `replaying` allows rows erased since their
    entry was admitted.
    """

    def __init__(self, *, pinned: bytes | None = None, replaying: bool = False) -> None:
        super().__init__(Standing(replaying=replaying))
        self._pinned = pinned
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
        if opened.kind in DOCUMENTS:
            return self._check_document(data, opened, bodies)
        if opened.kind in SEQUENCED:
            return self._check_sequenced(data, opened, bodies)
        raise Malformed(REASON_WRONG_TYPE, f"A {opened.kind.value} does not stand in the log.")

    def apply(self, admission: Admission) -> None:
        """Take an entry that `check` admitted as the very next one."""
        if admission.index != self._standing.tree.size:
            raise InvariantBroken(REASON_INVARIANT_BROKEN, "The log has moved since this entry was checked.")
        admission.effect()
        self._standing.tree.append(admission.leaf_hash)
        if admission.kind in SEQUENCED:
            self._extend_chain(admission)
        if not admission.bodies_checked:
            self._unchecked.append(admission.index)

    def go_live(self) -> None:
        """End a replay: rows of messages to come may not be empty."""
        self._standing.replaying = False

    @property
    def unchecked(self) -> tuple[int, ...]:
        """List the entries whose bodies were not at hand."""
        return tuple(self._unchecked)

    def _check_document(self, data: bytes, opened: Opened, bodies: Sequence[bytes] | None) -> Admission:
        message_type, verify, rule = DOCUMENTS[opened.kind]
        verify(self._standing, opened)
        message = opened.parse(message_type)
        return self._admission(data, opened, "", message, rule(*self._case(message, opened, "", bodies)))

    def _check_sequenced(self, data: bytes, opened: Opened, bodies: Sequence[bytes] | None) -> Admission:
        role, message_type, rule = SEQUENCED[opened.kind]
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
        standing = self._standing
        submission = Submission(issuer, self.size, opened.envelope_hash, bodies, standing.replaying)
        return standing, message, submission

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
        key = (SEQUENCED[admission.kind][0], admission.issuer)
        self._standing.chains[key] = Chain(admission.message.header.sequence + 1, admission.envelope_hash)


def _check_no_bodies(kind: Kind, bodies: Sequence[bytes] | None) -> None:
    if bodies and kind not in WITH_BODIES:
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
        if kind not in WHILE_SUSPENDED and not is_withdrawal:
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
