"""What a node has after it joined: its keys and certificate, where the hub is, the trust root it was handed.

signing.key        the enterprise's Ed25519 key (0600)
tls.key.pem tls.pem ca.pem    its TLS identity
trust-root.dsse    the first trust root's envelope, pinned by the operator's token or given as a file
connection.json    origin and addresses, written last: with it the node is a member
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from privacy import keys, trust
from privacy.envelope import ENTRY_BYTES_MAX
from privacy.keys import SigningKey
from protos.json_text import parse_json
from protos.problems import Malformed, Refused, Unverified
from protos.v1.problem_pb2 import (
    REASON_CONFIGURATION_INVALID,
    REASON_NOT_REGISTERED,
    REASON_TOKEN_INVALID,
    REASON_TRUST_ROOT_INVALID,
)
from runtime.files import read_bounded, read_private, write_private
from runtime.identity import Identity, Role

if TYPE_CHECKING:
    from runtime.joining import Joined, JoinToken

SIGNING_KEY_FILE = "signing.key"
TRUST_ROOT_FILE = "trust-root.dsse"
CONNECTION_FILE = "connection.json"
FILE_BYTES_MAX = 65_536

_FIELDS = {"origin", "enterprise_id", "grpc_address", "https_address"}


@dataclass(frozen=True, slots=True)
class Membership:
    """A joined node's place in the federation."""

    origin: str
    enterprise_id: str
    grpc_address: str
    https_address: str
    identity: Identity
    signing_key: SigningKey
    # Envelope of the first trust root.
    trust_root: bytes

    @classmethod
    def load(cls, home: Path) -> Membership:
        """Read the home's files; raises Refused NOT_REGISTERED before the node has joined."""
        if not (home / CONNECTION_FILE).exists():
            raise Refused(
                REASON_NOT_REGISTERED,
                "This node has not joined a hub.",
                remedy="Run cgsp-node join with the token the hub's operator gave you.",
            )
        place = _read_connection(home / CONNECTION_FILE)
        if not (home / TRUST_ROOT_FILE).exists():
            raise _unpinned()
        return cls(
            **place,
            identity=Identity.load(home),
            signing_key=keys.decode_private(read_private(home / SIGNING_KEY_FILE, FILE_BYTES_MAX)),
            trust_root=read_bounded(home / TRUST_ROOT_FILE, ENTRY_BYTES_MAX),
        )


def open_signing_key(home: Path, name: str) -> SigningKey:
    """Read the enterprise's key, made on first use: a repeated join keeps it."""
    path = home / SIGNING_KEY_FILE
    if not path.exists():
        write_private(path, keys.encode_private(keys.generate(secrets.token_bytes, name)))
    return keys.decode_private(read_private(path, FILE_BYTES_MAX))


def check_token(token: JoinToken, enterprise_id: str) -> None:
    """Refuse a token for another role or enterprise than node.toml's."""
    if (token.role, token.id) != (Role.NODE, enterprise_id):
        raise Refused(
            REASON_TOKEN_INVALID,
            f"The token is for the {token.role.value} {token.id}; node.toml says enterprise {enterprise_id}.",
            remedy="Use the token of this enterprise, or correct enterprise_id.",
        )


def keep(home: Path, token: JoinToken, joined: Joined, trust_root: bytes | None) -> None:
    """Write what joining gave; the trust root must be pinned by the token or come as a file."""
    pinned = trust_root if trust_root is not None else _pinned(token, joined)
    first = trust.verify_first(pinned)
    if first.origin != joined.origin:
        raise Unverified(
            REASON_TRUST_ROOT_INVALID,
            f"The trust root is for '{first.origin}', the hub for '{joined.origin}'.",
        )
    joined.identity.save(home)
    write_private(home / TRUST_ROOT_FILE, pinned)
    place = {
        "origin": joined.origin,
        "enterprise_id": token.id,
        "grpc_address": joined.grpc_address,
        "https_address": joined.https_address,
    }
    write_private(home / CONNECTION_FILE, json.dumps(place, indent=1).encode() + b"\n")


def _pinned(token: JoinToken, joined: Joined) -> bytes:
    """Take the trust root the hub sent only if the token carries its fingerprint."""
    sent = joined.trust_root
    if sent is None or hashlib.sha256(sent).hexdigest() != token.trust_root:
        raise _unpinned()
    return sent


def _unpinned() -> Unverified:
    return Unverified(
        REASON_TRUST_ROOT_INVALID,
        "No trust root has reached this node by a way that does not depend on the hub.",
        remedy="Give the first trust root's file with `cgsp-node join TOKEN --trust-root FILE`.",
    )


def _read_connection(path: Path) -> dict[str, str]:
    try:
        data = parse_json(read_private(path, FILE_BYTES_MAX))
    except ValueError:
        data = None
    if not isinstance(data, dict) or set(data) != _FIELDS or not all(map(_is_text, data.values())):
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            f"{path.name} is damaged.",
            remedy="Join again with a new token; the enterprise's key is kept.",
        )
    return data


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) < 512
