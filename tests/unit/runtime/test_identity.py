"""Certificates: names the authority states, keys of one curve, files of one owner."""

from __future__ import annotations

import base64
import contextlib
import datetime
import ipaddress
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from protos.problems import Malformed, Unverified
from runtime.authority import CertificateAuthority, load_csr
from runtime.identity import (
    Identity,
    Role,
    SpiffeName,
    certificate_pem,
    fingerprint,
    load_certificate,
    load_tls_key,
    make_csr,
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


def test_certificate_carries_what_the_authority_states(authority: CertificateAuthority) -> None:
    asked = SpiffeName("other.example", Role.OPERATOR, "root")
    pem = authority.issue(make_csr(make_tls_key(), asked), NAME, server_names=["127.0.0.1", "node.example"])
    certificate = load_certificate(pem)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [str(NAME)]
    assert names.get_values_for_type(x509.DNSName) == [NAME.dns_name, "node.example"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("127.0.0.1")]
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_only_a_server_may_serve(authority: CertificateAuthority) -> None:
    def uses(*names: str) -> set[x509.ObjectIdentifier]:
        pem = authority.issue(make_csr(make_tls_key(), NAME), NAME, server_names=names)
        return set(load_certificate(pem).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)

    assert uses() == {ExtendedKeyUsageOID.CLIENT_AUTH}
    assert uses("localhost") == {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}
    with pytest.raises(Malformed, match="at most 8"):
        uses(*(f"host-{number}" for number in range(9)))


def test_request_must_be_whole_and_of_the_curve() -> None:
    csr = make_csr(make_tls_key(), NAME)
    assert load_csr(csr).is_signature_valid
    for bad in (b"", b"x" * 20_000, csr[:-60], csr.replace(b"REQUEST", b"PICTURE")):
        with pytest.raises(Malformed, match="signing request"):
            load_csr(bad)
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    other_curve = builder.sign(ec.generate_private_key(ec.SECP384R1()), hashes.SHA256()).public_bytes(PEM)
    ed = builder.sign(ed25519.Ed25519PrivateKey.generate(), None).public_bytes(PEM)
    for wrong in (other_curve, ed):
        with pytest.raises(Malformed, match="P-256"):
            load_csr(wrong)


def test_request_with_a_changed_byte_is_refused() -> None:
    request = load_csr(make_csr(make_tls_key(), NAME))
    der = request.public_bytes(serialization.Encoding.DER)
    # The count of unused bits in the signature's BIT STRING says nothing; it may pass.
    unused_bits = der.rindex(b"\x00" + request.signature)
    for position in range(len(der)):
        changed = der[:position] + bytes([der[position] ^ 1]) + der[position + 1 :]
        body = base64.encodebytes(changed)
        with pytest.raises(Malformed) if position != unused_bits else contextlib.suppress(Malformed):
            load_csr(b"-----BEGIN CERTIFICATE REQUEST-----\n%b-----END CERTIFICATE REQUEST-----\n" % body)


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


def test_authority_is_saved_and_known_by_its_fingerprint(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    authority.save(tmp_path)
    loaded = CertificateAuthority.load(tmp_path)
    assert loaded.fingerprint == authority.fingerprint == fingerprint(authority.ca_pem)
    assert certificate_pem(authority.ca_der) == authority.ca_pem
    CertificateAuthority.create("cgsp.example").save(tmp_path / ".")
    authority_key = (tmp_path / "ca.key.pem").read_bytes()
    with pytest.raises(Unverified, match="do not belong together"):
        CertificateAuthority(authority_key, authority.ca_pem)
    with pytest.raises(Unverified, match="not DER"):
        certificate_pem(b"x")
