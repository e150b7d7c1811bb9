"""Accounts for persons who act before any release has brought them one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from hub.intake import Intake, Own
from hub.state import State
from privacy.chunks import HALF_BYTES
from privacy.envelope import Kind
from privacy.links import build_links
from protos.epochs import Epoch, next_epoch
from protos.problems import Conflict, Refused
from protos.v1 import envelope_pb2
from protos.v1.problem_pb2 import REASON_TRUST_ROOT_INVALID


class FirstLinks:
    """Links pseudonyms to accounts in the writer's turn."""

    def __init__(
        self, state: State, intake: Intake, *, clock: Callable[[], int], random: Callable[[int], bytes]
    ) -> None:
        self._state = state
        self._intake = intake
        self._clock = clock
        self._random = random

    def link(self, connection: Connection, tickets: Sequence[bytes], purpose: str) -> None:
        """Give accounts to those whose pseudonyms no release has brought one yet, a job of its own."""
        participants = self._state.log.participants
        try:
            taken = participants.tickets(tickets, purpose=purpose, at=self._clock())
        except Conflict:
            return
        fresh = sorted({one.pseudonym for one in taken if participants.account(one.pseudonym) is None})
        if not fresh:
            return
        drawn = self._random(2 * HALF_BYTES * len(fresh))
        halves = [drawn[at : at + HALF_BYTES] for at in range(0, len(drawn), HALF_BYTES)]

        def build(header: envelope_pb2.Header) -> Own:
            inherited = self._state.inherited(fresh)
            built = build_links(
                header,
                effective=self.open_epoch(),
                salts=b"".join(halves[1::2]),
                pseudonyms=b"".join(fresh),
                accounts=b"".join(
                    inherited.get(one, drawn_id) for one, drawn_id in zip(fresh, halves[::2], strict=True)
                ),
            )
            return Own(Kind.LINK_BATCH, built.message, built.bodies)

        self._intake.append_own(connection, build)

    def open_epoch(self) -> Epoch:
        """Give the first epoch whose books are open; raises Refused before any policy."""
        last = self._state.last_closed
        if last is not None:
            return next_epoch(last)
        policies = self._state.log.policies
        if not policies:
            raise Refused(REASON_TRUST_ROOT_INVALID, "The log has no policy yet.")
        return min(one.first_epoch for one in policies)
