"""Everything the enterprise keeps of a person, for machines: signed JSON that verifies with its key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from enterprise_node.person import show_person
from enterprise_node.store.corrections import CorrectionTable
from privacy.exports import PERSON, sign_export

if TYPE_CHECKING:
    from enterprise_node.membership import Membership
    from enterprise_node.workspace import Workspace


def export_person(workspace: Workspace, membership: Membership, number: int) -> bytes:
    """Give a person's signed export; raises Unavailable NOT_FOUND for nobody."""
    return sign_export(content(workspace, membership, number), PERSON, membership.signing_key)


def content(workspace: Workspace, membership: Membership, number: int) -> dict[str, Any]:
    """Give what an export says: contract, months, every record, corrections, who records elsewhere."""
    view = show_person(workspace, number, records_max=None)
    return {
        "enterprise": membership.enterprise_id,
        "origin": membership.origin,
        **view.to_json(),
        "corrections": [
            one._asdict() | {"inputs": json.loads(one.inputs)}
            for one in CorrectionTable(workspace.database).of_person(number)
        ],
    }
