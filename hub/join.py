"""Invitations and joining: a one-time secret, a proof that the signing key is held, a certificate in return.

Joining registers a party; only the trust root, signed elsewhere, makes it one whose messages are taken.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Connection, Engine

from hub.configuration import ID_PATTERN, HubSettings
from hub.store import parties
from hub.store.parties import Invitation, Party
from hub.store.writer import Writer
from privacy.trust import describe
from protos.problems import Malformed, Refused
from protos.v1.problem_pb2 import (
    REASON_TOKEN_INVALID,
    REASON_UNKNOWN_FIELD_VALUE,
    REASON_WRONG_SHAPE,
)
from runtime.addresses import server_names
from runtime.authority import CertificateAuthority
from runtime.identity import Role, SpiffeName, trust_domain
from runtime.joining import (
    JoinRequest,
    JoinToken,
    join_response,
    new_token_secret,
    verify_join_request,
)

NAME_CHARACTERS_MAX = 128
ADDRESS_CHARACTERS_MAX = 255
INVITED_ROLES = (Role.NODE, Role.CUSTODIAN, Role.AUDITOR)
REINVITE = "Ask the operator for a new token (cgsp-hub invite)."


@dataclass(frozen=True, slots=True)
class Invitee:
    """Whom a token is for."""

    role: Role
    id: str
    name: str
    name_zh: str
    evaluation_quota: int


class Registrar:
    """Hands out tokens and answers those who bring them."""

    def __init__(
        self,
        settings: HubSettings,
        authority: CertificateAuthority,
        writer: Writer,
        readers: Engine,
        *,
        first_trust_root: Callable[[], bytes | None],
        clock: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._authority = authority
        self._writer = writer
        self._readers = readers
        self._first_trust_root = first_trust_root
        self._clock = clock

    def invite(self, invitee: Invitee) -> tuple[str, int]:
        """Make a one-time token; give it and the second it expires. Only the secret's hash is kept."""
        _check_invitee(invitee)
        secret = new_token_secret()
        expires_at = self._clock() + self._settings.invitation_hours * 3600
        invitation = Invitation(
            secret_hash=_secret_hash(secret),
            role=invitee.role.value,
            id=invitee.id,
            name=invitee.name,
            name_zh=invitee.name_zh,
            evaluation_quota=invitee.evaluation_quota,
            expires_at=expires_at,
        )
        self._writer.call(lambda connection: parties.add_invitation(connection, invitation))
        first = self._first_trust_root()
        token = JoinToken(
            hub=self._settings.https_address,
            ca=self._authority.fingerprint,
            secret=secret,
            role=invitee.role,
            id=invitee.id,
            origin=self._origin(first),
            trust_root=hashlib.sha256(first).hexdigest() if first else "",
        )
        return token.encode(), expires_at

    def join(self, body: bytes) -> dict[str, Any]:
        """Answer POST /v1/join; the same keys get the same certificate again while the token lives."""
        request = verify_join_request(body)
        if len(request.address) > ADDRESS_CHARACTERS_MAX:
            raise Malformed(
                REASON_WRONG_SHAPE, f"An address has at most {ADDRESS_CHARACTERS_MAX} characters."
            )
        certificate = self._writer.call(lambda connection: self._register(connection, request))
        first = self._first_trust_root()
        return join_response(
            certificate_pem=certificate,
            ca_pem=self._authority.ca_pem,
            grpc_address=self._settings.grpc_address,
            https_address=self._settings.https_address,
            origin=self._origin(first),
            trust_root=first,
        )

    def _origin(self, first: bytes | None) -> str:
        """Give the origin that the first trust root names: from there a newcomer follows the log."""
        return self._settings.origin if first is None else describe(first).origin

    def list_parties(self) -> list[Party]:
        """Give everybody who has joined."""
        with self._readers.begin() as connection:
            return list(parties.list_parties(connection))

    def _register(self, connection: Connection, request: JoinRequest) -> bytes:
        secret_hash = _secret_hash(request.token_secret)
        invitation = parties.find_invitation(connection, secret_hash)
        now = self._clock()
        if invitation is None or invitation.expires_at <= now:
            raise Refused(REASON_TOKEN_INVALID, "The token is unknown or has expired.", remedy=REINVITE)
        if invitation.public_key not in (None, request.public_key):
            raise Refused(
                REASON_TOKEN_INVALID, "The token was already used with another signing key.", remedy=REINVITE
            )
        tls_key_hash = _tls_key_hash(request.csr_pem)
        if invitation.request_hash == tls_key_hash and invitation.certificate_pem is not None:
            return invitation.certificate_pem
        certificate = self._issue(invitation, request)
        parties.use_invitation(
            connection,
            secret_hash,
            public_key=request.public_key,
            request_hash=tls_key_hash,
            certificate_pem=certificate,
        )
        parties.put_party(connection, _party(invitation, request, now))
        return certificate

    def _issue(self, invitation: Invitation, request: JoinRequest) -> bytes:
        """Issue a certificate; who states an address may also serve there."""
        name = SpiffeName(trust_domain(self._settings.origin), Role(invitation.role), invitation.id)
        return self._authority.issue(
            request.csr_pem,
            name,
            days=self._settings.certificate_days,
            server_names=server_names(request.address) if request.address else (),
        )


def _check_invitee(invitee: Invitee) -> None:
    if invitee.role not in INVITED_ROLES:
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, f"Nobody is invited as {invitee.role.value}.")
    if not re.fullmatch(ID_PATTERN, invitee.id):
        raise Malformed(
            REASON_UNKNOWN_FIELD_VALUE,
            "An id has 2 to 63 characters: small letters, digits and hyphens, not first a hyphen.",
        )
    if max(len(invitee.name), len(invitee.name_zh)) > NAME_CHARACTERS_MAX:
        raise Malformed(REASON_WRONG_SHAPE, f"A name has at most {NAME_CHARACTERS_MAX} characters.")


def _secret_hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _tls_key_hash(csr_pem: bytes) -> bytes:
    """Hash the request's public key: the request itself is signed anew each time it is made."""
    key = x509.load_pem_x509_csr(csr_pem).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def _party(invitation: Invitation, request: JoinRequest, now: int) -> Party:
    return Party(
        role=invitation.role,
        id=invitation.id,
        name=invitation.name,
        name_zh=invitation.name_zh,
        public_key=request.public_key,
        address=request.address,
        sealing_key=request.sealing_key,
        evaluation_quota=invitation.evaluation_quota,
        joined_at=now,
    )
