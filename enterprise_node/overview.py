"""What the node can say of its outward half without a network: enrolled persons, epochs, charges, egress."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from enterprise_node.store.charges import ChargeTable
from enterprise_node.store.egress import EgressTable
from enterprise_node.store.enrolment import EnrolmentTable
from enterprise_node.store.outbox import OutboxTable
from enterprise_node.store.releases import ReleaseState, ReleaseTable
from protos.epochs import Epoch, format_epoch
from protos.v1.release_pb2 import PRIVACY_UNIT_PERSON_DAY, PRIVACY_UNIT_PERSON_MONTH, PrivacyUnit

if TYPE_CHECKING:
    from enterprise_node.store.database import Database


@dataclass(frozen=True, slots=True)
class EpochOverview:
    """How far an epoch's release is, its statement rows, and what it charges a unit."""

    epoch: Epoch
    state: ReleaseState
    statements: int
    person_day_epsilon: Fraction
    person_month_epsilon: Fraction

    def to_json(self) -> dict[str, Any]:
        """Give the figures with fractions as text."""
        return {
            "epoch": format_epoch(self.epoch),
            "state": self.state.value,
            "statements": self.statements,
            "epsilon": {
                "person_day": str(self.person_day_epsilon),
                "person_month": str(self.person_month_epsilon),
            },
        }


@dataclass(frozen=True, slots=True)
class Overview:
    """The outward half's figures."""

    enrolled: int
    messages: int
    messages_waiting: int
    egress_bytes: int
    epochs: tuple[EpochOverview, ...]

    @property
    def statements(self) -> int:
        """Count the statement rows of all epochs."""
        return sum(one.statements for one in self.epochs)

    def to_json(self) -> dict[str, Any]:
        """Give the figures for a command's JSON; epsilon is the whole charged per unit, largest epoch."""
        return {
            "enrolled": self.enrolled,
            "statements": self.statements,
            "epsilon": {
                "person_day": str(max((one.person_day_epsilon for one in self.epochs), default=Fraction())),
                "person_month": str(
                    max((one.person_month_epsilon for one in self.epochs), default=Fraction())
                ),
            },
            "epochs": [one.to_json() for one in self.epochs],
            "messages": self.messages,
            "messages_waiting": self.messages_waiting,
            "egress_bytes": self.egress_bytes,
        }


def overview(database: Database) -> Overview:
    """Read the figures from the node's state (opened with store.outward's schemas)."""
    charges, outbox = ChargeTable(database), OutboxTable(database)
    return Overview(
        enrolled=EnrolmentTable(database).enrolled_count(),
        messages=outbox.count(),
        messages_waiting=len(outbox.unsent()),
        egress_bytes=EgressTable(database).bytes_total(),
        epochs=tuple(
            EpochOverview(
                epoch=Epoch(release.epoch),
                state=release.state,
                statements=release.rows,
                person_day_epsilon=_spent(charges, release.epoch, PRIVACY_UNIT_PERSON_DAY),
                person_month_epsilon=_spent(charges, release.epoch, PRIVACY_UNIT_PERSON_MONTH),
            )
            for release in ReleaseTable(database).all()
        ),
    )


def _spent(charges: ChargeTable, epoch: int, unit: PrivacyUnit.ValueType) -> Fraction:
    return sum((charge.epsilon for charge in charges.of_epoch(epoch) if charge.unit == unit), Fraction())
