"""Rules for erasure orders: what may be erased, by whose order, and what the log's state then forgets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

from privacy.chunks import HALF_BYTES
from privacy.erasures import ERASED, SLOTS_MAX, Ordered
from privacy.standing import EnterpriseStanding, Standing
from privacy.verdicts import Submission, Verdict
from protos.problems import Conflict, Malformed, Refused
from protos.v1 import evidence_pb2
from protos.v1.problem_pb2 import (
    REASON_ALREADY_EXISTS,
    REASON_NOT_REGISTERED,
    REASON_ROLE_NOT_ALLOWED,
    REASON_ROSTER_WRONG,
    REASON_WRONG_SHAPE,
)


def check_erasure_order(
    standing: Standing, message: evidence_pb2.ErasureOrder, submission: Submission
) -> Verdict:
    """Take an enterprise's order to erase withdrawn slots of its own; raises Refused ROLE_NOT_ALLOWED."""
    if message.enterprise_id != submission.issuer:
        raise Refused(
            REASON_ROLE_NOT_ALLOWED,
            f"'{submission.issuer}' cannot have slots of '{message.enterprise_id}' erased.",
        )
    _check_slots(standing.enterprise(message.enterprise_id), message.slots, withdrawn=True)
    return _verdict(standing, message, submission)


def check_hub_erasure(
    standing: Standing, message: evidence_pb2.ErasureOrder, submission: Submission
) -> Verdict:
    """Take the hub's order: withdrawn slots, and any slot of an enterprise that is registered no more.

    Raises Refused NOT_REGISTERED.
    """
    if message.enterprise_id not in standing.enterprises_ever:
        raise Refused(REASON_NOT_REGISTERED, f"No trust root has named '{message.enterprise_id}'.")
    is_registered = any(one.id == message.enterprise_id for one in standing.trust.enterprises)
    _check_slots(standing.enterprise(message.enterprise_id), message.slots, withdrawn=is_registered)
    return _verdict(standing, message, submission)


def _check_slots(mine: EnterpriseStanding, slots: Sequence[int], *, withdrawn: bool) -> None:
    if not 1 <= len(slots) <= SLOTS_MAX or any(later <= earlier for earlier, later in pairwise(slots)):
        raise Malformed(REASON_WRONG_SHAPE, f"An order names 1 to {SLOTS_MAX} slots, ascending.")
    if slots[-1] >= mine.roster.total:
        raise Refused(REASON_ROSTER_WRONG, f"The roster has {mine.roster.total} slots.")
    for number in slots:
        if number in mine.erased:
            raise Conflict(REASON_ALREADY_EXISTS, f"Slot {number} is erased already.")
        if withdrawn and not mine.roster.is_withdrawn(number):
            raise Refused(
                REASON_ROSTER_WRONG,
                f"Slot {number} is still enrolled.",
                remedy="Withdraw it with a roster batch first.",
            )


def _verdict(standing: Standing, message: evidence_pb2.ErasureOrder, submission: Submission) -> Verdict:
    order = Ordered(submission.index, message.enterprise_id, tuple(message.slots))
    return Verdict(lambda: _erase(standing, order))


def gone(standing: Standing, enterprise_id: str, slots: Sequence[int]) -> frozenset[bytes]:
    """Give the pseudonyms that no slot of any enterprise names any more once these are erased."""
    mine = standing.enterprise(enterprise_id)
    if not _is_known(mine):
        return frozenset()
    erased = frozenset(slots)
    names = {_name(mine, number) for number in slots} - {ERASED}
    return frozenset(
        name
        for name in names
        if erased.issuperset(mine.slots.of(name))
        and not any(
            one.slots.of(name) for other, one in standing.enterprises.items() if other != enterprise_id
        )
    )


def slots_of(standing: Standing, pseudonyms: Collection[bytes]) -> dict[str, list[int]]:
    """Give the slots by enterprise at which pseudonyms stand, ascending."""
    found = {
        enterprise_id: sorted(slot for name in set(pseudonyms) for slot in mine.slots.of(name))
        for enterprise_id, mine in standing.enterprises.items()
    }
    return {enterprise_id: slots for enterprise_id, slots in found.items() if slots}


def _erase(standing: Standing, order: Ordered) -> None:
    """Forget, as a replay over erased bodies would never have known."""
    forgotten = gone(standing, order.enterprise_id, order.slots)
    standing.erasures.append(order)
    mine = standing.entry_of(order.enterprise_id)
    mine.erased.update(order.slots)
    if not _is_known(mine):
        return
    for number in order.slots:
        name = _name(mine, number)
        if not mine.roster.is_withdrawn(number):
            mine.active.discard(name)
        mine.slots.remove(name, number)
        mine.pseudonyms[_row(number)] = ERASED
    for name in forgotten:
        standing.linked.pop(name, None)
    standing.successions.forget(order.enterprise_id, frozenset(order.slots))


def _is_known(mine: EnterpriseStanding) -> bool:
    return len(mine.pseudonyms) == mine.roster.total * HALF_BYTES


def _name(mine: EnterpriseStanding, number: int) -> bytes:
    return bytes(mine.pseudonyms[_row(number)])


def _row(number: int) -> slice:
    return slice(number * HALF_BYTES, (number + 1) * HALF_BYTES)
