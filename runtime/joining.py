"""How a party joins: a one-time token, a signing request, proof that it holds its signing key.

The hub's authority is pinned by the fingerprint in the token: the first connection only fetches the certificate,
the second one is verified against it before the token's secret is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from runtime.identity import Identity, Role

if TYPE_CHECKING:
    from privacy.keys import SigningKey

TOKEN_PREFIX = "cgsp1."
TOKEN_CHARACTERS_MAX = 2048
JOIN_BYTES_MAX = 65_536
JOIN_CONTEXT = b"cgsp-join-v1\0"


@dataclass(frozen=True, slots=True)
class JoinToken:
    """What the operator hands over: where to join, as whom, and the one-time secret."""

    hub: str
    ca: str
    secret: str
    role: Role
    id: str
    origin: str
    trust_root: str = ""

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read a token; raises Malformed unless it is bounded and in canonical form."""
        raise NotImplementedError

    def encode(self) -> str:
        """Write the token."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """A request whose form and proof of possession hold; whether the secret is good is the hub's to say."""

    token_secret: str
    csr_pem: bytes
    public_key: bytes
    address: str
    sealing_key: bytes


@dataclass(frozen=True, slots=True)
class Joined:
    """What a party has after joining; `trust_root` is the first trust root's envelope if the hub has one."""

    identity: Identity
    grpc_address: str
    https_address: str
    origin: str
    trust_root: bytes | None


def join(token: JoinToken, signing_key: SigningKey, *, address: str = "", sealing_key: bytes = b"") -> Joined:
    """Join the hub the token names; raises what the hub answered, Unverified if it is not the pinned one."""
    raise NotImplementedError


def verify_join_request(body: bytes) -> JoinRequest:
    """Hub side: check form, sizes, the signing request's own signature and the proof of possession."""
    raise NotImplementedError


def join_response(
    *,
    certificate_pem: bytes,
    ca_pem: bytes,
    grpc_address: str,
    https_address: str,
    origin: str,
    trust_root: bytes | None,
) -> dict[str, Any]:
    """Hub side: give the JSON of the answer to POST /v1/join."""
    raise NotImplementedError
