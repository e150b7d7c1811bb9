"""The one decision on an operation, run by the hub when it is asked and by auditors at replay.

A pure function of the books before it. Whether its key was used before is looked up first: the same act
gives the first outcome again, another is a Conflict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from accounting.ledger import funding, gifts, limits, redeeming, units
from accounting.ledger.accounts import check_key
from accounting.ledger.books import Books, Decision
from protos.epochs import Epoch
from protos.problems import Conflict, Malformed
from protos.v1 import ledger_pb2
from protos.v1.problem_pb2 import REASON_IDEMPOTENCY_CONFLICT, REASON_UNKNOWN_FIELD_VALUE

Rule = Callable[[Books, ledger_pb2.Operation], Decision]

WHY_CHARACTERS_MAX = 256
# Counters of one account each; of a stake's, those that name the account besides programme and batch.
_ACCOUNTS_OWN = frozenset({"taken", "gave", "drawn"})
_STAKED_PARTS = 2


def _void(books: Books, operation: ledger_pb2.Operation) -> Decision:
    """Use up a key: nothing moves."""
    if len(operation.void.why) > WHY_CHARACTERS_MAX:
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, f"A reason has at most {WHY_CHARACTERS_MAX} characters.")
    return Decision()


RULES: Mapping[str, Rule] = {
    "reserve": redeeming.reserve,
    "confirm": redeeming.confirm,
    "cancel": redeeming.cancel,
    "lapse": redeeming.lapse,
    "collect": gifts.collect,
    "gift": gifts.gift,
    "deposit": funding.deposit,
    "settle": funding.settle,
    "dispute": redeeming.dispute,
    "plant": funding.plant,
    "issue": units.issue,
    "sell": units.sell,
    "retire": units.retire,
    "cancel_units": units.cancel_units,
    "void": _void,
}


def decide(books: Books, operation: ledger_pb2.Operation) -> Decision:
    """Say what an operation does to the books; raises the Problem that refuses it."""
    check_key(operation.key, "key")
    act = operation.WhichOneof("act")
    rule = RULES.get(act or "")
    if rule is None:
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, "The operation has no act of this version.")
    return rule(books, operation)


def is_its_own_guard(operation: ledger_pb2.Operation) -> bool:
    """Say whether an act is refused once it was done: its ticket is used, or its reservation has ended."""
    return operation.WhichOneof("act") in ("reserve", "gift", "confirm", "cancel", "lapse", "dispute")


def act_hash(operation: ledger_pb2.Operation) -> bytes:
    """Hash what is asked, without its key, its time and the ticket by which it was asked for."""
    act = ledger_pb2.Operation()
    act.CopyFrom(operation)
    act.ClearField("key")
    act.ClearField("at")
    match act.WhichOneof("act"):
        case "reserve":
            act.reserve.ClearField("ticket")
        case "gift":
            act.gift.ClearField("ticket")
    return hashlib.sha256(act.SerializeToString(deterministic=True)).digest()


def check_same(stored: bytes, asked: bytes) -> None:
    """Refuse another act under a key that was used."""
    if stored != asked:
        raise Conflict(
            REASON_IDEMPOTENCY_CONFLICT,
            "The key was used for something else.",
            remedy="Choose a fresh key for each act; repeat an act with its own.",
        )


def accounts_of(operation: ledger_pb2.Operation) -> tuple[bytes, ...]:
    """Name the accounts whose wallets a decision may read, besides those of its reservation."""
    match operation.WhichOneof("act"):
        case "reserve":
            return (operation.reserve.account,)
        case "collect":
            return (operation.collect.account,)
        case "gift":
            return (operation.gift.from_account, operation.gift.to_account)
        case _:
            return ()


def reservation_of(operation: ledger_pb2.Operation) -> bytes | None:
    """Name the reservation a decision reads; None for an act that has none."""
    act = operation.WhichOneof("act") or ""
    named = ("confirm", "cancel", "lapse", "dispute")
    return getattr(operation, act).reserve_key if act in named else None


def is_of_account(counter: str) -> bool:
    """Tell whether a counter is one account's own: such are too many to keep at hand."""
    kind, *rest = counter.split(":")
    return kind in _ACCOUNTS_OWN or (kind == "staked" and len(rest) > _STAKED_PARTS)


def counters_of(operation: ledger_pb2.Operation, epoch: Epoch) -> tuple[str, ...]:
    """Name the counters of its account that a decision may read: they are too many to keep at hand."""
    match operation.WhichOneof("act"):
        case "reserve":
            asked = operation.reserve
            overall = limits.taken(asked.programme, asked.reward, asked.account)
            return (overall, f"{overall}:{epoch}")
        case "gift":
            return (gifts.given(operation.gift.programme, operation.gift.from_account, epoch),)
        case _:
            return ()
