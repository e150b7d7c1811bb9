"""An auditor's own folder: how it joined, its TLS identity and the hub's addresses."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from privacy import keys
from protos.json_text import parse_json
from protos.problems import Malformed, Refused
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID, REASON_ROLE_NOT_ALLOWED
from runtime.files import open_home, read_bounded, write_atomic, write_private
from runtime.identity import Identity, Role
from runtime.joining import JoinToken, join

MEMBER_FILE = "hub.json"
KEY_FILE = "signing.key"
TRUST_ROOT_FILE = "trust-root"
MEMBER_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class Member:
    """A registered auditor: its identity and where the hub serves bodies."""

    identity: Identity
    grpc_address: str


def join_hub(token_text: str, home: Path) -> dict[str, Any]:
    """Join as an auditor and keep what the hub answered; gives what a person wants to see."""
    token = JoinToken.decode(token_text)
    if token.role is not Role.AUDITOR:
        raise Refused(
            REASON_ROLE_NOT_ALLOWED,
            f"The token invites a {token.role.value}, not an auditor.",
            remedy="Ask the hub's operator for `cgsp-hub invite --role auditor`.",
        )
    folder = open_home(home, create=True)
    key = _signing_key(folder, token.id)
    joined = join(token, key)
    joined.identity.save(folder)
    if joined.trust_root is not None:
        write_atomic(folder / TRUST_ROOT_FILE, joined.trust_root)
    told = {
        "id": token.id,
        "origin": joined.origin,
        "https_address": joined.https_address,
        "grpc_address": joined.grpc_address,
    }
    write_atomic(folder / MEMBER_FILE, json.dumps(told, indent=2).encode())
    return told


def load_member(home: Path) -> Member:
    """Read the folder `join` made."""
    folder = open_home(home)
    data = read_bounded(folder / MEMBER_FILE, MEMBER_BYTES_MAX)
    try:
        address = str(parse_json(data)["grpc_address"])
    except (ValueError, KeyError, TypeError):
        raise Malformed(
            REASON_CONFIGURATION_INVALID, f"{folder / MEMBER_FILE} is damaged.", remedy="Join again."
        ) from None
    return Member(Identity.load(folder), address)


def _signing_key(folder: Path, name: str) -> keys.SigningKey:
    path = folder / KEY_FILE
    if path.exists():
        return keys.decode_private(read_bounded(path, MEMBER_BYTES_MAX))
    key = keys.generate(secrets.token_bytes, name)
    write_private(path, keys.encode_private(key))
    return key
