"""Invitations and the parties that took them up, before the trust root names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, insert, select, update

from hub.store.dialects import insert_or_replace
from hub.store.schema import invitation, registration


@dataclass(frozen=True, slots=True)
class Invitation:
    """A one-time token's other half; the secret itself is never stored."""

    secret_hash: bytes
    role: str
    id: str
    name: str
    name_zh: str
    evaluation_quota: int
    expires_at: int
    public_key: bytes | None = None
    request_hash: bytes | None = None
    certificate_pem: bytes | None = None


@dataclass(frozen=True, slots=True)
class Party:
    """Who has joined, with which signing key, and where it can be reached."""

    role: str
    id: str
    name: str
    name_zh: str
    public_key: bytes
    address: str
    sealing_key: bytes
    evaluation_quota: int
    joined_at: int


def add_invitation(connection: Connection, new: Invitation) -> None:
    """Store an invitation not yet used."""
    connection.execute(insert(invitation).values(**asdict(new)))


def find_invitation(connection: Connection, secret_hash: bytes) -> Invitation | None:
    """Give the invitation behind a token's secret."""
    row = connection.execute(select(invitation).where(invitation.c.secret_hash == secret_hash)).one_or_none()
    return None if row is None else Invitation(*row)


def use_invitation(
    connection: Connection,
    secret_hash: bytes,
    *,
    public_key: bytes,
    request_hash: bytes,
    certificate_pem: bytes,
) -> None:
    """Bind an invitation to the keys that took it up and to the answer they got."""
    values = {"public_key": public_key, "request_hash": request_hash, "certificate_pem": certificate_pem}
    connection.execute(update(invitation).where(invitation.c.secret_hash == secret_hash).values(**values))


def put_party(connection: Connection, party: Party) -> None:
    """Store who joined; joining again by a new invitation replaces key and address."""
    connection.execute(insert_or_replace(connection, registration, ["role", "id"], asdict(party)))


def list_parties(connection: Connection) -> Sequence[Party]:
    """Give all parties, by role and id."""
    query = select(registration).order_by(registration.c.role, registration.c.id)
    return [Party(*row) for row in connection.execute(query)]
