"""The authority certifies under names that it states itself, for keys of one curve."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from protos.problems import Malformed, Unverified
from runtime.authority import CertificateAuthority, load_csr
from runtime.identity import (
    Role,
    SpiffeName,
    certificate_pem,
    fingerprint,
    load_certificate,
    make_csr,
    make_tls_key,
)

NAME = SpiffeName("cgsp.example", Role.NODE, "bike-share-1")
PEM = serialization.Encoding.PEM


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


def test_authority_is_saved_and_known_by_its_fingerprint(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    authority.save(tmp_path)
    loaded = CertificateAuthority.load(tmp_path)
    assert loaded.fingerprint == authority.fingerprint == fingerprint(authority.ca_pem)
    assert certificate_pem(authority.ca_der) == authority.ca_pem
    CertificateAuthority.create("cgsp.example").save(tmp_path)
    authority_key = (tmp_path / "ca.key.pem").read_bytes()
    with pytest.raises(Unverified, match="do not belong together"):
        CertificateAuthority(authority_key, authority.ca_pem)
    with pytest.raises(Unverified, match="not DER"):
        certificate_pem(b"x")
