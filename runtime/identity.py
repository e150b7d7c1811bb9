"""A process's TLS identity: a P-256 key, a short-lived certificate with a SPIFFE name, the hub's authority.

Ed25519 certificates are refused by gRPC's TLS stack, so TLS keys are P-256; signing keys are kept apart.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

KEY_FILE = "tls.key.pem"
CERTIFICATE_FILE = "tls.pem"
AUTHORITY_FILE = "ca.pem"


class Role(StrEnum):
    """What a certificate's holder is."""

    HUB = "hub"
    NODE = "node"
    CUSTODIAN = "custodian"
    AUDITOR = "auditor"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class SpiffeName:
    """spiffe://<trust domain>/<role>/<id>."""

    trust_domain: str
    role: Role
    id: str

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Read the URI; raises Unverified CERTIFICATE_INVALID."""
        raise NotImplementedError

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}/{self.role.value}/{self.id}"


def trust_domain(origin: str) -> str:
    """Give the part of the log's origin before the first slash."""
    raise NotImplementedError


def make_tls_key() -> bytes:
    """Make a P-256 key; PEM (PKCS#8, unencrypted: the file's mode protects it)."""
    raise NotImplementedError


def make_csr(key_pem: bytes, name: SpiffeName) -> bytes:
    """Ask for a certificate of that name; PEM."""
    raise NotImplementedError


def fingerprint(certificate_pem: bytes) -> str:
    """Give the hex SHA-256 of a certificate's DER."""
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Identity:
    """Key, certificate and authority of one process, all PEM."""

    key_pem: bytes
    certificate_pem: bytes
    ca_pem: bytes

    @classmethod
    def load(cls, home: Path) -> Self:
        """Read the three files of a home folder; raises Unverified CERTIFICATE_INVALID."""
        raise NotImplementedError

    def save(self, home: Path) -> None:
        """Write the three files, 0600."""
        raise NotImplementedError

    @property
    def name(self) -> SpiffeName:
        """Give the certificate's SPIFFE name."""
        raise NotImplementedError

    @property
    def not_after(self) -> datetime.datetime:
        """Give the end of the certificate's validity, UTC."""
        raise NotImplementedError

    def renewal_note(self, now: datetime.datetime) -> str:
        """Say that and how the certificate must be renewed; "" before two thirds of its life have passed."""
        raise NotImplementedError
