"""Answers to epochs in a simulated log: reservations, releases, silences, missed deadlines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from privacy import policy, releases
from privacy.acceptance import Admission
from privacy.envelope import Kind
from privacy.policy import Policy
from privacy.releases import BuiltRelease
from privacy.standing import HUB_ID, Role
from protos.epochs import Epoch
from protos.v1 import evidence_pb2, release_pb2
from tests.simulator.participants import Participants
from tests.simulator.parties import EPOCH


class Releases(Participants):
    """Answers for enterprises, with made-up values."""

    def reservation(self, enterprise_id: str, epoch: Epoch = EPOCH) -> release_pb2.Reservation:
        """Build a reservation."""
        rules = self.state.policy_for(epoch)
        return releases.build_reservation(
            self.header(Role.ENTERPRISE, enterprise_id),
            epoch=epoch,
            policy=rules,
            covered=self.state.covered(enterprise_id, rules, epoch),
            nonce=self.randomness.randbytes(32),
        )

    def reserve(self, enterprise_id: str, epoch: Epoch = EPOCH) -> bytes:
        """Log a reservation, the selection it stands under before it, and give its hash."""
        if (
            self.state.participants.selects(epoch)
            and self.state.participants.selection(enterprise_id, epoch) is None
        ):
            self.select(enterprise_id, epoch)
        message = self.reservation(enterprise_id, epoch)
        return self.append(self.signed(Kind.RESERVATION, message, enterprise_id)).envelope_hash

    def release_message(
        self,
        enterprise_id: str,
        reservation_hash: bytes,
        epoch: Epoch = EPOCH,
        covered: Mapping[str, tuple[Epoch, ...]] | None = None,
    ) -> BuiltRelease:
        """Build a release of made-up values."""
        rules = self.state.policy_for(epoch)
        standing = self.state.roster(enterprise_id)
        active = standing.active_count(epoch)
        return releases.build_release(
            self.header(Role.ENTERPRISE, enterprise_id),
            epoch=epoch,
            policy=rules,
            reservation_hash=reservation_hash,
            roster_root=standing.root_at(epoch),
            active_slots=active,
            statements=self._statements(rules, enterprise_id, active, epoch),
            tables=self._tables(rules, enterprise_id),
            covered=self.state.covered(enterprise_id, rules, epoch) if covered is None else covered,
            selection_hash=self.selection_hash(enterprise_id, epoch),
        )

    def selection_hash(self, enterprise_id: str, epoch: Epoch) -> bytes:
        """Give the hash of the selection an epoch stands under."""
        selected = self.state.participants.selection(enterprise_id, epoch)
        return selected.envelope_hash if selected is not None else b""

    def release(self, enterprise_id: str, epoch: Epoch = EPOCH) -> Admission:
        """Log a reservation and its release."""
        rules = self.state.policy_for(epoch)
        covered = self.state.covered(enterprise_id, rules, epoch)
        built = self.release_message(enterprise_id, self.reserve(enterprise_id, epoch), epoch, covered)
        return self.append(self.signed(Kind.RELEASE, built.message, enterprise_id), built.bodies)

    def missing_message(
        self, party_id: str, epoch: Epoch = EPOCH, *, role: Role = Role.ENTERPRISE, issued_at: int
    ) -> evidence_pb2.Missing:
        """Build the hub's word that somebody missed a deadline."""
        header = self.header(Role.HUB, HUB_ID, issued_at=issued_at)
        return evidence_pb2.Missing(header=header, epoch=epoch, role=role.value, party_id=party_id)

    def miss(self, party_id: str, epoch: Epoch = EPOCH, **changes: Any) -> Admission:
        """Log that somebody missed a deadline."""
        return self.append(
            self.signed(Kind.MISSING, self.missing_message(party_id, epoch, **changes), HUB_ID)
        )

    def nothing_to_report(
        self, enterprise_id: str, reason: release_pb2.NothingReason.ValueType, epoch: Epoch = EPOCH
    ) -> Admission:
        """Log a signed silence."""
        message = release_pb2.NothingToReport(
            header=self.header(Role.ENTERPRISE, enterprise_id), epoch=epoch, reason=reason
        )
        return self.append(self.signed(Kind.NOTHING_TO_REPORT, message, enterprise_id))

    def _statements(self, rules: Policy, enterprise_id: str, rows: int, epoch: Epoch) -> Mapping[str, bytes]:
        return {
            item.name: releases.to_raw([self.randomness.randint(-2_000, 9_000) for _ in range(rows)])
            for item in policy.series(rules, enterprise_id, epoch)
            if item.by_slot
        }

    def _tables(self, rules: Policy, enterprise_id: str) -> Mapping[str, Sequence[int]]:
        return {
            item.name: [self.randomness.randint(-500, 50_000) for _ in range(item.cells or 0)]
            for item in policy.series(rules, enterprise_id)
            if item.cells is not None
        }
