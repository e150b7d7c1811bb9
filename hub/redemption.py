"""Rewards as people meet them: what is offered, what an order would cost, and how an order stands.

Nothing here decides: the ledger does. Here a ticket becomes an account, an order an operation, and only the
enterprise whose app reserved (or the operator) says that the partner delivered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from accounting.ledger import spending
from accounting.ledger.books import Reservation, ReservationState
from accounting.ledger.chart import points_ledger
from accounting.ledger.decide import decide
from accounting.ledger.queueing import waiting_before
from accounting.programmes.issue_rules import PARTICIPANTS
from accounting.programmes.programme import Programme
from accounting.programmes.rewards import Reward
from engine.log_facts import LogFacts
from hub.charity import plant_due
from hub.ledger import Ledger
from hub.state import State
from hub.store.operations import find_operations
from hub.store.reservations import read_reservations
from hub.vouchers import Vouchers
from privacy import codec
from privacy.asked import PORTAL, PURPOSE
from privacy.tickets import subject_of
from protos.problems import Problem, Refused
from protos.v1 import ledger_pb2, reward_pb2
from protos.v1.problem_pb2 import (
    REASON_CONTROL_NOT_PROVED,
    REASON_PROGRAMME_UNKNOWN,
    REASON_RESERVATION_UNKNOWN,
    REASON_REWARD_UNKNOWN,
    REASON_ROLE_NOT_ALLOWED,
    REASON_TICKET_INVALID,
)

_STATES = {
    ReservationState.RESERVED: "reserved",
    ReservationState.CONFIRMED: "confirmed",
    ReservationState.CANCELLED: "cancelled",
    ReservationState.LAPSED: "lapsed",
    ReservationState.DISPUTED: "disputed",
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: an enterprise's app, the portal a person uses, or the operator.

    An order's key stands in the journal and in statements, so it opens nothing by itself: to the portal an
    order is known only with a ticket of the person whose `account` made it.
    """

    channel: str
    is_operator: bool = False
    account: bytes = b""

    @property
    def is_portal(self) -> bool:
        """Tell whether a person asks without an enterprise's app."""
        return self.channel == PORTAL and not self.is_operator


class Redemptions:
    """Rewards over the ledger; every method may be called by several threads."""

    def __init__(
        self,
        state: State,
        ledger: Ledger,
        readers: Engine,
        vouchers: Vouchers,
        *,
        clock: Callable[[], int],
    ) -> None:
        self._state = state
        self._vouchers = vouchers
        self._ledger = ledger
        self._readers = readers
        self._clock = clock

    def offers(self, programme: str = "") -> Iterator[reward_pb2.Offer]:
        """List the rewards of the programmes in force, or of one; of one that has ended, its payouts."""
        with self._readers.begin() as connection:
            facts = self._ledger.facts(connection)
            names = [programme] if programme else sorted(self._state.programmes)
            for name in names:
                found = facts.in_force(name)
                offered = _offers(found, facts.epoch) if found is not None else _payouts(facts, name)
                if found is None and programme and not offered:
                    raise Refused(REASON_PROGRAMME_UNKNOWN, f"Programme {programme} is not in force.")
                yield from offered

    def quote(self, caller: Caller, order: reward_pb2.RewardOrder, ticket: bytes) -> reward_pb2.QuoteResponse:
        """Say what an order would cost this person and why it would be refused, if it would."""
        operation = self._operation(caller, order, ticket)
        with self._readers.begin() as connection:
            books = self._ledger.books(connection)
            ledger, account = points_ledger(order.programme), operation.reserve.account
            spendable = spending.spendable(
                books.wallet(ledger, account), books.variance(ledger, account), books.reserve_z
            )
            answer = reward_pb2.QuoteResponse(spendable_points=max(spendable, 0))
            try:
                outcome = decide(books, operation).outcome
            except Problem as problem:
                answer.refused_reason, answer.refused_message = problem.reason, problem.message
            else:
                answer.points, answer.claim_milligrams = outcome.points, outcome.milligrams
                answer.payout_fen = outcome.fen if self._is_payout(order) else 0
        return answer

    def reserve(self, caller: Caller, order: reward_pb2.RewardOrder, ticket: bytes) -> reward_pb2.Redemption:
        """Reserve an order; a ticket is for one order, whose key gives its first answer again."""
        operation = self._operation(caller, order, ticket)
        if not self._has_codes(order):
            self._ledger.submit(operation)
        else:
            self._reserve_with_codes(order, operation)
        # The order and its ticket stand in the journal as well: sent again they show no codes.
        return self._answer(order.key, shows_codes=not caller.is_portal)

    def confirm(self, caller: Caller, key: bytes, order_key: bytes) -> reward_pb2.Redemption:
        """Record that the partner delivered."""
        if caller.is_portal:
            raise Refused(REASON_ROLE_NOT_ALLOWED, "A delivery is confirmed by who arranged it.")
        made = self.own(caller, order_key)
        operation = ledger_pb2.Operation(key=key)
        operation.confirm.reserve_key = order_key
        self._ledger.submit(operation)
        self._plant(made)
        return self._answer(order_key)

    def cancel(self, caller: Caller, key: bytes, order_key: bytes) -> reward_pb2.Redemption:
        """Call an order off."""
        self.own(caller, order_key)
        operation = ledger_pb2.Operation(key=key)
        operation.cancel.reserve_key = order_key
        self._ledger.submit(operation)
        return self._answer(order_key)

    def find(self, caller: Caller, order_key: bytes) -> reward_pb2.Redemption:
        """Say how an order stands."""
        with self._readers.begin() as connection:
            return self._told(connection, self._own(connection, caller, order_key))

    def check_gives_codes(self, programme: str, reward: str) -> None:
        """Refuse codes for what no version of a programme gives as codes; raises REWARD_UNKNOWN."""
        with self._readers.begin() as connection:
            spans = self._ledger.facts(connection).spans(programme)
        offered = (one.programme.rewards.get(reward) for one in spans)
        if not any(one is not None and one.voucher_codes for one in offered):
            raise Refused(
                REASON_REWARD_UNKNOWN,
                f"{programme} gives no voucher codes as {reward}.",
                remedy="Name a published programme and a reward of it with voucher_codes = true.",
            )

    def _has_codes(self, order: reward_pb2.RewardOrder) -> bool:
        """Say whether the reward ordered is given as voucher codes."""
        reward = self._reward(order)
        return reward is not None and reward.voucher_codes

    def _is_payout(self, order: reward_pb2.RewardOrder) -> bool:
        reward = self._reward(order)
        return reward is not None and reward.payout is not None

    def _reward(self, order: reward_pb2.RewardOrder) -> Reward | None:
        programme = self._ledger.logged().programme(order.programme, order.programme_version)
        return None if programme is None else programme.rewards.get(order.reward)

    def _reserve_with_codes(self, order: reward_pb2.RewardOrder, operation: ledger_pb2.Operation) -> None:
        """Keep the codes first, so that nobody pays for one there is not; a refusal gives them back."""
        self._vouchers.hold(order.programme, order.reward, order.key, order.quantity)
        try:
            self._ledger.submit(operation)
        except Problem:
            self._vouchers.release(order.key)
            raise

    def _plant(self, made: Reservation) -> None:
        """Plant what the pool of a confirmed charity reward is full for."""
        programme = self._ledger.logged().programme(made.programme, made.version)
        if programme is None or programme.rewards[made.reward].tree is None:
            return
        with self._readers.begin() as connection:
            books = self._ledger.books(connection)
            plant_due(self._ledger, books, programme, made.reward)

    def _operation(self, caller: Caller, order: reward_pb2.RewardOrder, data: bytes) -> ledger_pb2.Operation:
        """Make the operation of an order that its ticket names, for the account behind the ticket."""
        participants = self._state.log.participants
        ticket = participants.check_ticket(
            data, purpose=PURPOSE, at=self._clock(), subject=subject_of(codec.encode(order))
        )
        if not caller.is_portal and ticket.enterprise_id != caller.channel:
            raise Refused(REASON_TICKET_INVALID, "The ticket is another enterprise's.")
        account = participants.account(ticket.pseudonym)
        if account is None:
            raise Refused(
                REASON_CONTROL_NOT_PROVED,
                "The person has no account yet.",
                remedy="Prove control of one first: that opens it before any close does.",
            )
        operation = ledger_pb2.Operation(key=order.key, at=self._clock())
        reserve = operation.reserve
        reserve.programme, reserve.programme_version = order.programme, order.programme_version
        reserve.reward, reserve.quantity = order.reward, order.quantity
        reserve.account, reserve.channel, reserve.ticket = account, caller.channel, data
        return operation

    def own(self, caller: Caller, order_key: bytes) -> Reservation:
        """Find an order that the caller may know of; every other is unknown to it."""
        with self._readers.begin() as connection:
            return self._own(connection, caller, order_key)

    def _own(self, connection: Connection, caller: Caller, order_key: bytes) -> Reservation:
        made = read_reservations(connection, [order_key]).get(order_key)
        if made is None or not (caller.is_operator or self._is_theirs(connection, caller, made)):
            raise Refused(
                REASON_RESERVATION_UNKNOWN,
                "No reservation of yours has that key.",
                remedy="Ask as the enterprise that reserved, or with a ticket of the person who ordered.",
            )
        return made

    def _is_theirs(self, connection: Connection, caller: Caller, made: Reservation) -> bool:
        if caller.channel != _channel(connection, made):
            return False
        return not caller.is_portal or self._state.log.participants.current(made.account) == caller.account

    def _answer(self, order_key: bytes, *, shows_codes: bool = True) -> reward_pb2.Redemption:
        """Say how an order stands that its caller has just moved."""
        with self._readers.begin() as connection:
            made = read_reservations(connection, [order_key])[order_key]
            return self._told(connection, made, shows_codes=shows_codes)

    def _told(
        self, connection: Connection, made: Reservation, *, shows_codes: bool = True
    ) -> reward_pb2.Redemption:
        has_codes = shows_codes and made.state is ReservationState.CONFIRMED
        codes = self._vouchers.shown(connection, made) if has_codes else []
        before = waiting_before(self._ledger.books(connection), made) if made.is_waiting else 0
        return reward_pb2.Redemption(
            voucher_codes=codes,
            order_key=made.key,
            state=_STATES[made.state],
            programme=made.programme,
            programme_version=made.version,
            reward=made.reward,
            quantity=made.quantity,
            points=made.points,
            claim_milligrams=made.milligrams,
            funded=bool(made.fund) or not made.fen,
            expires_at=made.expires_at,
            payout_fen=made.fen if made.fund == PARTICIPANTS else 0,
            waiting_before=before,
        )


def _channel(connection: Connection, made: Reservation) -> str:
    stored = find_operations(connection, [made.key])[made.key]
    return ledger_pb2.Operation.FromString(stored.data).reserve.channel


def _offers(programme: Programme, epoch: int) -> list[reward_pb2.Offer]:
    return [
        _offer(programme, name, reward)
        for name, reward in programme.rewards.items()
        if (reward.since or epoch) <= epoch <= (reward.until or epoch)
    ]


def _payouts(facts: LogFacts, name: str) -> list[reward_pb2.Offer]:
    """Offer what the last version of an ended programme pays out."""
    last = facts.last_version(name)
    offers = [] if last is None else _offers(last, facts.epoch)
    return [one for one in offers if one.payout_fen_min]


def _offer(programme: Programme, name: str, reward: Reward) -> reward_pb2.Offer:
    return reward_pb2.Offer(
        programme=programme.id,
        programme_version=programme.version,
        reward=name,
        kind=reward.kind.value,
        name_en=reward.names.en,
        name_zh=reward.names.zh,
        cost_points=reward.cost_points,
        unit_en=programme.unit.names.en,
        unit_zh=programme.unit.names.zh,
        partner=reward.partner or "",
        claim=reward.claim.value,
        claim_grams=reward.claim_grams,
        quantity_max=reward.quantity_max,
        timeout_seconds=reward.timeout_seconds,
        payout_fen_min=0 if reward.payout is None else reward.payout.fen_min,
    )
