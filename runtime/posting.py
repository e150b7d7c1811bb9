"""One bounded POST to an http or https address; for witnesses, whose answers vouch for themselves."""

from __future__ import annotations

import http.client
import ssl
import time
from typing import NamedTuple
from urllib.parse import urlsplit

from protos.problems import Malformed, Unavailable
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID, REASON_PEER_UNREACHABLE

SECONDS_MAX = 10.0


class Posted(NamedTuple):
    """What came back."""

    status: int
    body: bytes
    content_type: str


def post(url: str, path: str, body: bytes, *, limit: int) -> Posted:
    """Send a body to `path` below the address; raises Unavailable where nothing sound comes back."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise Malformed(REASON_CONFIGURATION_INVALID, f"{url} is no http or https address.")
    connection = _connection(parts.scheme, parts.netloc)
    try:
        connection.request("POST", parts.path.rstrip("/") + path, body)
        response = connection.getresponse()
        deadline = time.monotonic() + SECONDS_MAX
        answer = response.read(limit + 1)
        if len(answer) > limit or time.monotonic() > deadline:
            raise _unreachable(url, "it says too much, or too slowly")
        return Posted(response.status, answer, response.headers.get("Content-Type", ""))
    except (http.client.HTTPException, OSError) as failure:
        raise _unreachable(url, str(failure) or type(failure).__name__) from None
    finally:
        connection.close()


def _connection(scheme: str, place: str) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(place, timeout=SECONDS_MAX)
    return http.client.HTTPSConnection(place, timeout=SECONDS_MAX, context=ssl.create_default_context())


def _unreachable(url: str, why: str) -> Unavailable:
    return Unavailable(
        REASON_PEER_UNREACHABLE,
        f"{url} cannot be asked: {why}.",
        remedy="Check the address, and that the witness serves; then try again.",
    )
