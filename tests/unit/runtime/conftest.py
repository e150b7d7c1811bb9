"""Certificates made once for the package's tests."""

from __future__ import annotations

import pytest

from runtime.authority import CertificateAuthority
from runtime.identity import Identity, Role, SpiffeName

DOMAIN = "cgsp.example"


@pytest.fixture(scope="session")
def authority() -> CertificateAuthority:
    """Give the hub's authority."""
    return CertificateAuthority.create(DOMAIN)


@pytest.fixture(scope="session")
def hub(authority: CertificateAuthority) -> Identity:
    """Give the hub's identity, serving on loopback."""
    return authority.issue_identity(
        SpiffeName(DOMAIN, Role.HUB, "hub-1"), server_names=["localhost", "127.0.0.1"]
    )


@pytest.fixture(scope="session")
def node(authority: CertificateAuthority) -> Identity:
    """Give a node's identity."""
    return authority.issue_identity(SpiffeName(DOMAIN, Role.NODE, "bike-share-1"))
