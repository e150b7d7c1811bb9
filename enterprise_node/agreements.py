"""What a person agreed to, as a ticket names it: no app has to encode and hash what the hub expects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from privacy import choices, codec
from privacy.account_changes import share_terms
from privacy.tickets import subject_of
from protos.problems import Malformed
from protos.v1 import node_pb2
from protos.v1.problem_pb2 import REASON_UNKNOWN_FIELD_VALUE

if TYPE_CHECKING:
    from collections.abc import Callable

# What each kind of agreement is asked for with.
PURPOSES = {"choice": "choose", "order": "redeem", "first_ticket": "merge", "shares": "share"}


def subject(request: node_pb2.IssueTicketRequest) -> bytes:
    """Give the subject of the ticket asked for; raises Malformed where it cannot be that of its purpose."""
    kind = request.WhichOneof("agreed")
    if kind is None:
        return request.subject
    if request.subject or request.purpose != PURPOSES[kind]:
        raise Malformed(
            REASON_UNKNOWN_FIELD_VALUE,
            f"What was agreed to ({kind}) is for the purpose '{PURPOSES[kind]}', in a subject's place.",
            remedy="Give one of both, and the purpose that goes with it.",
        )
    return _SUBJECTS[kind](request)


def _of_shares(request: node_pb2.IssueTicketRequest) -> bytes:
    agreed = request.shares
    if len(agreed.shares_accounts) != len(agreed.shares_basis_points):
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, "Each person has one part.", remedy="Give as many parts.")
    parts = zip(agreed.shares_accounts, agreed.shares_basis_points, strict=True)
    return share_terms(agreed.account, list(parts))


_SUBJECTS: dict[str, Callable[[node_pb2.IssueTicketRequest], bytes]] = {
    "choice": lambda request: choices.subject(request.choice),
    "order": lambda request: subject_of(codec.encode(request.order)),
    "first_ticket": lambda request: subject_of(request.first_ticket),
    "shares": _of_shares,
}
