"""Which serial numbers of a batch are whose: a fold over what was done to it, in order.

Units leave what is for sale, and the buffer, from the lowest number up; a buyer uses the units bought first.
Blocks never overlap, and together they are the batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from accounting.issuance import SerialBlock, take_serials
from protos.problems import InvariantBroken
from protos.v1 import ledger_pb2
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN

HOLD, BUFFER, CANCELLED, RETIRED = "hold", "buffer", "cancelled", "retired"


class Owned(NamedTuple):
    """A block and whose it is: hold, buffer, cancelled, sold:<buyer>, retired:<buyer> or retired."""

    owner: str
    block: SerialBlock


def serials(batch: ledger_pb2.IssuedBatch, operations: Iterable[ledger_pb2.Operation]) -> list[Owned]:
    """Give the blocks of a batch by number, after the operations on it."""
    buffer_first = batch.first_serial + batch.issued_tonnes
    owned = [
        Owned(HOLD, SerialBlock(batch.first_serial, batch.issued_tonnes)),
        Owned(BUFFER, SerialBlock(buffer_first, batch.buffer_tonnes)),
    ]
    for operation in operations:
        owned = _after(owned, batch, operation)
    return sorted((one for one in owned if one.block.tonnes), key=lambda one: one.block.first)


def _after(owned: list[Owned], batch: ledger_pb2.IssuedBatch, operation: ledger_pb2.Operation) -> list[Owned]:
    act = operation.WhichOneof("act")
    if act not in ("sell", "retire", "cancel_units"):
        return owned
    asked = getattr(operation, act)
    if (asked.programme, asked.batch) != (batch.programme, batch.batch):
        return owned
    if act == "sell":
        return _moved(owned, HOLD, f"sold:{asked.buyer}", asked.tonnes)
    if act == "retire" and not asked.buyer:
        return _moved(owned, HOLD, RETIRED, asked.tonnes)
    if act == "retire":
        return _moved(owned, f"sold:{asked.buyer}", f"retired:{asked.buyer}", asked.tonnes)
    from_buffer = min(asked.tonnes, sum(one.block.tonnes for one in owned if one.owner == BUFFER))
    owned = _moved(owned, BUFFER, CANCELLED, from_buffer)
    return _moved(owned, HOLD, CANCELLED, asked.tonnes - from_buffer)


def _moved(owned: list[Owned], giver: str, taker: str, tonnes: int) -> list[Owned]:
    """Hand over the giver's first units."""
    left: list[Owned] = []
    for one in owned:
        if one.owner != giver or not tonnes:
            left.append(one)
            continue
        taken, kept = take_serials(one.block, min(tonnes, one.block.tonnes))
        tonnes -= taken.tonnes
        left += [Owned(giver, kept), Owned(taker, taken)]
    if tonnes:
        raise InvariantBroken(REASON_INVARIANT_BROKEN, f"{tonnes} units of {giver} are not there.")
    return left
