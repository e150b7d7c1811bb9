"""A small HTTPS client for the hub's public face: authority pinned, answers bounded, no redirects."""

from __future__ import annotations

import http.client
import socket
import ssl
import tempfile
import threading
import time
from typing import NamedTuple

from protos.problems import Malformed, Problem, Unavailable, Unverified
from protos.v1.problem_pb2 import (
    REASON_CERTIFICATE_INVALID,
    REASON_MALFORMED_MESSAGE,
    REASON_MESSAGE_TOO_LARGE,
    REASON_PEER_UNREACHABLE,
)
from runtime.addresses import parse_address
from runtime.identity import PEM_BYTES_MAX, Identity, fingerprint
from runtime.problems import from_http

_READ_BYTES = 65_536
_ERROR_BYTES_MAX = 16_384
USER_AGENT = "cgsp-gateway"


class Answer(NamedTuple):
    """What came back: status and body."""

    status: int
    body: bytes


def client_context(ca_pem: bytes | None, identity: Identity | None = None) -> ssl.SSLContext:
    """Make a TLS 1.3 context that trusts this authority alone; without one it checks nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if ca_pem is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(cadata=ca_pem.decode("ascii"))
    if identity is not None:
        # The ssl module reads keys from files only; this one is private (0600) and gone at once.
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(identity.key_pem + identity.certificate_pem)
            file.flush()
            context.load_cert_chain(file.name)
    return context


class HttpsClient:
    """One kept-alive connection to one host; safe to share between threads."""

    def __init__(self, address: str, context: ssl.SSLContext, *, timeout_seconds: float = 30.0) -> None:
        self._address = parse_address(address)
        self._context = context
        self._timeout_seconds = timeout_seconds
        self._connection: http.client.HTTPSConnection | None = None
        self._lock = threading.Lock()

    def get(self, path: str, limit: int) -> bytes:
        """Fetch at most `limit` bytes; raises the problem reported, NOT_FOUND for a bare 404."""
        return _checked(self.request("GET", path, None, limit))

    def post_json(self, path: str, body: bytes, limit: int) -> bytes:
        """Send JSON and fetch at most `limit` bytes of answer."""
        return _checked(self.request("POST", path, body, limit))

    def request(self, method: str, path: str, body: bytes | None, limit: int) -> Answer:
        """Make one request; a kept connection that was closed meanwhile is opened anew, once."""
        with self._lock:
            is_fresh = self._connection is None
            try:
                return self._exchange(method, path, body, limit)
            except (http.client.HTTPException, OSError) as failure:
                self._drop()
                if is_fresh or isinstance(failure, TimeoutError):
                    raise self._unreachable(failure) from None
            try:
                return self._exchange(method, path, body, limit)
            except (http.client.HTTPException, OSError) as failure:
                self._drop()
                raise self._unreachable(failure) from None

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, method: str, path: str, body: bytes | None, limit: int) -> Answer:
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(
                self._address.host, self._address.port, timeout=self._timeout_seconds, context=self._context
            )
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        deadline = time.monotonic() + self._timeout_seconds
        self._connection.request(method, path, body=body, headers=headers)
        response = self._connection.getresponse()
        try:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise Malformed(
                    REASON_MALFORMED_MESSAGE, "The answer is compressed, which was not asked for."
                )
            bound = limit if response.status == 200 else max(limit, _ERROR_BYTES_MAX)
            return Answer(response.status, _read(response, bound, deadline))
        except Problem:
            self._drop()
            raise

    def _unreachable(self, failure: Exception) -> Problem:
        where = f"{self._address}"
        if isinstance(failure, ssl.SSLCertVerificationError):
            return Unverified(
                REASON_CERTIFICATE_INVALID,
                f"The certificate of {where} does not hold: {failure.verify_message}.",
                remedy="Check the address; if it is right, do not trust this server.",
            )
        match failure:
            case ssl.SSLError():
                said = failure.reason or "TLS failed"
            case TimeoutError():
                said = f"no answer within {self._timeout_seconds:g} s"
            case socket.gaierror():
                said = "the host name is not known"
            case OSError():
                said = failure.strerror or type(failure).__name__
            case _:
                said = f"not an HTTP answer ({type(failure).__name__})"
        return Unavailable(
            REASON_PEER_UNREACHABLE,
            f"Cannot reach {where} over HTTPS: {said}.",
            remedy="Check the address, that the server runs, and the firewall; then try again.",
        )


def _read(response: http.client.HTTPResponse, limit: int, deadline: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := response.read1(min(_READ_BYTES, limit + 1 - size)):
        parts.append(part)
        size += len(part)
        if size > limit:
            raise Malformed(REASON_MESSAGE_TOO_LARGE, f"The answer is larger than {limit} bytes.")
        if time.monotonic() > deadline:
            raise TimeoutError
    # http.client reports a body cut short only to read(), not to read1().
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    # Nor does read1() see the end of a body, without which the connection takes no further request.
    response.close()
    return b"".join(parts)


def _checked(answer: Answer) -> bytes:
    if answer.status != 200:
        raise from_http(answer.status, answer.body)
    return answer.body


def fetch_authority(address: str, expected_fingerprint: str, *, timeout_seconds: float = 30.0) -> bytes:
    """Fetch a hub's authority (PEM) over a connection nobody vouches for and hold it to its fingerprint."""
    client = HttpsClient(address, client_context(None), timeout_seconds=timeout_seconds)
    try:
        pem = client.get("/v1/ca", PEM_BYTES_MAX)
    finally:
        client.close()
    if fingerprint(pem) != expected_fingerprint:
        raise Unverified(
            REASON_CERTIFICATE_INVALID,
            f"The authority of {address} is not the one that was handed over.",
            remedy="Check the address and ask the hub's operator for the fingerprint on another way.",
        )
    return pem
