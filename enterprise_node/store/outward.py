"""The schemas of everything that has to do with what leaves the node."""

from __future__ import annotations

from enterprise_node.store import charges, commitments, egress, enrolment, outbox, releases

SCHEMAS = (
    enrolment.SCHEMA,
    charges.SCHEMA,
    releases.SCHEMA,
    outbox.SCHEMA,
    egress.SCHEMA,
    commitments.SCHEMA,
)
