"""Commitments and beacons of a simulated log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from privacy import beacon, checkpoint
from privacy.acceptance import Admission
from privacy.envelope import Kind
from privacy.standing import HUB_ID, Role
from protos.epochs import Epoch
from protos.v1 import commitment_pb2
from tests.simulator.parties import EPOCH, ORIGIN, beacon_dealing
from tests.simulator.writing import Writer


class Beacons(Writer):
    """Commits to made-up leaves and draws beacons."""

    def commitment(
        self, enterprise_id: str, epoch: Epoch = EPOCH, *, value: bytes = b"", **header: Any
    ) -> commitment_pb2.Commitment:
        """Build a commitment, to made-up bytes unless some are given."""
        return commitment_pb2.Commitment(
            header=self.header(Role.ENTERPRISE, enterprise_id, **header),
            epoch=epoch,
            policy_hash=self.state.policy_for(epoch).policy_hash,
            commitment=value or self.randomness.randbytes(32),
        )

    def commit(self, enterprise_id: str, epoch: Epoch = EPOCH, **header: Any) -> Admission:
        """Log a commitment."""
        message = self.commitment(enterprise_id, epoch, **header)
        return self.append(self.signed(Kind.COMMITMENT, message, enterprise_id))

    def beacon_message(
        self, epoch: Epoch = EPOCH, note: bytes | None = None, indices: Sequence[int] = (1, 2)
    ) -> commitment_pb2.Beacon:
        """Build an epoch's beacon over a checkpoint, by default the present one."""
        dealt = beacon_dealing()
        checked = note or self.checkpoint()
        text = checkpoint.parse_note(checked).text
        message = commitment_pb2.Beacon(
            header=self.header(Role.HUB, HUB_ID),
            epoch=epoch,
            key_id=beacon.key_id(dealt.commitments[0]),
            checkpoint=checked,
        )
        for index in indices:
            part = beacon.evaluate(
                dealt.shares[index - 1],
                beacon.beacon_input(ORIGIN, epoch, text),
                self.randomness.randbytes,
            )
            message.parts.add(index=part.index, evaluated=part.evaluated, proof=part.proof)
        return message

    def draw_beacon(self, epoch: Epoch = EPOCH) -> Admission:
        """Log an epoch's beacon."""
        return self.append(self.signed(Kind.BEACON, self.beacon_message(epoch), HUB_ID))
