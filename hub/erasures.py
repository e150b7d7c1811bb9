"""Carries out erasure orders in the transaction that logs them: openings of rosters and links, and the links.

The log's entries stay; what an order names is zero wherever the hub keeps it. Backups and bundles made before
are for whoever keeps them to replace.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from sqlalchemy import Connection

from hub.store import boards, books, erasures, tickets
from privacy import account_changes, choices, journal, links, rosters
from privacy.envelope import Kind
from privacy.erasures import SLOTS_MAX
from privacy.tickets import pseudonym_in
from protos.problems import Unavailable
from protos.v1 import evidence_pb2
from protos.v1.problem_pb2 import REASON_NOT_FOUND

KINDS = frozenset({Kind.ERASURE_ORDER, Kind.HUB_ERASURE_ORDER})


def carry_out(
    connection: Connection,
    order: evidence_pb2.ErasureOrder,
    index: int,
    *,
    gone: Collection[bytes],
    left: Collection[bytes],
) -> None:
    """Zero the slots' salts and pseudonyms, and the links of pseudonyms that no slot names any more.

    `gone` are those pseudonyms, `left` the accounts that have no other.
    """
    _erase_slots(connection, order, index)
    for batch, names in erasures.link_indices(connection, gone).items():
        for position, data in erasures.openings(connection, batch):
            erased = links.erase(data, names)
            if erased != data:
                erasures.overwrite(connection, index, batch, position, erased)
    _erase_acts(connection, index, gone)
    _erase_tickets(connection, index, gone)
    erasures.remove_links(connection, gone)
    tickets.remove_tickets(connection, gone)
    for account in left:
        boards.remove_account(connection, account)


def _erase_acts(connection: Connection, index: int, gone: Collection[bytes]) -> None:
    """Empty what persons chose and the tickets they acted with."""

    def is_theirs(ticket: bytes) -> bool:
        return pseudonym_in(ticket) in gone

    for one in erasures.indices_of(connection, Kind.CHOICE_BATCH) if gone else ():
        for position, data in erasures.openings(connection, one):
            erased = choices.erase(data, is_theirs)
            if erased != data:
                erasures.overwrite(connection, index, one, position, erased)
    for one in erasures.indices_of(connection, Kind.ACCOUNT_CHANGE) if gone else ():
        bodies = [data for _, data in erasures.openings(connection, one)]
        for position, data in account_changes.erase(bodies, is_theirs).items():
            erasures.overwrite(connection, index, one, position, data)


def _erase_tickets(connection: Connection, index: int, gone: Collection[bytes]) -> None:
    """Empty the tickets inside operations, in the segments that seal them and where they are kept."""

    def is_theirs(ticket: bytes) -> bool:
        return pseudonym_in(ticket) in gone

    for one in erasures.indices_of(connection, Kind.JOURNAL_SEGMENT) if gone else ():
        for position, data in erasures.openings(connection, one):
            erased = journal.erase(data, is_theirs) if _names(data, gone) else data
            if erased != data:
                erasures.overwrite(connection, index, one, position, erased)
    for number, data in erasures.operations_naming(connection, gone):
        erasures.overwrite_operation(connection, number, journal.erase_operation(data, is_theirs))


def _names(data: bytes, gone: Collection[bytes]) -> bool:
    return any(one in data for one in gone)


def remove_folded(folder: Path) -> None:
    """Remove the files that folds were made from: they name pseudonyms, and are made again from the log."""
    for path in folder.glob("*.parquet"):
        path.unlink(missing_ok=True)


def build_orders(
    connection: Connection, account: bytes, slots_of: Callable[[set[bytes]], dict[str, list[int]]]
) -> list[evidence_pb2.ErasureOrder]:
    """Build the hub's orders, still without headers, for every slot behind an account; raises NOT_FOUND."""
    slots = slots_of(books.pseudonyms_of(connection, account))
    if not slots:
        raise Unavailable(
            REASON_NOT_FOUND,
            "No pseudonym is linked to such an account.",
            remedy="Check the account's id; what is erased already has none.",
        )
    return [
        evidence_pb2.ErasureOrder(enterprise_id=enterprise_id, slots=mine[start : start + SLOTS_MAX])
        for enterprise_id, mine in sorted(slots.items())
        for start in range(0, len(mine), SLOTS_MAX)
    ]


def _erase_slots(connection: Connection, order: evidence_pb2.ErasureOrder, index: int) -> None:
    left = set(order.slots)
    for batch in erasures.roster_indices(connection, order.enterprise_id):
        for position, data in erasures.openings(connection, batch) if left else ():
            opening = rosters.parse_opening(data)
            mine = left.intersection(range(opening.first_slot, opening.end_slot))
            if mine:
                erasures.overwrite(connection, index, batch, position, rosters.erase(data, *mine))
                left -= mine
