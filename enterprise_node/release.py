"""The release of an epoch: reserve the charge, log the reservation, draw, keep the bytes, submit, commit.

    open → reserved → drawn → submitted → committed

Each step is one durable transaction and asks the stored state what is left to do, so that it can be repeated
after a crash at any moment. A draw and its signed bytes come to be in the same transaction: what was not kept
never left, what was kept is never drawn again. A reservation that was never used stays charged.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from enterprise_node.budget import PlannedCharge
from enterprise_node.contents import Contents, Draw, Year, exact_contents
from enterprise_node.store.releases import ReleaseState, StoredRelease
from enterprise_node.terms import check_policy, measure_spec
from privacy import envelope, noise, releases
from privacy.charges import NOTHING_COVERED, UNITS, allowance, draw_cost
from privacy.envelope import Kind
from privacy.releases import NONCE_BYTES
from protos.epochs import Epoch, format_epoch
from protos.problems import InvariantBroken, Refused, Unavailable
from protos.v1.problem_pb2 import (
    REASON_BUSY,
    REASON_EPOCH_NOT_READY,
    REASON_INVARIANT_BROKEN,
    REASON_RESERVATION_UNKNOWN,
)
from protos.v1.release_pb2 import NOTHING_REASON_EMPTY_ROSTER, NothingToReport, Reservation

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from enterprise_node.budget import BudgetLedger
    from enterprise_node.chain import Check, OwnChain
    from enterprise_node.commitments import Commitments
    from enterprise_node.configuration import Ceilings
    from enterprise_node.kept import Kept
    from enterprise_node.late import LateParts, LateRecords
    from enterprise_node.reductions import Reductions, Vector
    from enterprise_node.roster import Roster
    from enterprise_node.store.database import Database
    from enterprise_node.store.releases import ReleaseTable
    from privacy.anchors import Covered
    from privacy.policy import Measure, Policy
    from protos.v1.envelope_pb2 import Header


NO_NONCE = b""


class Step(StrEnum):
    """The moments between which a process may die."""

    RESERVING = "reserving the charge"
    RESERVED = "charge reserved"
    COMPUTING = "computing the exact figures"
    DRAWING = "drawing noise"
    KEEPING = "keeping the release"
    DRAWN = "release kept"
    SUBMITTED = "release received by the hub"
    COMMITTED = "release in the log"


# Told at every step; what it raises stops the work there, as a crash would.
OnStep: TypeAlias = Callable[[Step, Epoch], None]


def no_step(step: Step, epoch: Epoch) -> None:
    """Tell nobody."""


class Releaser:
    """Moves the epochs of one enterprise from state to state; sends nothing itself."""

    def __init__(
        self,
        database: Database,
        table: ReleaseTable,
        ledger: BudgetLedger,
        chain: OwnChain,
        roster: Roster,
        reductions: Reductions,
        kept: Kept,
        late: LateRecords,
        commitments: Commitments,
        *,
        enterprise_id: str,
        ceilings: Ceilings,
        draw: Draw,
        on_step: OnStep = no_step,
    ) -> None:
        self._database = database
        self._table = table
        self._ledger = ledger
        self._chain = chain
        self._roster = roster
        self._reductions = reductions
        self._kept = kept
        self._late = late
        self._commitments = commitments
        self._enterprise_id = enterprise_id
        self._ceilings = ceilings
        self._draw = draw
        self._on_step = on_step

    def state(self, epoch: Epoch) -> ReleaseState:
        """Give how far the epoch has come."""
        stored = self._table.get(epoch)
        return stored.state if stored else ReleaseState.OPEN

    def policy_hash(self, epoch: Epoch) -> bytes:
        """Name the policy the epoch was reserved under."""
        return self._stored(epoch).policy_hash

    def reserve(
        self,
        epoch: Epoch,
        policy: Policy,
        *,
        covered: Covered = NOTHING_COVERED,
        check: Check | None = None,
    ) -> None:
        """Charge the epoch and sign the reservation that says so; an empty roster reports nothing instead.

        `covered` are the epochs its anchors total, as the log says; each of them is charged.
        """
        if self.state(epoch) is not ReleaseState.OPEN:
            return
        if not self._roster.active(epoch):
            self._report_nothing(epoch, policy, check)
            return
        check_policy(policy, policy.enterprise(self._enterprise_id), self._reductions, self._ceilings)
        nonce = secrets.token_bytes(NONCE_BYTES)

        def build(header: Header) -> tuple[Message, Sequence[bytes]]:
            built = releases.build_reservation(
                header, epoch=epoch, policy=policy, nonce=nonce, covered=covered
            )
            return built, ()

        self._on_step(Step.RESERVING, epoch)
        with self._database.transaction():
            if self.state(epoch) is not ReleaseState.OPEN:
                raise _overtaken(epoch)
            self._ledger.reserve(
                epoch,
                planned_charges(policy, self._enterprise_id, epoch, covered),
                {unit: allowance(policy, unit) for unit in UNITS},
                nonce,
            )
            message = self._chain.append(Kind.RESERVATION, epoch, build, check=check)
            self._table.add(
                StoredRelease(
                    epoch, ReleaseState.RESERVED, policy.policy_hash, nonce, message.sequence, None, 0
                )
            )
        self._on_step(Step.RESERVED, epoch)

    def draw(
        self, epoch: Epoch, policy: Policy, *, selection_hash: bytes = b"", check: Check | None = None
    ) -> None:
        """Draw the noise once and keep the signed release; the log must show the reservation before.

        `selection_hash` names the selection that was obeyed; empty without one.
        """
        stored = self._stored(epoch)
        if stored.state is not ReleaseState.RESERVED:
            return
        self._check_reserved(stored, policy)
        reservation = self._chain.message(stored.reservation_sequence)
        self._on_step(Step.COMPUTING, epoch)
        active = self._roster.active(epoch)
        covered = _covered(reservation.envelope)
        exact = (
            self._committed(epoch, policy) if policy.commitment_required else self._computed(epoch, policy)
        )
        for item in policy.series(self._enterprise_id, epoch):
            noise.cross_check(item.claim.scale, item.claim.reach)
        self._on_step(Step.DRAWING, epoch)
        noised = exact.noised(policy, self._enterprise_id, self._draw)
        statements = noised.statements(policy, self._enterprise_id)
        tables = noised.tables(policy, self._enterprise_id)

        def build(header: Header) -> tuple[Message, Sequence[bytes]]:
            built = releases.build_release(
                header,
                epoch=epoch,
                policy=policy,
                reservation_hash=reservation.envelope_hash,
                roster_root=self._roster.root(epoch),
                active_slots=len(active),
                statements=statements,
                tables=tables,
                covered=covered,
                selection_hash=selection_hash,
            )
            return built.message, built.bodies

        self._on_step(Step.KEEPING, epoch)
        with self._database.transaction():
            if self.state(epoch) is not ReleaseState.RESERVED:
                raise _overtaken(epoch)
            message = self._chain.append(Kind.RELEASE, epoch, build, check=check)
            self._table.drawn(epoch, message.sequence, len(active) * len(statements))
        self._on_step(Step.DRAWN, epoch)

    def _committed(self, epoch: Epoch, policy: Policy) -> Contents:
        """Give the figures that were kept with the commitment, which the log shows."""
        self._commitments.require_seen(epoch, policy)
        return self.exact(epoch, policy)

    def _computed(self, epoch: Epoch, policy: Policy) -> Contents:
        """Compute the figures and keep what anchors and late records will ask for."""
        parts = self._parts(epoch, policy)
        exact = self._exact(epoch, policy, lambda measure: self._late.vector(epoch, measure, parts[measure]))
        for measure, late in parts.items():
            self._kept.keep(epoch, measure.id, exact.people[measure.id])
            self._late.keep(epoch, measure, late)
        return exact

    def exact(self, epoch: Epoch, policy: Policy) -> Contents:
        """Give what a reserved epoch's release says before noise, anchors included: statements as drawn."""
        return self._exact(epoch, policy, lambda measure: self._earlier(epoch, measure.id, policy))

    def _parts(self, epoch: Epoch, policy: Policy) -> dict[Measure, LateParts]:
        """Give what each measure's statement carries of earlier months' days."""
        mine = policy.enterprise(self._enterprise_id)
        return {measure: self._late.parts(epoch, policy, measure) for measure in mine.measures}

    def _exact(self, epoch: Epoch, policy: Policy, statement: Callable[[Measure], Vector]) -> Contents:
        active = self._roster.active(epoch)
        covered = _covered(self._chain.message(self._stored(epoch).reservation_sequence).envelope)
        exact = exact_contents(self._reductions, epoch, policy, self._enterprise_id, active, statement)
        year = Year(covered, lambda one, measure: self._earlier(one, measure, policy), self._roster.active)
        return year.anchors(exact, policy, self._enterprise_id, epoch)

    def settle(self, epoch: Epoch) -> ReleaseState:
        """Take note of what hub and log have acknowledged; give the state reached."""
        stored = self._table.get(epoch)
        if stored is None or stored.release_sequence is None:
            return self.state(epoch)
        message = self._chain.message(stored.release_sequence)
        if stored.state is ReleaseState.DRAWN and message.receipt is not None:
            self._table.advance(epoch, ReleaseState.SUBMITTED)
            self._on_step(Step.SUBMITTED, epoch)
        if self.state(epoch) is ReleaseState.SUBMITTED and message.seen:
            with self._database.transaction():
                self._ledger.commit(stored.nonce)
                self._table.advance(epoch, ReleaseState.COMMITTED)
            self._on_step(Step.COMMITTED, epoch)
        return self.state(epoch)

    def _report_nothing(self, epoch: Epoch, policy: Policy, check: Check | None) -> None:
        """Sign a silence whose reason depends on nobody's behaviour; it costs nothing and needs no draw."""

        def build(header: Header) -> tuple[Message, Sequence[bytes]]:
            return NothingToReport(header=header, epoch=epoch, reason=NOTHING_REASON_EMPTY_ROSTER), ()

        with self._database.transaction():
            message = self._chain.append(Kind.NOTHING_TO_REPORT, epoch, build, check=check)
            self._table.add(
                StoredRelease(
                    epoch,
                    ReleaseState.DRAWN,
                    policy.policy_hash,
                    NO_NONCE,
                    message.sequence,
                    message.sequence,
                    0,
                )
            )

    def _earlier(self, epoch: Epoch, measure_id: str, policy: Policy) -> Vector:
        """Give a measure's vector as released; where it was not kept, as it would be computed now."""
        kept = self._kept.vector(epoch, measure_id)
        if kept is not None:
            return kept
        [measure] = [one for one in policy.enterprise(self._enterprise_id).measures if one.id == measure_id]
        return self._reductions.statement_vector(epoch, measure_spec(measure))

    def _check_reserved(self, stored: StoredRelease, policy: Policy) -> None:
        if policy.policy_hash != stored.policy_hash:
            raise InvariantBroken(
                REASON_INVARIANT_BROKEN,
                "A draw was asked for under another policy than the one reserved for.",
            )
        if not self._chain.message(stored.reservation_sequence).seen:
            raise Refused(
                REASON_RESERVATION_UNKNOWN,
                f"The log does not show the reservation for {format_epoch(Epoch(stored.epoch))} yet.",
                remedy="Submit first; nothing is drawn before the log holds the reservation.",
            )

    def _stored(self, epoch: Epoch) -> StoredRelease:
        stored = self._table.get(epoch)
        if stored is None:
            raise Refused(
                REASON_EPOCH_NOT_READY,
                f"Nothing has been reserved for {format_epoch(epoch)}.",
                remedy=f"Run cgsp-node release {format_epoch(epoch)}.",
            )
        return stored


def _overtaken(epoch: Epoch) -> Unavailable:
    return Unavailable(
        REASON_BUSY,
        f"Another process moved the release of {format_epoch(epoch)} on meanwhile.",
        remedy="Let one process release at a time; repeat the command to go on from where that one is.",
    )


def planned_charges(
    policy: Policy, enterprise_id: str, epoch: Epoch, covered: Covered = NOTHING_COVERED
) -> list[PlannedCharge]:
    """List what every series of the epoch's release costs each epoch it speaks of, in the policy's order."""
    return [
        PlannedCharge(item.name, item.claim.unit, epsilon, (one,))
        for item in policy.series(enterprise_id, epoch)
        for one, epsilon in draw_cost(item, covered.get(item.name, (epoch,))).items()
    ]


def covered_by(reservation: Reservation) -> dict[str, tuple[Epoch, ...]]:
    """Read from our own reservation which epochs its anchors total."""
    return {
        charge.series: tuple(map(Epoch, charge.epochs)) for charge in reservation.charges if charge.epochs
    }


def _covered(reservation: bytes) -> dict[str, tuple[Epoch, ...]]:
    return covered_by(envelope.open_envelope(reservation).parse(Reservation))
