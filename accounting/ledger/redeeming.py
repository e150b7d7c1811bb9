"""Redeeming, all five kinds alike: what a reward costs is kept for it, then given, or it goes back.

Trading has two rewards: one gives claims to the pool, the other pays out what sales owe for them (`stakes`).
The money of a payout is kept, given and returned as a fund's is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from accounting.ledger import chart, queueing, stakes
from accounting.ledger.accounts import check_debit, check_key, returned, spendable
from accounting.ledger.books import (
    Books,
    Decision,
    Outcome,
    Reservation,
    ReservationState,
)
from accounting.ledger.chart import CLAIMS, LedgerAccount, points_ledger
from accounting.ledger.funds import can_pay, counted_spent
from accounting.ledger.limits import check_limits, counted
from accounting.ledger.queueing import Served, rules_of
from accounting.ledger.transfers import Code, Transfer, moved
from accounting.programmes.issue_rules import PARTICIPANTS
from accounting.programmes.programme import Programme
from accounting.programmes.rewards import Claim, Payout, Reward, RewardKind
from protos.problems import Refused
from protos.v1 import ledger_pb2
from protos.v1.problem_pb2 import (
    REASON_FUND_EXHAUSTED,
    REASON_NOT_ELIGIBLE,
    REASON_NOT_ENOUGH_POINTS,
    REASON_NOTHING_DUE,
    REASON_PROGRAMME_UNKNOWN,
    REASON_RESERVATION_ENDED,
    REASON_RESERVATION_UNKNOWN,
    REASON_REWARD_UNKNOWN,
)

MG_PER_GRAM = 1_000
_ENDED = {
    ReservationState.CONFIRMED: "was confirmed",
    ReservationState.CANCELLED: "was called off",
    ReservationState.LAPSED: "has lapsed",
    ReservationState.DISPUTED: "was confirmed and disputed",
}


def reserve(books: Books, operation: ledger_pb2.Operation) -> Decision:
    """Keep what a reward costs until it is confirmed, called off, or lapses."""
    asked = operation.reserve
    account = check_key(asked.account, "account")
    programme, reward = _offered(books, asked)
    check_debit(books, account)
    check_limits(books, programme, asked, reward)
    if not books.is_eligible(programme, asked.reward, account):
        raise Refused(REASON_NOT_ELIGIBLE, f"The account does not meet the condition of {asked.reward}.")
    quantity = asked.quantity
    points, milligrams = reward.cost_points * quantity, reward.claim_grams * MG_PER_GRAM * quantity
    ledger = points_ledger(programme.id)
    _check_enough(spendable(books, ledger, account), points, "points")
    _check_enough(books.wallet(CLAIMS, account).available, milligrams, "mg of its claim")
    # Last, since a signature costs most.
    books.check_asked(operation)
    fen, fund = _price(books, programme, reward, account, quantity)
    made = Reservation(
        key=operation.key,
        programme=programme.id,
        version=programme.version,
        reward=asked.reward,
        account=account,
        quantity=quantity,
        points=points,
        fund=fund,
        fen=fen,
        milligrams=milligrams,
        epoch=books.epoch,
        expires_at=operation.at + reward.timeout_seconds,
    )
    transfers = [
        *moved(points, chart.available(ledger, account), chart.pending(ledger, account), Code.RESERVE),
        *moved(milligrams, chart.held(account), chart.pending(CLAIMS, account), Code.RESERVE),
        *_set_aside(made, Code.RESERVE),
    ]
    outcome = Outcome(points, fen, milligrams, made.expires_at)
    counts = {**_counts(made, reward, 1), **queueing.joined(books, reward, programme, made)}
    return Decision(outcome, tuple(transfers), made, counts)


def confirm(books: Books, operation: ledger_pb2.Operation) -> Decision:
    """Give what was kept where it belongs: the partner delivered."""
    made = _open_reservation(books, operation.confirm.reserve_key)
    if operation.at >= made.expires_at:
        raise Refused(REASON_RESERVATION_ENDED, "The reservation's time is over.")
    _, reward = rules_of(books, made)
    served = queueing.serve(books, made.programme, operation.at) if made.is_waiting else Served()
    funded = {one.key: one for one in served.orders}
    if made.is_waiting and made.key not in funded:
        raise Refused(REASON_FUND_EXHAUSTED, "No fund of the reward can pay yet.")
    done = replace(funded.pop(made.key, made), account=made.account, state=ReservationState.CONFIRMED)
    points = points_ledger(made.programme)
    redeemed = chart.redeemed(made.programme, reward.kind.value, made.reward)
    transfers = [
        *served.transfers,
        *moved(made.points, chart.pending(points, made.account), redeemed, Code.CONFIRM),
        *moved(made.milligrams, chart.pending(CLAIMS, made.account), _taker(made, reward), Code.CONFIRM),
        *moved(made.fen, _refundable(made), chart.payable(reward.partner or ""), Code.CONFIRM),
    ]
    return Decision(
        Outcome(made.points, made.fen, made.milligrams),
        tuple(transfers),
        done,
        served.counted_with({**_passed(books, made, reward), **_staked(books, made, reward)}),
        funded=tuple(funded.values()),
    )


def cancel(books: Books, operation: ledger_pb2.Operation) -> Decision:
    """Give back what was kept: the person or the partner called it off."""
    made = _open_reservation(books, operation.cancel.reserve_key)
    return _given_back(books, made, ReservationState.CANCELLED, operation.at)


def lapse(books: Books, operation: ledger_pb2.Operation) -> Decision:
    """Give back what was kept: nobody confirmed in time."""
    made = _open_reservation(books, operation.lapse.reserve_key)
    if operation.at < made.expires_at:
        raise Refused(REASON_RESERVATION_ENDED, "The reservation's time is not over yet.")
    return _given_back(books, made, ReservationState.LAPSED, operation.at)


def dispute(books: Books, operation: ledger_pb2.Operation) -> Decision:
    """Give back what a partner had for what it did not make good; claims come back from sponsors only."""
    made = books.reservation(check_key(operation.dispute.reserve_key, "reservation"))
    if made is None:
        raise _unknown()
    if made.state is not ReservationState.CONFIRMED:
        raise Refused(REASON_RESERVATION_ENDED, "Only a confirmed delivery is disputed, and once.")
    made = replace(made, account=books.holder(made.account))
    _, reward = rules_of(books, made)
    points = points_ledger(made.programme)
    redeemed = chart.redeemed(made.programme, reward.kind.value, made.reward)
    transfers = [
        *returned(books, points, made.account, made.points, redeemed, Code.DISPUTE),
        *moved(
            made.fen,
            chart.payable(reward.partner or ""),
            chart.fund(made.programme, made.fund),
            Code.DISPUTE,
        ),
    ]
    milligrams = made.milligrams if reward.claim is Claim.TO_SPONSOR else 0
    transfers += returned(
        books, CLAIMS, made.account, milligrams, chart.sponsor(reward.sponsor or ""), Code.DISPUTE
    )
    outcome = Outcome(made.points, made.fen, milligrams)
    done, counts = replace(made, state=ReservationState.DISPUTED), _counts(made, reward, -1)
    served = _serve_returned(books, made, counts, operation.at)
    return Decision(
        outcome,
        (*transfers, *served.transfers),
        done,
        served.counted_with(counts),
        funded=served.orders,
    )


def passed(programme: str) -> str:
    """Name the counter of milligrams whose title passed from those who let a programme pool their grams.

    What comes back in a dispute stays counted: it is issued by nobody.
    """
    return f"passed:{programme}"


def _passed(books: Books, made: Reservation, reward: Reward) -> dict[str, int]:
    if not made.milligrams or reward.claim is Claim.TO_POOL:
        return {}
    return {passed(programme): made.milligrams for programme in books.pools(made.account)}


def _staked(books: Books, made: Reservation, reward: Reward) -> Mapping[str, int]:
    """Count what trading gave to the pool: what was rewarded otherwise is paid for already."""
    if reward.kind is not RewardKind.TRADING or reward.claim is not Claim.TO_POOL:
        return {}
    return stakes.gave(books, made.programme, made.account, made.milligrams)


def _due(books: Books, programme: Programme, payout: Payout, account: bytes) -> int:
    """Give all that sales owe an account; raises Refused where it is less than is paid out."""
    fen = stakes.stake_of(books, programme.id, account).due_fen
    if fen < payout.fen_min:
        raise Refused(
            REASON_NOTHING_DUE,
            f"Sales owe {fen} fen for what the account gave; the least paid out is {payout.fen_min}.",
            remedy="Wait until more units of the pool's batches are sold.",
        )
    return fen


def _serve_returned(books: Books, made: Reservation, counts: Mapping[str, int], at: int) -> Served:
    """Serve who waits with what comes back of an order."""
    gained = {made.fund: made.fen} if made.fund else {}
    return queueing.serve(books, made.programme, at, gained=gained, counts=counts, leaving=made.key)


def _given_back(books: Books, made: Reservation, state: ReservationState, at: int) -> Decision:
    rules, reward = rules_of(books, made)
    points = points_ledger(made.programme)
    transfers = [
        *returned(books, points, made.account, made.points, chart.pending(points, made.account), Code.RETURN),
        *returned(
            books, CLAIMS, made.account, made.milligrams, chart.pending(CLAIMS, made.account), Code.RETURN
        ),
    ]
    if made.fund:
        transfers += moved(made.fen, _refundable(made), chart.fund(made.programme, made.fund), Code.RETURN)
    counts = {**_counts(made, reward, -1), **queueing.left(rules, reward, made)}
    served = _serve_returned(books, made, counts, at)
    return Decision(
        Outcome(made.points, made.fen, made.milligrams),
        (*transfers, *served.transfers),
        replace(made, state=state),
        served.counted_with(counts),
        funded=served.orders,
    )


def _offered(books: Books, asked: ledger_pb2.Reserve) -> tuple[Programme, Reward]:
    programme = books.in_force(asked.programme) or _last(books, asked)
    if programme is None or programme.version != asked.programme_version:
        raise Refused(
            REASON_PROGRAMME_UNKNOWN,
            f"Version {asked.programme_version} of programme {asked.programme} is not in force.",
            remedy="Read the programme again, and ask under the version in force.",
        )
    reward = programme.rewards.get(asked.reward)
    epoch = books.epoch
    if reward is None or not (reward.since or epoch) <= epoch <= (reward.until or epoch):
        raise Refused(REASON_REWARD_UNKNOWN, f"{asked.programme} does not offer {asked.reward} now.")
    return programme, reward


def _last(books: Books, asked: ledger_pb2.Reserve) -> Programme | None:
    """Give the last version of a programme that has ended: what sales owe is still paid out under it."""
    found = books.programme(asked.programme, asked.programme_version)
    if found is None or books.programme(found.id, found.version + 1) is not None:
        return None
    reward = found.rewards.get(asked.reward)
    return found if reward is not None and reward.payout is not None else None


def _open_reservation(books: Books, key: bytes) -> Reservation:
    made = books.reservation(check_key(key, "reservation"))
    if made is None:
        raise _unknown()
    if made.state is not ReservationState.RESERVED:
        raise Refused(REASON_RESERVATION_ENDED, f"The reservation {_ENDED[made.state]}.")
    return replace(made, account=books.holder(made.account))


def _check_enough(there: int, needed: int, what: str) -> None:
    if needed > there:
        raise Refused(
            REASON_NOT_ENOUGH_POINTS,
            f"The reward needs {needed} {what}; {there} may be spent.",
            remedy="Wait for the next epoch's close.",
        )


def _price(
    books: Books, programme: Programme, reward: Reward, account: bytes, quantity: int
) -> tuple[int, str]:
    """Say what an order needs of money, and which fund pays it."""
    if reward.payout is not None:
        return _due(books, programme, reward.payout, account), PARTICIPANTS
    fen = reward.unit_cost_fen * quantity
    return fen, _fund(books, programme, reward, fen)


def _fund(books: Books, programme: Programme, reward: Reward, fen: int) -> str:
    """Choose the first fund that can pay and nobody waits for; none yet where one lets orders wait."""
    if not fen:
        return ""
    for name in reward.funds:
        if can_pay(books, programme, name, fen) and queueing.is_free(books, programme.id, name):
            return name
    if queueing.queues(programme, reward):
        return ""
    raise Refused(REASON_FUND_EXHAUSTED, "No fund of the reward can pay for it now.")


def _set_aside(made: Reservation, code: Code) -> list[Transfer]:
    if not made.fund:
        return []
    return moved(made.fen, chart.fund(made.programme, made.fund), _refundable(made), code)


def _refundable(made: Reservation) -> LedgerAccount:
    return chart.refundable(made.programme, made.reward)


def _taker(made: Reservation, reward: Reward) -> LedgerAccount:
    """Name who has the claim from now on."""
    match reward.claim:
        case Claim.TO_SPONSOR:
            return chart.sponsor(reward.sponsor or "")
        case Claim.TO_POOL:
            return chart.pool(made.programme)
        case Claim.RETIRED | Claim.STAYS:
            return chart.retired(reward.kind.value)


def _counts(made: Reservation, reward: Reward, sign: int) -> dict[str, int]:
    """Count what has a maximum, what was spent of a fund, what an account has drawn."""
    counts = {**counted(made, reward, sign), **counted_spent(made, sign)}
    if reward.payout is not None:
        counts[stakes.drawn(made.programme, made.account)] = sign * made.fen
    return counts


def _unknown() -> Refused:
    return Refused(REASON_RESERVATION_UNKNOWN, "No reservation has that key.")
