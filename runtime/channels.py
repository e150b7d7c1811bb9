"""gRPC client channels over mutual TLS, and who is at the other end of a call.

A call larger than gRPC's retry buffer is silently not retried, so the buffer is as large as a message may be.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import grpc

from protos.problems import Refused, Unverified
from protos.v1.problem_pb2 import REASON_CERTIFICATE_INVALID, REASON_ROLE_NOT_ALLOWED
from runtime.addresses import parse_address
from runtime.identity import Identity, Role, SpiffeName

MESSAGE_BYTES_MAX = 4 << 20
# Header and framing beside the largest message.
RETRY_BUFFER_BYTES = 2 * MESSAGE_BYTES_MAX
METADATA_BYTES_MAX = 16_384
KEEPALIVE_MS = 60_000
KEEPALIVE_TIMEOUT_MS = 20_000
DEADLINE_SECONDS = 30

_RETRY = {
    "maxAttempts": 4,
    "initialBackoff": "0.2s",
    "maxBackoff": "3s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
_SERVICE_CONFIG = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": _RETRY}]})


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a call, from its certificate."""

    role: Role
    id: str
    trust_domain: str


def open_channel(
    address: str,
    identity: Identity,
    *,
    timeout_seconds: int = DEADLINE_SECONDS,
    server_name: str | None = None,
) -> grpc.Channel:
    """Open a channel; every call without a deadline of its own gets `timeout_seconds`.

    With `server_name` (SpiffeName.dns_name of the party meant) the server's certificate must be that party's.
    """
    credentials = grpc.ssl_channel_credentials(identity.ca_pem, identity.key_pem, identity.certificate_pem)
    options: list[tuple[str, Any]] = [
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_metadata_size", METADATA_BYTES_MAX),
        ("grpc.per_rpc_retry_buffer_size", RETRY_BUFFER_BYTES),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.service_config", _SERVICE_CONFIG),
        # The address in the configuration is the address dialled: no proxy from the environment.
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_reconnect_backoff_ms", 10_000),
    ]
    if server_name is not None:
        options.append(("grpc.ssl_target_name_override", server_name))
    channel = grpc.secure_channel(str(parse_address(address)), credentials, options)
    return grpc.intercept_channel(channel, _Deadline(timeout_seconds))


class _CallDetails(NamedTuple):
    """Implements grpc.ClientCallDetails."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Deadline(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Gives a deadline to calls that have none; one in the service config would cut longer ones too."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Bound a call."""
        return continuation(self._bounded(client_call_details), request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Bound a call whose answer streams."""
        return continuation(self._bounded(client_call_details), request)

    def intercept_stream_unary(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        """Bound a call whose request streams."""
        return continuation(self._bounded(client_call_details), request_iterator)

    def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        """Bound a call that streams both ways."""
        return continuation(self._bounded(client_call_details), request_iterator)

    def _bounded(self, details: Any) -> _CallDetails:
        timeout = self._seconds if details.timeout is None else details.timeout
        rest = (details.metadata, details.credentials, details.wait_for_ready, details.compression)
        return _CallDetails(details.method, timeout, *rest)


def peer_identity(context: grpc.ServicerContext) -> Peer:
    """Give who calls; raises Unverified CERTIFICATE_INVALID without exactly one SPIFFE name."""
    uris = list(context.auth_context().get("peer_uri", ()))
    if len(uris) != 1:
        raise Unverified(
            REASON_CERTIFICATE_INVALID,
            f"The client's certificate has {len(uris)} URI names where it must have one.",
            remedy="Join again with a new invitation of the hub's operator.",
        )
    name = SpiffeName.parse(bytes(uris[0]).decode("utf-8", "replace"))
    return Peer(name.role, name.id, name.trust_domain)


def require_role(context: grpc.ServicerContext, *roles: Role) -> Peer:
    """Give who calls if it has one of the roles; raises Refused ROLE_NOT_ALLOWED."""
    peer = peer_identity(context)
    if peer.role not in roles:
        allowed = " or ".join(role.value for role in roles)
        raise Refused(
            REASON_ROLE_NOT_ALLOWED,
            f"This call is for {allowed}; the certificate says {peer.role.value}.",
            remedy="Use the home folder of the right role.",
        )
    return peer
