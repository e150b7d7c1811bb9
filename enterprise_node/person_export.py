"""Everything the enterprise keeps of a person, for machines: signed JSON that verifies with its key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from enterprise_node.assembly import own_chain, own_roster
from enterprise_node.kept import Kept
from enterprise_node.person import show_person
from enterprise_node.store.corrections import CorrectionTable
from privacy.exports import PERSON, sign_export
from privacy.identifiers import SEPARATOR
from protos.epochs import Epoch, format_epoch
from protos.json_text import parse_json

if TYPE_CHECKING:
    from enterprise_node.membership import Membership
    from enterprise_node.workspace import Workspace


def export_person(workspace: Workspace, membership: Membership, number: int) -> bytes:
    """Give a person's signed export; raises Unavailable NOT_FOUND for nobody."""
    return sign_export(content(workspace, membership, number), PERSON, membership.signing_key)


def content(workspace: Workspace, membership: Membership, number: int) -> dict[str, Any]:
    """Give what an export says: who it is, slots and proofs of consent, months, records, corrections."""
    view = show_person(workspace, number, records_max=None)
    kind, _, value = workspace.persons.identifiers([number])[0].partition(SEPARATOR)
    return {
        "enterprise": membership.enterprise_id,
        "origin": membership.origin,
        "identifier": {"type": kind.decode(), "value": value.decode()},
        "slots": list(_slots(workspace, membership, number)),
        "released": list(_released(workspace, number)),
        **view.to_json(),
        "corrections": [
            one._asdict() | {"inputs": parse_json(one.inputs)}
            for one in CorrectionTable(workspace.database).of_person(number)
        ],
    }


def _slots(workspace: Workspace, membership: Membership, number: int) -> Iterator[dict[str, Any]]:
    """Give the person's slots: SHA-256(salt || consent receipt) of each stands in the log."""
    roster = own_roster(workspace, membership, own_chain(workspace, membership))
    for held in roster.held_by(number):
        yield {
            "slot": held.slot,
            "from": format_epoch(held.since),
            "until": None if held.until is None else format_epoch(Epoch(held.until)),
            "pseudonym": held.pseudonym.hex(),
            "salt": held.salt.hex(),
            "consent": roster.consent(held).decode(),
        }


def _released(workspace: Workspace, number: int) -> Iterator[dict[str, Any]]:
    """Give what releases counted of the person before noise, in grams, or points of a points measure."""
    kept = Kept(workspace.home)
    for epoch in sorted(workspace.released().drawn):
        for measure_id, vector in kept.vectors(epoch).items():
            for amount in vector.grams[vector.persons == number].tolist():
                yield {"epoch": format_epoch(epoch), "measure": measure_id, "exact": amount}
