"""How many of a reward there are, and how many one account may have: whatever of an order has a maximum."""

from __future__ import annotations

from accounting.ledger.books import Books, Reservation
from accounting.programmes.programme import Programme
from accounting.programmes.rewards import Reward
from protos.problems import Malformed, Refused
from protos.v1 import ledger_pb2
from protos.v1.problem_pb2 import REASON_CAP_REACHED, REASON_OUT_OF_STOCK, REASON_UNKNOWN_FIELD_VALUE


def check_limits(books: Books, programme: Programme, asked: ledger_pb2.Reserve, reward: Reward) -> None:
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


def counted(made: Reservation, reward: Reward, sign: int) -> dict[str, int]:
    """Count an order towards its maxima (1), or no longer (-1)."""
    counts: dict[str, int] = {}
    overall = taken(made.programme, made.reward, made.account)
    if reward.stock:
        counts[stock(made.programme, made.reward)] = sign * made.quantity
    if reward.overall_account_max:
        counts[overall] = sign * made.quantity
    if reward.epoch_account_max:
        counts[f"{overall}:{made.epoch}"] = sign * made.quantity
    return counts


def taken(programme: str, reward: str, account: bytes) -> str:
    """Name the counter of what an account has had of a reward."""
    return f"taken:{programme}:{reward}:{account.hex()}"


def stock(programme: str, reward: str) -> str:
    """Name the counter of what was given of a reward's stock."""
    return f"stock:{programme}:{reward}"
