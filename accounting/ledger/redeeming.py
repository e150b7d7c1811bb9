"""Redeeming, all five kinds alike: what a reward costs is kept for it, then given, or it goes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from accounting.ledger import chart
from accounting.ledger.accounts import check_debit, check_key, returned, spendable
from accounting.ledger.books import (
    Books,
    Decision,
    Outcome,
    Reservation,
    ReservationState,
)
from accounting.ledger.chart import CLAIMS, LedgerAccount, points_ledger
from accounting.ledger.funding import funded_by
from accounting.ledger.transfers import Code, Transfer, moved
from accounting.programmes.programme import Programme
from accounting.programmes.rewards import Claim, Reward, WhenEmpty
from protos.problems import InvariantBroken, Malformed, Refused
from protos.v1 import ledger_pb2
from protos.v1.problem_pb2 import (
    REASON_CAP_REACHED,
    REASON_FUND_EXHAUSTED,
    REASON_INVARIANT_BROKEN,
    REASON_NOT_ELIGIBLE,
    REASON_NOT_ENOUGH_POINTS,
    REASON_OUT_OF_STOCK,
    REASON_PROGRAMME_UNKNOWN,
    REASON_RESERVATION_ENDED,
    REASON_RESERVATION_UNKNOWN,
    REASON_REWARD_UNKNOWN,
    REASON_UNKNOWN_FIELD_VALUE,
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
    _check_limits(books, programme, asked, reward)
    if not books.is_eligible(programme, asked.reward, account):
        raise Refused(REASON_NOT_ELIGIBLE, f"The account does not meet the condition of {asked.reward}.")
    quantity = asked.quantity
    points, milligrams = reward.cost_points * quantity, reward.claim_grams * MG_PER_GRAM * quantity
    ledger = points_ledger(programme.id)
    _check_enough(spendable(books, ledger, account), points, "points")
    _check_enough(books.wallet(CLAIMS, account).available, milligrams, "mg of its claim")
    # Last, since a signature costs most.
    books.check_asked(operation)
    fen = reward.unit_cost_fen * quantity
    made = Reservation(
        key=operation.key,
        programme=programme.id,
        version=programme.version,
        reward=asked.reward,
        account=account,
        quantity=quantity,
        points=points,
        fund=_fund(books, programme, reward, fen),
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
    return Decision(outcome, tuple(transfers), made, _counts(made, reward, 1))


def confirm(books: Books, operation: ledger_pb2.Operation) -> Decision:
    """Give what was kept where it belongs: the partner delivered."""
    made = _open_reservation(books, operation.confirm.reserve_key)
    if operation.at >= made.expires_at:
        raise Refused(REASON_RESERVATION_ENDED, "The reservation's time is over.")
    programme, reward = _reserved(books, made)
    done = replace(made, state=ReservationState.CONFIRMED)
    late: list[Transfer] = []
    counts: dict[str, int] = {}
    if made.fen and not made.fund:
        fund = funded_by(books, programme, reward, made.fen)
        if fund is None:
            raise Refused(REASON_FUND_EXHAUSTED, "No fund of the reward can pay yet.")
        done = replace(done, fund=fund)
        late, counts = _set_aside(done, Code.CONFIRM), _spent(done, 1)
    counts = {**counts, **_passed(books, made, reward)}
    points = points_ledger(made.programme)
    redeemed = chart.redeemed(made.programme, reward.kind.value, made.reward)
    transfers = [
        *late,
        *moved(made.points, chart.pending(points, made.account), redeemed, Code.CONFIRM),
        *moved(made.milligrams, chart.pending(CLAIMS, made.account), _taker(made, reward), Code.CONFIRM),
        *moved(made.fen, _refundable(made), chart.payable(reward.partner or ""), Code.CONFIRM),
    ]
    return Decision(Outcome(made.points, made.fen, made.milligrams), tuple(transfers), done, counts)


def cancel(books: Books, operation: ledger_pb2.Operation) -> Decision:
    """Give back what was kept: the person or the partner called it off."""
    made = _open_reservation(books, operation.cancel.reserve_key)
    return _given_back(books, made, ReservationState.CANCELLED)


def lapse(books: Books, operation: ledger_pb2.Operation) -> Decision:
    """Give back what was kept: nobody confirmed in time."""
    made = _open_reservation(books, operation.lapse.reserve_key)
    if operation.at < made.expires_at:
        raise Refused(REASON_RESERVATION_ENDED, "The reservation's time is not over yet.")
    return _given_back(books, made, ReservationState.LAPSED)


def dispute(books: Books, operation: ledger_pb2.Operation) -> Decision:
    """Give back what a partner had for what it did not make good; claims come back from sponsors only."""
    made = books.reservation(check_key(operation.dispute.reserve_key, "reservation"))
    if made is None:
        raise _unknown()
    if made.state is not ReservationState.CONFIRMED:
        raise Refused(REASON_RESERVATION_ENDED, "Only a confirmed delivery is disputed, and once.")
    made = replace(made, account=books.holder(made.account))
    _, reward = _reserved(books, made)
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
    done = replace(made, state=ReservationState.DISPUTED)
    return Decision(outcome, tuple(transfers), done, {**_spent(made, -1), **_counts(made, reward, -1)})


def passed(programme: str) -> str:
    """Name the counter of milligrams whose title passed from those who let a programme pool their grams.

    What comes back in a dispute stays counted: it is issued by nobody.
    """
    return f"passed:{programme}"


def _passed(books: Books, made: Reservation, reward: Reward) -> dict[str, int]:
    if not made.milligrams or reward.claim is Claim.TO_POOL:
        return {}
    return {passed(programme): made.milligrams for programme in books.pools(made.account)}


def _given_back(books: Books, made: Reservation, state: ReservationState) -> Decision:
    _, reward = _reserved(books, made)
    points = points_ledger(made.programme)
    transfers = [
        *returned(books, points, made.account, made.points, chart.pending(points, made.account), Code.RETURN),
        *returned(
            books, CLAIMS, made.account, made.milligrams, chart.pending(CLAIMS, made.account), Code.RETURN
        ),
    ]
    if made.fund:
        transfers += moved(made.fen, _refundable(made), chart.fund(made.programme, made.fund), Code.RETURN)
    outcome = Outcome(made.points, made.fen, made.milligrams)
    return Decision(outcome, tuple(transfers), replace(made, state=state), _counts(made, reward, -1))


def _offered(books: Books, asked: ledger_pb2.Reserve) -> tuple[Programme, Reward]:
    programme = books.in_force(asked.programme)
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


def _reserved(books: Books, made: Reservation) -> tuple[Programme, Reward]:
    """Give the version a reservation was made under, whatever is in force now."""
    programme = books.programme(made.programme, made.version)
    if programme is None:
        raise InvariantBroken(REASON_INVARIANT_BROKEN, "A reservation's programme is not in the log.")
    return programme, programme.rewards[made.reward]


def _open_reservation(books: Books, key: bytes) -> Reservation:
    made = books.reservation(check_key(key, "reservation"))
    if made is None:
        raise _unknown()
    if made.state is not ReservationState.RESERVED:
        raise Refused(REASON_RESERVATION_ENDED, f"The reservation {_ENDED[made.state]}.")
    return replace(made, account=books.holder(made.account))


def _check_limits(books: Books, programme: Programme, asked: ledger_pb2.Reserve, reward: Reward) -> None:
    """Hold the quantity, the stock, and what one account may have."""
    quantity = asked.quantity
    if not 1 <= quantity <= reward.quantity_max:
        raise Malformed(
            REASON_UNKNOWN_FIELD_VALUE, f"A reservation takes 1 to {reward.quantity_max} of {asked.reward}."
        )
    if reward.stock and books.count(stock(programme.id, asked.reward)) + quantity > reward.stock:
        raise Refused(REASON_OUT_OF_STOCK, f"There are not {quantity} of {asked.reward} left.")
    overall = taken(programme.id, asked.reward, asked.account)
    limits = {overall: reward.overall_account_max, f"{overall}:{books.epoch}": reward.epoch_account_max}
    for counter, maximum in limits.items():
        if maximum and books.count(counter) + quantity > maximum:
            raise Refused(REASON_CAP_REACHED, f"An account has at most {maximum} of {asked.reward}.")


def _check_enough(there: int, needed: int, what: str) -> None:
    if needed > there:
        raise Refused(
            REASON_NOT_ENOUGH_POINTS,
            f"The reward needs {needed} {what}; {there} may be spent.",
            remedy="Wait for the next epoch's close.",
        )


def _fund(books: Books, programme: Programme, reward: Reward, fen: int) -> str:
    """Choose the fund that pays; none yet where a fund lets reservations wait for money."""
    if not fen:
        return ""
    fund = funded_by(books, programme, reward, fen)
    if fund is not None:
        return fund
    if any(programme.funds[name].when_empty is WhenEmpty.QUEUE for name in reward.funds):
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


def _counts(made: Reservation, reward: Reward, sign: int) -> Mapping[str, int]:
    """Count what has a maximum, and what was spent of a fund."""
    counts = _spent(made, sign)
    overall = taken(made.programme, made.reward, made.account)
    if reward.stock:
        counts[stock(made.programme, made.reward)] = sign * made.quantity
    if reward.overall_account_max:
        counts[overall] = sign * made.quantity
    if reward.epoch_account_max:
        counts[f"{overall}:{made.epoch}"] = sign * made.quantity
    return counts


def _spent(made: Reservation, sign: int) -> dict[str, int]:
    if not made.fund:
        return {}
    spent = f"spent:{made.programme}:{made.fund}"
    return {spent: sign * made.fen, f"{spent}:{made.epoch}": sign * made.fen}


def stock(programme: str, reward: str) -> str:
    """Name the counter of what was given of a reward's stock."""
    return f"stock:{programme}:{reward}"


def taken(programme: str, reward: str, account: bytes) -> str:
    """Name the counter of what an account has had of a reward."""
    return f"taken:{programme}:{reward}:{account.hex()}"


def _unknown() -> Refused:
    return Refused(REASON_RESERVATION_UNKNOWN, "No reservation has that key.")
