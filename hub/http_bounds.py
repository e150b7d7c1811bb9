"""What a caller may ask over HTTPS before anything is looked at: a body's size, calls a minute and at once.

A caller is the name in its certificate, else its address. The log's own files and the probes are not counted:
they are cheap, and an auditor reads them by the thousand.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.bounds import CallerBounds
from hub.https import peer_of
from hub.problem_answers import problem_answer
from protos.problems import Malformed, Problem, Refused
from protos.v1.problem_pb2 import REASON_MESSAGE_TOO_LARGE

UNCOUNTED = ("/checkpoint", "/log.vkey", "/tile/", "/v1/bodies/", "/livez", "/readyz", "/status.css")
RETRY_SECONDS = 60


class HttpBounds:
    """Refuses in front of an application what is too much; a body is whole before the application sees it."""

    def __init__(self, app: ASGIApp, *, per_minute: int, at_once: int, body_bytes_max: int) -> None:
        self._app = app
        self._bounds = CallerBounds(per_minute=per_minute, at_once=at_once)
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"].startswith(UNCOUNTED):
            await self._app(scope, receive, send)
            return
        try:
            with self._bounds.admit(_caller(scope)):
                body = await self._whole_body(receive) if scope["method"] == "POST" else b""
                await self._app(scope, _given(body, receive), send)
        except Problem as problem:
            await _refusal(Request(scope), problem)(scope, receive, send)

    async def _whole_body(self, receive: Receive) -> bytes:
        """Read a body; stops as soon as it is longer than allowed."""
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._body_bytes_max:
                raise Malformed(
                    REASON_MESSAGE_TOO_LARGE, f"A request has at most {self._body_bytes_max} bytes."
                )
            if not message.get("more_body", False):
                return bytes(body)


def _given(body: bytes, receive: Receive) -> Receive:
    """Hand over a body once; what comes after it is the connection's."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return pending.pop() if pending else await receive()

    return next_message


def _caller(scope: Scope) -> str:
    peer, client = peer_of(scope), scope.get("client")
    if peer is not None:
        return str(peer)
    return client[0] if client else "unknown"


def _refusal(request: Request, problem: Problem) -> Response:
    headers = {"Retry-After": str(RETRY_SECONDS)} if isinstance(problem, Refused) else None
    return problem_answer(request, problem, headers=headers)
