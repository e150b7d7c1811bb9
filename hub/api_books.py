"""The three books and the boards over HTTPS, as JSON and as pages; each to whom it belongs.

The government's book and boards are for everybody. An enterprise's is its own, by its certificate. A person's
is for whoever holds a ticket to view it. Operator and auditors may read all.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from hub.board_entries import BoardEntries
from hub.book_pages import book_page
from hub.book_views import Book, BookViews
from hub.callers import Peer, require
from hub.participation import Participation
from hub.templates import language_of
from hub.ticket_text import TicketText, ticket_bytes
from protos.problems import Refused
from protos.v1 import reward_pb2
from protos.v1.problem_pb2 import REASON_ROLE_NOT_ALLOWED
from runtime.identity import Role, SpiffeName

Id = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
TicketQuery = Annotated[TicketText, Query(description="base64url of a link ticket")]
Language = Annotated[str | None, Query(max_length=8)]
Accepted = Annotated[str, Header()]


class EntryBody(BaseModel):
    """What a person wants a board to show, and the ticket (base64url) that says so."""

    model_config = ConfigDict(extra="forbid", strict=True)

    alias: Annotated[str, Field(min_length=1, max_length=32)]
    shown: bool = True
    ticket: TicketText


@dataclass(frozen=True, slots=True)
class BookParts:
    """What the routes answer from."""

    books: BookViews
    participation: Participation
    boards: BoardEntries


def book_routes(parts: BookParts) -> APIRouter:
    """Make the routes."""
    router = APIRouter(tags=["books"])
    _json_routes(router, parts)
    _page_routes(router, parts)
    return router


def _json_routes(router: APIRouter, parts: BookParts) -> None:
    @router.get("/v1/books/government")
    def government() -> Book:
        """Give the government's book."""
        return parts.books.government()

    @router.get("/v1/books/enterprises/{enterprise}")
    def enterprise(enterprise: Id, peer: Peer) -> Book:
        """Give an enterprise's own book."""
        return _enterprise(parts, enterprise, peer)

    @router.get("/v1/books/person")
    def person(ticket: TicketQuery) -> Book:
        """Give the book of the person a ticket is of."""
        return _person(parts, ticket)

    @router.get("/v1/programmes/{programme}/boards/{board}")
    def board(programme: Id, board: Id) -> list[dict[str, Any]]:
        """Give a board of the population, each figure with its ±."""
        return [asdict(one) for one in parts.books.board(programme, board)]

    @router.post("/v1/programmes/{programme}/boards/{board}/entries")
    def join_board(programme: Id, board: Id, body: EntryBody) -> dict[str, Any]:
        """Show the ticket's person on a board of those that opted in, or no longer."""
        entry = reward_pb2.BoardEntry(programme=programme, board=board, alias=body.alias, shown=body.shown)
        parts.boards.change(entry, ticket_bytes(body.ticket))
        return {"alias": entry.alias, "shown": entry.shown}


def _page_routes(router: APIRouter, parts: BookParts) -> None:
    @router.get("/books/government", response_class=HTMLResponse, include_in_schema=False)
    def government_page(lang: Language = None, accept_language: Accepted = "") -> HTMLResponse:
        return _page(parts, parts.books.government(), lang, accept_language)

    @router.get("/books/enterprises/{enterprise}", response_class=HTMLResponse, include_in_schema=False)
    def enterprise_page(
        enterprise: Id, peer: Peer, lang: Language = None, accept_language: Accepted = ""
    ) -> HTMLResponse:
        return _page(parts, _enterprise(parts, enterprise, peer), lang, accept_language)

    @router.get("/books/person", response_class=HTMLResponse, include_in_schema=False)
    def person_page(
        ticket: TicketQuery, lang: Language = None, accept_language: Accepted = ""
    ) -> HTMLResponse:
        return _page(parts, _person(parts, ticket), lang, accept_language)


def _page(parts: BookParts, book: Book, lang: str | None, accepted: str) -> HTMLResponse:
    html = book_page(language_of(lang, accepted), book, parts.books.names)
    return HTMLResponse(html, headers={"Vary": "Accept-Language", "Cache-Control": "private, no-store"})


def _enterprise(parts: BookParts, enterprise: str, peer: SpiffeName | None) -> Book:
    require(peer, Role.NODE, Role.OPERATOR, Role.AUDITOR)
    if peer is not None and peer.role is Role.NODE and peer.id != enterprise:
        raise Refused(REASON_ROLE_NOT_ALLOWED, "An enterprise reads its own book.")
    return parts.books.enterprise(enterprise)


def _person(parts: BookParts, ticket: str) -> Book:
    return parts.books.person(parts.participation.viewed(ticket_bytes(ticket)))
