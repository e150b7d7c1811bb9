"""The read API over HTTPS: the public log, totals with intervals, joining; accounts for those with a role.

Nothing here writes but joining. Every answer carries the same strict headers; every refusal is a Problem.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from hub import pages, templates
from hub.account_exports import AccountExports
from hub.api_accounts import add_account_routes
from hub.api_books import BookParts, book_routes
from hub.api_programmes import programme_routes
from hub.api_rewards import RewardParts, reward_routes
from hub.board_entries import BoardEntries
from hub.book_views import BookViews
from hub.bounds import CallerBounds
from hub.callers import Peer, require
from hub.configuration import Limits
from hub.http_bounds import HttpBounds
from hub.join import Registrar
from hub.log import PublicLog
from hub.participation import Participation
from hub.problem_answers import problem_answer
from hub.programme_views import ProgrammeViews
from hub.views import AccountView, EnterpriseView, EpochView, PopulationView, StatusView, Views
from protos.problems import Malformed, Problem, Unavailable
from protos.v1.problem_pb2 import (
    REASON_MALFORMED_MESSAGE,
    REASON_NOT_FOUND,
)
from runtime.identity import Role
from runtime.metrics import Metrics

JOINS_PER_MINUTE = 60
JOINS_AT_ONCE = 4
BINARY = "application/octet-stream"
_SEE_SCHEMA = "See /openapi.json."
IMMUTABLE = "public, max-age=31536000, immutable"
FRESH = "no-cache"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class Parts:
    """What the API reads from; `waiting_for` gives "" when the hub is ready, else the reason."""

    views: Views
    log: PublicLog
    registrar: Registrar
    ca_pem: bytes
    metrics: Metrics
    waiting_for: Callable[[], str]
    limits: Limits
    rewards: RewardParts
    books: BookViews
    programmes: ProgrammeViews
    boards: BoardEntries
    participation: Participation
    exports: AccountExports


def create_app(parts: Parts) -> FastAPI:
    """Put the application together."""
    app = FastAPI(
        title="CGSP hub",
        version="1",
        docs_url=None,
        redoc_url=None,
        description="Public log, population totals and joining. 公开日志、人群总量与接入。",
    )
    limits = parts.limits
    app.add_middleware(
        HttpBounds,
        per_minute=limits.http_calls_per_minute,
        at_once=limits.http_calls_at_once,
        body_bytes_max=limits.http_body_bytes_max,
    )
    _guard(app)
    _log_routes(app, parts)
    _health_routes(app, parts)
    _figure_routes(app, parts)
    _account_routes(app, parts)
    _join_route(app, parts)
    _page_routes(app, parts)
    app.include_router(reward_routes(parts.rewards))
    app.include_router(book_routes(BookParts(parts.books, parts.participation, parts.boards)))
    app.include_router(programme_routes(parts.programmes))
    add_account_routes(app, parts.participation, parts.exports)
    return app


def _guard(app: FastAPI) -> None:
    """Set headers on every answer and give every error one shape."""

    @app.middleware("http")
    async def strict_headers(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = await call_next(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", FRESH)
        return response

    @app.exception_handler(Problem)
    async def refused(request: Request, problem: Problem) -> Response:
        return problem_answer(request, problem)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        places = sorted({".".join(str(part) for part in one["loc"]) for one in error.errors()})
        message = f"The request does not have the expected form: {', '.join(places)}."
        return problem_answer(request, Malformed(REASON_MALFORMED_MESSAGE, message, remedy=_SEE_SCHEMA))

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        if error.status_code == HTTPStatus.NOT_FOUND:
            problem: Problem = Unavailable(
                REASON_NOT_FOUND, "There is nothing at this path.", remedy="See / and /openapi.json."
            )
        else:
            problem = Malformed(REASON_MALFORMED_MESSAGE, HTTPStatus(error.status_code).phrase)
        return problem_answer(request, problem, status=error.status_code, headers=error.headers)


def _log_routes(app: FastAPI, parts: Parts) -> None:
    @app.get("/checkpoint", response_class=PlainTextResponse, tags=["log"])
    def checkpoint() -> Response:
        """Give the newest checkpoint (C2SP tlog-checkpoint)."""
        return PlainTextResponse(parts.log.checkpoint(), headers={"Cache-Control": FRESH})

    @app.get("/log.vkey", response_class=PlainTextResponse, tags=["log"])
    def verifier_key() -> Response:
        """Give the log's verifier key; trust it only as the trust root names it."""
        return PlainTextResponse(parts.log.vkey())

    @app.get("/tile/{path:path}", response_class=Response, tags=["log"])
    def tile(path: str) -> Response:
        """Give a tile or an entry bundle (C2SP tlog-tiles)."""
        return Response(parts.log.tile(path), media_type=BINARY, headers={"Cache-Control": IMMUTABLE})

    @app.get("/v1/bodies/{index}/{position}", response_class=Response, tags=["log"])
    def body(index: Annotated[int, Path(ge=0)], position: Annotated[int, Path(ge=0)], peer: Peer) -> Response:
        """Give one body beside an entry; those with persons in them only to auditors and the operator."""
        found = parts.views.body(index, position)
        if found.private:
            require(peer, Role.AUDITOR, Role.OPERATOR)
        caching = "private, no-store" if found.private else IMMUTABLE
        return Response(found.data, media_type=BINARY, headers={"Cache-Control": caching})

    @app.get("/v1/ca", response_class=PlainTextResponse, tags=["join"])
    def authority() -> Response:
        """Give the hub's certificate authority; a token pins its fingerprint."""
        return Response(parts.ca_pem, media_type="application/x-pem-file")


def _health_routes(app: FastAPI, parts: Parts) -> None:
    @app.get("/livez", response_class=PlainTextResponse, tags=["health"])
    async def alive() -> Response:
        """Say that the process answers."""
        return PlainTextResponse("ok\n")

    @app.get("/readyz", response_class=PlainTextResponse, tags=["health"])
    async def ready() -> Response:
        """Say whether the hub takes messages, and if not what it waits for."""
        reason = parts.waiting_for()
        status = HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK
        return PlainTextResponse(f"{reason or 'ok'}\n", status)

    @app.get("/metrics", response_class=PlainTextResponse, tags=["health"])
    def metrics() -> Response:
        """Give figures about the process for Prometheus."""
        return Response(parts.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _figure_routes(app: FastAPI, parts: Parts) -> None:
    @app.get("/v1/status", tags=["figures"])
    def status() -> StatusView:
        """Give the log's size and root and the number of accounts."""
        return parts.views.status()

    @app.get("/v1/enterprises", tags=["figures"])
    def enterprises() -> list[EnterpriseView]:
        """Give the registered enterprises and the size of their rosters, which is public."""
        return parts.views.enterprises()

    @app.get("/v1/epochs", tags=["figures"])
    def epochs() -> list[EpochView]:
        """Give each epoch's state, who has released and who is waited for."""
        return parts.views.epochs()

    @app.get("/v1/population", tags=["figures"])
    def population() -> PopulationView:
        """Give the totals of each epoch with 95 % intervals of their noise, in grams."""
        return parts.views.population()


def _account_routes(app: FastAPI, parts: Parts) -> None:
    @app.get("/v1/accounts/{account}", tags=["accounts"])
    def account(
        account: Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="16 bytes in hex")], peer: Peer
    ) -> AccountView:
        """Give one account, to the operator and registered auditors."""
        require(peer, Role.OPERATOR, Role.AUDITOR)
        return parts.views.account(bytes.fromhex(account))


def _join_route(app: FastAPI, parts: Parts) -> None:
    bounds = CallerBounds(per_minute=JOINS_PER_MINUTE, at_once=JOINS_AT_ONCE)

    @app.post("/v1/join", tags=["join"])
    async def join(request: Request) -> dict[str, Any]:
        """Take a one-time token's secret, a signing request and a proof of possession; give a certificate."""
        caller = request.client.host if request.client else "unknown"
        with bounds.admit(caller):
            return await run_in_threadpool(parts.registrar.join, await request.body())


def _page_routes(app: FastAPI, parts: Parts) -> None:
    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def page(
        lang: Annotated[str | None, Query(max_length=8)] = None,
        accept_language: Annotated[str, Header()] = "",
    ) -> Response:
        views = parts.views
        html = pages.status_page(
            templates.language_of(lang, accept_language),
            views.status(),
            views.enterprises(),
            views.epochs(),
            views.population().epochs,
        )
        return HTMLResponse(html, headers={"Vary": "Accept-Language"})

    @app.get("/status.css", response_class=Response, include_in_schema=False)
    def style() -> Response:
        return Response(
            templates.style_sheet(), media_type="text/css", headers={"Cache-Control": "public, max-age=3600"}
        )
