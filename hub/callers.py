"""Who calls over HTTPS, as a route's parameter; and what a role may ask."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from hub.https import peer_of
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_ROLE_NOT_ALLOWED
from runtime.identity import Role, SpiffeName


def _peer(request: Request) -> SpiffeName | None:
    return peer_of(request.scope)


Peer = Annotated[SpiffeName | None, Depends(_peer)]


def require(peer: SpiffeName | None, *roles: Role) -> None:
    """Refuse whoever has no certificate of one of the roles."""
    if peer is None or peer.role not in roles:
        names = " or ".join(role.value for role in roles)
        raise Refused(
            REASON_ROLE_NOT_ALLOWED,
            f"This needs a client certificate of role {names}.",
            remedy="Call with the certificate the hub issued for that role.",
        )
