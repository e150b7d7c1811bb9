"""A caller asks over HTTPS within its own bounds; the log's files and the probes are free."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from hub.http_bounds import HttpBounds
from hub.https import PEER_KEY
from protos.v1 import problem_pb2 as reasons
from runtime.identity import Role, SpiffeName

PER_MINUTE, BYTES_MAX = 5, 100


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the body."""
    await Response(await Request(scope, receive).body())(scope, receive, send)


@pytest.fixture
def bounds() -> HttpBounds:
    return HttpBounds(echo, per_minute=PER_MINUTE, at_once=2, body_bytes_max=BYTES_MAX)


def ask(
    bounds: HttpBounds,
    path: str = "/v1/quotes",
    parts: Sequence[bytes] = (b"",),
    method: str = "POST",
    client: str = "192.0.2.1",
    peer: SpiffeName | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """Ask once; give status, headers and body."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [],
        "client": (client, 1),
    }
    scope |= {PEER_KEY: peer} if peer else {}
    arriving: list[Message] = [
        {"type": "http.request", "body": part, "more_body": at + 1 < len(parts)}
        for at, part in enumerate(parts)
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return arriving.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(bounds(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, sent[1]["body"]


def test_a_body_of_any_parts_is_handed_over_whole(bounds: HttpBounds) -> None:
    assert ask(bounds, parts=[b"a" * 40, b"", b"b" * 60])[::2] == (200, b"a" * 40 + b"b" * 60)


@pytest.mark.parametrize("parts", [[b"a" * 101], [b"a" * 60, b"b" * 41, b"c" * 10_000]])
def test_a_body_too_large_is_refused(bounds: HttpBounds, parts: list[bytes]) -> None:
    status, _, body = ask(bounds, parts=parts)
    assert status == 413
    assert json.loads(body)["reason"] == reasons.REASON_MESSAGE_TOO_LARGE


def test_beyond_its_share_a_caller_waits_and_others_do_not(bounds: HttpBounds) -> None:
    assert [ask(bounds)[0] for _ in range(PER_MINUTE)] == [200] * PER_MINUTE
    status, headers, body = ask(bounds)
    assert (status, headers["retry-after"]) == (429, "60")
    assert json.loads(body)["reason"] == reasons.REASON_RATE_EXCEEDED
    assert ask(bounds, client="192.0.2.2")[0] == 200
    assert ask(bounds, peer=SpiffeName("hub.example", Role.NODE, "bikes"))[0] == 200


@pytest.mark.parametrize("path", ["/tile/0/000", "/checkpoint", "/v1/bodies/1/0", "/readyz"])
def test_the_logs_files_and_the_probes_are_not_counted(bounds: HttpBounds, path: str) -> None:
    assert {ask(bounds, path, method="GET")[0] for _ in range(2 * PER_MINUTE)} == {200}
