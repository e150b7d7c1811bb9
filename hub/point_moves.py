"""Points that people move themselves: what waits to be collected, and gifts where a programme allows them.

A ticket for "redeem" names the operation by its SHA-256, without ticket and time: it does exactly that, once,
and sent again under the same key it gives the first answer.
"""

from __future__ import annotations

from collections.abc import Callable

from hub.ledger import Ledger
from hub.redemption import Caller
from hub.state import State
from privacy import codec
from privacy.asked import PURPOSE
from privacy.tickets import invalid, read_ticket, subject_of
from protos.problems import Refused
from protos.v1 import ledger_pb2
from protos.v1.problem_pb2 import REASON_CONTROL_NOT_PROVED


class PointMoves:
    """Collects and gives; the ledger decides."""

    def __init__(self, state: State, ledger: Ledger, *, clock: Callable[[], int]) -> None:
        self._state = state
        self._ledger = ledger
        self._clock = clock

    def collect(self, caller: Caller, key: bytes, programme: str, ticket: bytes) -> int:
        """Take what waits in a programme's claim window; gives the points."""
        operation = ledger_pb2.Operation(key=key)
        operation.collect.programme = programme
        operation.collect.account = self._account(caller, ticket)
        self._check(operation, ticket)
        return self._ledger.submit(operation).outcome.points

    def give(
        self, caller: Caller, key: bytes, programme: str, *, to_account: bytes, points: int, ticket: bytes
    ) -> int:
        """Give points to another account; gives the points."""
        operation = ledger_pb2.Operation(key=key)
        gift = operation.gift
        gift.programme, gift.to_account, gift.points = programme, to_account, points
        gift.from_account = self._account(caller, ticket)
        self._check(operation, ticket)
        gift.ticket = ticket
        return self._ledger.submit(operation).outcome.points

    def _account(self, caller: Caller, data: bytes) -> bytes:
        """Give the account a ticket speaks for; what else it must hold, `_check` asks."""
        ticket = read_ticket(data)
        if not caller.is_portal and ticket.enterprise_id != caller.channel:
            raise invalid("it is another enterprise's")
        account = self._state.log.participants.account(ticket.pseudonym)
        if account is None:
            raise Refused(
                REASON_CONTROL_NOT_PROVED,
                "The person has no account yet.",
                remedy="An account comes with the first close of an epoch the person is enrolled in.",
            )
        return account

    def _check(self, operation: ledger_pb2.Operation, ticket: bytes) -> None:
        subject = subject_of(codec.encode(operation))
        self._state.log.participants.check_ticket(ticket, purpose=PURPOSE, at=self._clock(), subject=subject)
