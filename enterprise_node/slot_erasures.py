"""Erased persons' slots: once withdrawn, an order has hub and node erase salt and pseudonym.

The order waits in the outbox like every message; what the node keeps of the slots is gone in the step that
signs it. The public slots stay, and so do the grams that were released to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from privacy.envelope import Kind
from privacy.erasures import SLOTS_MAX
from protos.v1 import evidence_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message

    from enterprise_node.chain import Check, OwnChain
    from enterprise_node.store.database import Database
    from enterprise_node.store.enrolment import EnrolmentTable
    from enterprise_node.store.outbox import OutboxTable
    from protos.v1.envelope_pb2 import Header

NO_EPOCH = 0


class SlotErasures:
    """Orders what is due and forgets it here."""

    def __init__(
        self,
        database: Database,
        slots: EnrolmentTable,
        messages: OutboxTable,
        chain: OwnChain,
        enterprise_id: str,
    ) -> None:
        self._database = database
        self._slots = slots
        self._messages = messages
        self._chain = chain
        self._enterprise_id = enterprise_id

    def order(self, *, check: Check | None = None) -> int:
        """Order the erasure of every withdrawn slot of an erased person; gives how many slots.

        Everything before must have its receipt: a batch still to be sent is sent as it was signed.
        """
        due = self._slots.erasable() if not self._messages.unsent() else []
        for start in range(0, len(due), SLOTS_MAX):
            self._order(due[start : start + SLOTS_MAX], check)
        return len(due)

    def forget(self, slots: Sequence[int]) -> None:
        """Forget salts and pseudonyms of slots, in bodies kept too; joins the caller's transaction."""
        self._database.execute("PRAGMA secure_delete = ON")
        self._slots.forget(slots)
        for message in self._messages.of_kind(Kind.ROSTER_BATCH.value):
            self._chain.erase_slots(message.sequence, slots)

    def _order(self, slots: Sequence[int], check: Check | None) -> None:
        def build(header: Header) -> tuple[Message, Sequence[bytes]]:
            return evidence_pb2.ErasureOrder(
                header=header, enterprise_id=self._enterprise_id, slots=slots
            ), ()

        with self._database.transaction():
            self._chain.append(Kind.ERASURE_ORDER, NO_EPOCH, build, check=check)
            self.forget(slots)
