"""The hub's certificate authority: one P-256 root that issues short-lived certificates from signing requests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from runtime.identity import Identity, SpiffeName

CA_KEY_FILE = "ca.key.pem"
CERTIFICATE_DAYS = 30


class CertificateAuthority:
    """Issues certificates whose SPIFFE name the authority itself states; a request's own names are ignored."""

    def __init__(self, key_pem: bytes, certificate_pem: bytes) -> None:
        raise NotImplementedError

    @classmethod
    def create(cls, trust_domain: str, *, days: int = 3650) -> Self:
        """Make a new root."""
        raise NotImplementedError

    @classmethod
    def load(cls, home: Path) -> Self:
        """Read ca.key.pem and ca.pem of a home folder; raises Unverified CERTIFICATE_INVALID."""
        raise NotImplementedError

    def save(self, home: Path) -> None:
        """Write both files, 0600."""
        raise NotImplementedError

    @property
    def ca_pem(self) -> bytes:
        """Give the root certificate."""
        raise NotImplementedError

    @property
    def ca_der(self) -> bytes:
        """Give the root certificate as it stands in the trust root."""
        raise NotImplementedError

    @property
    def fingerprint(self) -> str:
        """Give the hex SHA-256 of the root certificate's DER."""
        raise NotImplementedError

    def issue(
        self,
        csr_pem: bytes,
        name: SpiffeName,
        *,
        days: int = CERTIFICATE_DAYS,
        server_names: Sequence[str] = (),
    ) -> bytes:
        """Sign a request: clientAuth always, serverAuth too when server names (hosts or IPs) are given; PEM."""
        raise NotImplementedError

    def issue_identity(
        self, name: SpiffeName, *, days: int = CERTIFICATE_DAYS, server_names: Sequence[str] = ()
    ) -> Identity:
        """Make a key here and its certificate: for the hub's own processes and operator."""
        raise NotImplementedError
