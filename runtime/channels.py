"""gRPC client channels over mutual TLS, and who is at the other end of a call.

A call larger than gRPC's retry buffer is silently not retried, so the buffer is as large as a message may be.
"""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from runtime.identity import Identity, Role

MESSAGE_BYTES_MAX = 4 << 20


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a call, from its certificate."""

    role: Role
    id: str
    trust_domain: str


def open_channel(
    address: str, identity: Identity, *, timeout_seconds: int = 30, server_name: str | None = None
) -> grpc.Channel:
    """Open a channel; every call without a deadline of its own gets `timeout_seconds`."""
    raise NotImplementedError


def peer_identity(context: grpc.ServicerContext) -> Peer:
    """Give who calls; raises Unverified CERTIFICATE_INVALID without exactly one SPIFFE name."""
    raise NotImplementedError


def require_role(context: grpc.ServicerContext, *roles: Role) -> Peer:
    """Give who calls if it has one of the roles; raises Refused ROLE_NOT_ALLOWED."""
    raise NotImplementedError
