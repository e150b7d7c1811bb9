"""Figures for an auditor on the premises: noised ones of an invented home, exact ones of a real release.

Neither is ever sent. The first draws noise for persons who do not exist, so that nothing is charged; it
refuses a home that has joined a hub. The second draws nothing.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

from enterprise_node.contents import exact_contents
from enterprise_node.membership import CONNECTION_FILE
from enterprise_node.roster import ActiveSlot
from enterprise_node.samplers import sampler
from enterprise_node.terms import check_policy
from privacy import policy_reading
from privacy.policy import SeriesKind
from protos.problems import Malformed, Refused
from protos.v1 import policy_pb2
from protos.v1.problem_pb2 import REASON_EPOCH_NOT_READY, REASON_ROLE_NOT_ALLOWED, REASON_WRONG_SHAPE
from runtime.configuration import write_private
from runtime.files import read_bounded

if TYPE_CHECKING:
    from enterprise_node.app import App
    from enterprise_node.workspace import Workspace
    from privacy.policy import Policy
    from protos.epochs import Epoch

POLICY_BYTES_MAX = 1 << 16


def read_policy(path: Path) -> Policy:
    """Read an unsigned policy written for a rehearsal; raises Malformed."""
    data = read_bounded(path, POLICY_BYTES_MAX)
    message = policy_pb2.Policy()
    try:
        message.ParseFromString(data)
    except ValueError:
        raise Malformed(REASON_WRONG_SHAPE, f"{path} is not a policy.") from None
    return policy_reading.read_policy(message, hashlib.sha256(data).digest())


def rehearse(workspace: Workspace, epoch: Epoch, policy: Policy, out: Path) -> int:
    """Read the home's files, clamp, draw, and write every person's noised statements; give the rows.

    All that stands between raw files and released figures is the node's own; only pseudonyms, signatures and
    sending are left out. Raises Refused in a home that has joined, whose persons are real.
    """
    if (workspace.home / CONNECTION_FILE).exists():
        raise Refused(
            REASON_ROLE_NOT_ALLOWED,
            "This home has joined a hub: a rehearsal would draw noise for real persons.",
            remedy="Rehearse in a folder of its own with invented persons.",
        )
    enterprise_id = workspace.configuration.enterprise_id
    for _ in workspace.read():
        pass
    mine = policy.enterprise(enterprise_id)
    check_policy(policy, mine, workspace.reductions, workspace.configuration.ceilings)
    persons = [number for number, _, _ in workspace.persons.contracts()]
    active = [ActiveSlot(slot, person) for slot, person in enumerate(persons)]
    exact = exact_contents(workspace.reductions, epoch, policy, enterprise_id, active)
    noised = exact.noised(policy, enterprise_id, sampler(workspace.configuration.noise.sampler))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["identifier", "series", "grams"])
    identifiers = [one.decode() for one in workspace.persons.identifiers(persons)]
    for item in policy.series(enterprise_id):
        if item.kind is SeriesKind.STATEMENT:
            figures = noised.vectors[item.name].tolist()
            rows.writerows(zip(identifiers, [item.name] * len(persons), figures, strict=True))
    write_private(out, text.getvalue().encode())
    return len(persons)


def write_exact(app: App, epoch: Epoch, out: Path) -> int:
    """Write the exact vectors of a released epoch under the policy of its reservation; give the rows.

    They are computed from what the node holds now: records that arrived after the draw would be counted too.
    """
    releaser, enterprise_id = app.pipeline.releaser, app.membership.enterprise_id
    if releaser.state(epoch).value == "open":
        raise Refused(REASON_EPOCH_NOT_READY, "Nothing has been released for this epoch.")
    policy = app.pipeline.following.policy_by_hash(releaser.policy_hash(epoch))
    exact = releaser.exact(epoch, policy)
    value = {
        "enterprise_id": enterprise_id,
        "epoch": epoch,
        "vectors": {name: values.tolist() for name, values in exact.vectors.items()},
    }
    write_private(out, json.dumps(value, separators=(",", ":")).encode())
    return len(app.pipeline.roster.active(epoch))
