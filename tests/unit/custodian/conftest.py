"""A federation of three custodians, made anew for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.authority import CertificateAuthority
from tests.unit.custodian.simulators import DOMAIN, Federation


@pytest.fixture(scope="session")
def authority() -> CertificateAuthority:
    """Give the hub's authority."""
    return CertificateAuthority.create(DOMAIN)


@pytest.fixture
def federation(tmp_path: Path, authority: CertificateAuthority) -> Federation:
    """Give a hub, three homes to be, and a trust root with one enterprise."""
    return Federation.build(tmp_path, authority)
