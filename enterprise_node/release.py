"""The release of an epoch: reserve the charge, log the reservation, draw, keep the bytes, submit, commit.

    open → reserved → drawn → submitted → committed

Each step is one durable transaction and asks the stored state what is left to do, so that it can be repeated
after a crash at any moment. A draw and its signed bytes come to be in the same transaction: what was not kept
never left, what was kept is never drawn again. A reservation that was never used stays charged.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from enterprise_node.budget import PlannedCharge
from enterprise_node.contents import Draw, exact_contents
from enterprise_node.store.releases import ReleaseState, StoredRelease
from enterprise_node.terms import check_policy
from privacy import noise, releases
from privacy.charges import UNITS, allowance
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
from protos.v1.release_pb2 import NOTHING_REASON_EMPTY_ROSTER, NothingToReport

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from enterprise_node.budget import BudgetLedger
    from enterprise_node.chain import Check, OwnChain
    from enterprise_node.configuration import Ceilings
    from enterprise_node.reductions import Reductions
    from enterprise_node.roster import Roster
    from enterprise_node.store.database import Database
    from enterprise_node.store.releases import ReleaseTable
    from privacy.policy import Policy
    from protos.v1.envelope_pb2 import Header

logger = logging.getLogger(__name__)

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
        *,
        enterprise_id: str,
        ceilings: Ceilings,
        draw: Draw = noise.discrete_laplace,
        on_step: OnStep = no_step,
    ) -> None:
        self._database = database
        self._table = table
        self._ledger = ledger
        self._chain = chain
        self._roster = roster
        self._reductions = reductions
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

    def reserve(self, epoch: Epoch, policy: Policy, *, check: Check | None = None) -> None:
        """Charge the epoch and sign the reservation that says so; an empty roster reports nothing instead."""
        if self.state(epoch) is not ReleaseState.OPEN:
            return
        if not self._roster.active(epoch):
            self._report_nothing(epoch, policy, check)
            return
        check_policy(policy, policy.enterprise(self._enterprise_id), self._reductions, self._ceilings)
        nonce = secrets.token_bytes(NONCE_BYTES)

        def build(header: Header) -> tuple[Message, Sequence[bytes]]:
            return releases.build_reservation(header, epoch=epoch, policy=policy, nonce=nonce), ()

        self._on_step(Step.RESERVING, epoch)
        with self._database.transaction():
            if self.state(epoch) is not ReleaseState.OPEN:
                raise _overtaken(epoch)
            self._ledger.reserve(
                epoch,
                planned_charges(policy, self._enterprise_id),
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

    def draw(self, epoch: Epoch, policy: Policy, *, check: Check | None = None) -> None:
        """Draw the noise once and keep the signed release; the log must show the reservation before."""
        stored = self._stored(epoch)
        if stored.state is not ReleaseState.RESERVED:
            return
        self._check_reserved(stored, policy)
        reservation = self._chain.message(stored.reservation_sequence)
        self._on_step(Step.COMPUTING, epoch)
        active = self._roster.active(epoch)
        exact = exact_contents(self._reductions, epoch, policy, self._enterprise_id, active)
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
            )
            return built.message, built.bodies

        self._on_step(Step.KEEPING, epoch)
        with self._database.transaction():
            if self.state(epoch) is not ReleaseState.RESERVED:
                raise _overtaken(epoch)
            message = self._chain.append(Kind.RELEASE, epoch, build, check=check)
            self._table.drawn(epoch, message.sequence, len(active) * len(statements))
        self._on_step(Step.DRAWN, epoch)

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


def planned_charges(policy: Policy, enterprise_id: str) -> list[PlannedCharge]:
    """List what every series of the enterprise costs, in the policy's order."""
    return [
        PlannedCharge(item.name, item.claim.unit, item.claim.epsilon) for item in policy.series(enterprise_id)
    ]
