"""Certificates: names the authority states, keys of one curve, files of one owner."""

from __future__ import annotations

import base64
import contextlib
import datetime
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from protos.problems import Malformed, Unverified
from runtime.authority import CertificateAuthority
from runtime.identity import (
    Identity,
    Role,
    SpiffeName,
    load_certificate,
    load_tls_key,
    make_tls_key,
    trust_domain,
)

NAME = SpiffeName("cgsp.example", Role.NODE, "bike-share-1")
PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


def test_name_is_written_and_read() -> None:
    assert str(NAME) == "spiffe://cgsp.example/node/bike-share-1"
    assert SpiffeName.parse(str(NAME)) == NAME
    assert NAME.dns_name == "bike-share-1.node.cgsp.example"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "https://cgsp.example/node/a1",
        "spiffe://cgsp.example/node",
        "spiffe://cgsp.example/node/a1/b",
        "spiffe://cgsp.example/root/a1",
        "spiffe://cgsp.example/node/A1",
        "spiffe://cgsp.example/node/a1\n",
        "spiffe:///node/a1",
        "spiffe://CGSP/node/a1",
    ],
)
def test_other_names_are_not_trusted(uri: str) -> None:
    with pytest.raises(Unverified, match="SPIFFE"):
        SpiffeName.parse(uri)


def test_trust_domain_is_the_origins_host() -> None:
    assert trust_domain("cgsp.example/log/1") == "cgsp.example"
    with pytest.raises(Malformed, match="host name"):
        trust_domain("CGSP log")


def test_certificate_with_a_changed_byte_is_not_trusted(authority: CertificateAuthority) -> None:
    identity = authority.issue_identity(NAME, server_names=["127.0.0.1"])
    certificate = load_certificate(identity.certificate_pem)
    der = certificate.public_bytes(serialization.Encoding.DER)
    unused_bits = der.rindex(b"\x00" + certificate.signature)
    for position in range(len(der)):
        changed = der[:position] + bytes([der[position] ^ 1]) + der[position + 1 :]
        body = base64.encodebytes(changed)
        pem = b"-----BEGIN CERTIFICATE-----\n%b-----END CERTIFICATE-----\n" % body
        with pytest.raises(Unverified) if position != unused_bits else contextlib.suppress(Unverified):
            Identity(identity.key_pem, pem, identity.ca_pem).check()


def test_identity_is_saved_for_its_owner_alone(authority: CertificateAuthority, tmp_path: Path) -> None:
    identity = authority.issue_identity(NAME)
    identity.save(tmp_path)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert Identity.load(tmp_path) == identity
    assert identity.name == NAME


def test_identity_of_mixed_parts_is_not_loaded(authority: CertificateAuthority, tmp_path: Path) -> None:
    identity = authority.issue_identity(NAME)
    foreign = CertificateAuthority.create("cgsp.example")
    for mixed in (
        Identity(make_tls_key(), identity.certificate_pem, identity.ca_pem),
        Identity(identity.key_pem, identity.certificate_pem, foreign.ca_pem),
        Identity(identity.key_pem, authority.ca_pem, identity.ca_pem),
        Identity(b"", identity.certificate_pem, identity.ca_pem),
        Identity(identity.key_pem, b"", identity.ca_pem),
    ):
        mixed.save(tmp_path)
        with pytest.raises(Unverified):
            Identity.load(tmp_path)


def test_only_p256_keys_are_taken() -> None:
    other = ec.generate_private_key(ec.SECP384R1()).private_bytes(PEM, PKCS8, serialization.NoEncryption())
    with pytest.raises(Unverified, match="P-256"):
        load_tls_key(other)


def test_renewal_is_noted_after_two_thirds_of_the_life(authority: CertificateAuthority) -> None:
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    identity = authority.issue_identity(NAME, days=30, now=now)
    assert identity.not_after == now + datetime.timedelta(days=30)
    assert identity.renewal_note(now + datetime.timedelta(days=19)) == ""
    assert "ends 2026-01-31" in identity.renewal_note(now + datetime.timedelta(days=21))
    assert "expired" in identity.renewal_note(now + datetime.timedelta(days=30))
