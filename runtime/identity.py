"""A process's TLS identity: a P-256 key, a short-lived certificate with a SPIFFE name, the hub's authority.

Ed25519 certificates are refused by gRPC's TLS stack, so TLS keys are P-256; signing keys are kept apart.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from protos.problems import Malformed, Unverified
from protos.v1.problem_pb2 import REASON_CERTIFICATE_INVALID, REASON_UNKNOWN_FIELD_VALUE
from runtime.files import read_bounded, read_private, write_private

KEY_FILE = "tls.key.pem"
CERTIFICATE_FILE = "tls.pem"
AUTHORITY_FILE = "ca.pem"
PEM_BYTES_MAX = 16_384
# All that cryptography raises at a certificate or request that is cut, changed or odd.
X509_FAULTS = (
    ValueError,
    TypeError,
    InvalidSignature,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

_ID = re.compile(r"[a-z0-9][a-z0-9-]{1,62}")
_DOMAIN = re.compile(
    r"(?=.{1,120}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
)


class Role(StrEnum):
    """What a certificate's holder is."""

    HUB = "hub"
    NODE = "node"
    CUSTODIAN = "custodian"
    AUDITOR = "auditor"
    OPERATOR = "operator"


def trust_domain(origin: str) -> str:
    """Give the part of the log's origin before the first slash; raises Malformed unless it is a host name."""
    domain = origin.partition("/")[0]
    if not _DOMAIN.fullmatch(domain):
        raise Malformed(
            REASON_UNKNOWN_FIELD_VALUE,
            "A log's origin starts with a lower-case host name.",
            remedy="For example cgsp.example/log.",
        )
    return domain


@dataclass(frozen=True, slots=True)
class SpiffeName:
    """spiffe://<trust domain>/<role>/<id>."""

    trust_domain: str
    role: Role
    id: str

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Read the URI; raises Unverified CERTIFICATE_INVALID."""
        scheme, _, rest = uri.partition("://")
        domain, *path = rest.split("/")
        well_formed = (
            scheme == "spiffe" and len(path) == 2 and _DOMAIN.fullmatch(domain) and _ID.fullmatch(path[1])
        )
        if not well_formed or path[0] not in {role.value for role in Role}:
            raise _invalid("The certificate's SPIFFE name is not spiffe://<domain>/<role>/<id>.")
        return cls(domain, Role(path[0]), path[1])

    @property
    def dns_name(self) -> str:
        """Give the host name every certificate of this party carries, whatever address it serves at."""
        return f"{self.id}.{self.role.value}.{self.trust_domain}"

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}/{self.role.value}/{self.id}"


def make_tls_key() -> bytes:
    """Make a P-256 key; PEM (PKCS#8, unencrypted: the file's mode protects it)."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_tls_key(key_pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Read a P-256 key; raises Unverified CERTIFICATE_INVALID."""
    try:
        key = serialization.load_pem_private_key(key_pem, None)
    except (ValueError, TypeError):
        raise _invalid("The TLS key is not a PEM key without passphrase.") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _invalid("The TLS key is not of curve P-256.")
    return key


def load_certificate(certificate_pem: bytes) -> x509.Certificate:
    """Read one certificate; raises Unverified CERTIFICATE_INVALID."""
    if len(certificate_pem) > PEM_BYTES_MAX:
        raise _invalid(f"The certificate is larger than {PEM_BYTES_MAX} bytes.")
    try:
        return x509.load_pem_x509_certificate(certificate_pem)
    except X509_FAULTS:
        raise _invalid("The certificate is not PEM.") from None


def make_csr(key_pem: bytes, name: SpiffeName) -> bytes:
    """Ask for a certificate of that name; PEM."""
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name.id)]))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(name))]), critical=False
        )
        .sign(load_tls_key(key_pem), hashes.SHA256())
    )
    return request.public_bytes(serialization.Encoding.PEM)


def fingerprint(certificate_pem: bytes) -> str:
    """Give the hex SHA-256 of a certificate's DER."""
    der = load_certificate(certificate_pem).public_bytes(serialization.Encoding.DER)
    return hashlib.sha256(der).hexdigest()


def certificate_pem(der: bytes) -> bytes:
    """Write a DER certificate (the trust root's hub_ca) as PEM; raises Unverified CERTIFICATE_INVALID."""
    try:
        return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
    except X509_FAULTS:
        raise _invalid("The certificate is not DER.") from None


def spiffe_name(certificate: x509.Certificate) -> SpiffeName:
    """Give the certificate's one SPIFFE name; raises Unverified CERTIFICATE_INVALID."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise _invalid("The certificate has no SPIFFE name.") from None
    except X509_FAULTS:
        raise _invalid("The certificate's extensions cannot be read.") from None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise _invalid(f"The certificate has {len(uris)} URI names where it must have one.")
    return SpiffeName.parse(uris[0])


@dataclass(frozen=True, slots=True)
class Identity:
    """Key, certificate and authority of one process, all PEM."""

    key_pem: bytes
    certificate_pem: bytes
    ca_pem: bytes

    @classmethod
    def load(cls, home: Path) -> Self:
        """Read the three files of a home folder; raises Unverified CERTIFICATE_INVALID if they do not fit."""
        identity = cls(
            read_private(home / KEY_FILE, PEM_BYTES_MAX),
            read_bounded(home / CERTIFICATE_FILE, PEM_BYTES_MAX),
            read_bounded(home / AUTHORITY_FILE, PEM_BYTES_MAX),
        )
        identity.check()
        return identity

    def save(self, home: Path) -> None:
        """Write the three files, 0600; the key first, so that no certificate stands without one."""
        write_private(home / KEY_FILE, self.key_pem)
        write_private(home / CERTIFICATE_FILE, self.certificate_pem)
        write_private(home / AUTHORITY_FILE, self.ca_pem)

    def check(self) -> None:
        """See that the key is the certificate's and the authority signed it; raises Unverified."""
        certificate = load_certificate(self.certificate_pem)
        key = load_tls_key(self.key_pem).public_key()
        try:
            is_own = certificate.public_key() == key
            certificate.verify_directly_issued_by(load_certificate(self.ca_pem))
        except X509_FAULTS:
            raise _invalid("The certificate was not issued by this authority.") from None
        if not is_own:
            raise _invalid("The TLS key and the certificate do not belong together.")
        spiffe_name(certificate)

    @property
    def name(self) -> SpiffeName:
        """Give the certificate's SPIFFE name."""
        return spiffe_name(load_certificate(self.certificate_pem))

    @property
    def not_before(self) -> datetime.datetime:
        """Give the start of the certificate's validity, UTC."""
        return load_certificate(self.certificate_pem).not_valid_before_utc

    @property
    def not_after(self) -> datetime.datetime:
        """Give the end of the certificate's validity, UTC."""
        return load_certificate(self.certificate_pem).not_valid_after_utc

    def renewal_note(self, now: datetime.datetime) -> str:
        """Say that and how the certificate must be renewed; "" before two thirds of its life have passed."""
        life = self.not_after - self.not_before
        if now < self.not_before + life * 2 / 3:
            return ""
        state = "expired" if now >= self.not_after else "ends"
        return (
            f"The TLS certificate {state} {self.not_after:%Y-%m-%d %H:%M} UTC: "
            "ask the hub's operator for a new invitation of the same role and id, then join again."
        )


def _invalid(message: str) -> Unverified:
    return Unverified(
        REASON_CERTIFICATE_INVALID, message, remedy="Join again with a new invitation of the hub's operator."
    )
