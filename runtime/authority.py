"""The hub's certificate authority: one P-256 root, short-lived certificates from signing requests."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protos.problems import Malformed, Unverified
from protos.v1.problem_pb2 import REASON_CERTIFICATE_INVALID, REASON_MALFORMED_MESSAGE
from runtime.files import read_bounded, read_private, write_private
from runtime.identity import (
    AUTHORITY_FILE,
    PEM_BYTES_MAX,
    X509_FAULTS,
    Identity,
    SpiffeName,
    load_certificate,
    load_tls_key,
    make_csr,
    make_tls_key,
)

CA_KEY_FILE = "ca.key.pem"
AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 30
SERVER_NAMES_MAX = 8
# Clocks of two parties may differ by this much.
CLOCK_SKEW = datetime.timedelta(minutes=5)


class CertificateAuthority:
    """Issues certificates under names that it states itself; the names inside a request are ignored."""

    def __init__(self, key_pem: bytes, certificate_pem: bytes) -> None:
        self._key_pem = key_pem
        self._key = load_tls_key(key_pem)
        self._certificate = load_certificate(certificate_pem)
        if self._certificate.public_key() != self._key.public_key():
            raise Unverified(
                REASON_CERTIFICATE_INVALID,
                "The authority's key and certificate do not belong together.",
                remedy="Restore both files from one backup.",
            )

    @classmethod
    def create(
        cls, trust_domain: str, *, days: int = AUTHORITY_DAYS, now: datetime.datetime | None = None
    ) -> Self:
        """Make a new root."""
        key_pem = make_tls_key()
        key = load_tls_key(key_pem)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"CGSP authority of {trust_domain}"[:64])])
        builder = _builder(name, name, key.public_key(), days, now or _now())
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(is_authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(key_pem, certificate.public_bytes(serialization.Encoding.PEM))

    @classmethod
    def load(cls, home: Path) -> Self:
        """Read ca.key.pem and ca.pem of a home folder; raises Unverified CERTIFICATE_INVALID."""
        return cls(
            read_private(home / CA_KEY_FILE, PEM_BYTES_MAX),
            read_bounded(home / AUTHORITY_FILE, PEM_BYTES_MAX),
        )

    def save(self, home: Path) -> None:
        """Write both files, 0600."""
        write_private(home / CA_KEY_FILE, self._key_pem)
        write_private(home / AUTHORITY_FILE, self.ca_pem)

    @property
    def ca_pem(self) -> bytes:
        """Give the root certificate."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def ca_der(self) -> bytes:
        """Give the root certificate as it stands in the trust root."""
        return self._certificate.public_bytes(serialization.Encoding.DER)

    @property
    def fingerprint(self) -> str:
        """Give the hex SHA-256 of the root certificate's DER."""
        return hashlib.sha256(self.ca_der).hexdigest()

    def issue(
        self,
        csr_pem: bytes,
        name: SpiffeName,
        *,
        days: int = CERTIFICATE_DAYS,
        server_names: Sequence[str] = (),
        now: datetime.datetime | None = None,
    ) -> bytes:
        """Sign a request; with server names (hosts or IPs) the holder may also serve. PEM."""
        public_key = load_csr(csr_pem).public_key()
        assert isinstance(public_key, ec.EllipticCurvePublicKey)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name.id)])
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH] + [ExtendedKeyUsageOID.SERVER_AUTH] * bool(server_names)
        authority_key = self._key.public_key()
        certificate = (
            _builder(self._certificate.subject, subject, public_key, days, now or _now())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(is_authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(x509.SubjectAlternativeName(_names(name, server_names)), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    def issue_identity(
        self,
        name: SpiffeName,
        *,
        days: int = CERTIFICATE_DAYS,
        server_names: Sequence[str] = (),
        now: datetime.datetime | None = None,
    ) -> Identity:
        """Make a key here and its certificate: for the hub's own processes and operator."""
        key_pem = make_tls_key()
        certificate = self.issue(make_csr(key_pem, name), name, days=days, server_names=server_names, now=now)
        return Identity(key_pem, certificate, self.ca_pem)


def load_csr(csr_pem: bytes) -> x509.CertificateSigningRequest:
    """Read a signing request for a P-256 key whose own signature holds; raises Malformed."""
    if len(csr_pem) > PEM_BYTES_MAX:
        raise _bad_request(f"it is larger than {PEM_BYTES_MAX} bytes")
    try:
        request = x509.load_pem_x509_csr(csr_pem)
        key = request.public_key()
        is_signed = request.is_signature_valid
    except X509_FAULTS:
        raise _bad_request("it is not a PEM signing request") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _bad_request("its key is not of curve P-256")
    if not is_signed:
        raise _bad_request("its own signature does not hold")
    return request


def _bad_request(why: str) -> Malformed:
    return Malformed(
        REASON_MALFORMED_MESSAGE,
        f"The signing request cannot be used: {why}.",
        remedy="Make a new P-256 key and request.",
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _builder(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: int, now: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _names(name: SpiffeName, server_names: Sequence[str]) -> list[x509.GeneralName]:
    if len(server_names) > SERVER_NAMES_MAX:
        raise Malformed(
            REASON_MALFORMED_MESSAGE,
            f"A certificate carries at most {SERVER_NAMES_MAX} server names, not {len(server_names)}.",
            remedy="Serve at one address.",
        )
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(str(name)), x509.DNSName(name.dns_name)]
    for server_name in server_names:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(server_name)))
        except ValueError:
            names.append(x509.DNSName(server_name))
    return names
