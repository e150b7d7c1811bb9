"""Source selection at the node: what others record of its persons is left out of everything it releases.

The hub logs a selection before this enterprise's reservation of the epoch; its body, which the hub gives to
nobody else but auditors, names slots. The release then names the selection it obeyed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from privacy.selections import check_body
from protos.epochs import Epoch, format_epoch
from protos.problems import Unavailable
from protos.v1.problem_pb2 import REASON_BODIES_MISSING

if TYPE_CHECKING:
    from enterprise_node.following import Following
    from enterprise_node.outbox import HubReads
    from enterprise_node.roster import Roster
    from enterprise_node.store.selections import SelectionTable
    from privacy.standing import Selected

logger = logging.getLogger(__name__)

NO_SELECTION = b""


class Selections:
    """Brings each epoch's selection here before anything of it is drawn."""

    def __init__(
        self,
        table: SelectionTable,
        following: Following,
        roster: Roster,
        reads: HubReads,
        *,
        enterprise_id: str,
    ) -> None:
        self._table = table
        self._following = following
        self._roster = roster
        self._reads = reads
        self._enterprise_id = enterprise_id

    def obtain(self, epoch: Epoch) -> bytes:
        """Store what the log selects for an epoch that is reserved, and for all before; give its hash.

        It is empty where nothing is selected.
        """
        participants, found = self._following.state.participants, NO_SELECTION
        for one in participants.selected_epochs(self._enterprise_id):
            selected = participants.selection(self._enterprise_id, one)
            if selected is not None and self._table.hash(one) != selected.envelope_hash:
                self._take(one, selected)
            if selected is not None and one == epoch:
                found = selected.envelope_hash
        return found

    def _take(self, epoch: Epoch, selected: Selected) -> None:
        bodies = self._reads.bodies(selected.index)
        if not bodies:
            raise Unavailable(
                REASON_BODIES_MISSING,
                f"The hub does not give the selection of {format_epoch(epoch)}, which names this enterprise.",
                remedy="Ask the hub's operator; nothing is drawn without it.",
            )
        selection = check_body(selected.message, bodies)
        persons = {one.slot: one.person for one in self._roster.active(epoch)}
        exclusions = [
            (persons[slot], overlap_class)
            for overlap_class, slots in selection.exclusions.items()
            for slot in slots
            if slot in persons
        ]
        pooled = [persons[slot] for slot in selection.pooled_slots if slot in persons]
        self._table.put(epoch, selected.envelope_hash, exclusions, pooled)
        logger.info("selection taken", extra={"epoch": format_epoch(epoch), "excluded": len(exclusions)})
