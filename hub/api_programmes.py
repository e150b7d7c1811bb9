"""The programmes over HTTPS, as JSON and as pages, for everybody."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import HTMLResponse

from hub.programme_pages import list_page, programme_page
from hub.programme_views import ProgrammeLine, ProgrammeView, ProgrammeViews
from hub.templates import language_of

Id = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
Language = Annotated[str | None, Query(max_length=8)]
Accepted = Annotated[str, Header()]
_HEADERS = {"Vary": "Accept-Language"}


def programme_routes(programmes: ProgrammeViews) -> APIRouter:
    """Make the routes."""
    router = APIRouter(tags=["programmes"])

    @router.get("/v1/programmes")
    def listed() -> list[ProgrammeLine]:
        """List the programmes in the log, as they stand."""
        return programmes.programmes()

    @router.get("/v1/programmes/{programme}")
    def shown(programme: Id) -> ProgrammeView:
        """Show a programme's rules, and what came of its points, funds, tonnes and boards."""
        return programmes.programme(programme)

    @router.get("/programmes", response_class=HTMLResponse, include_in_schema=False)
    def list_as_page(lang: Language = None, accept_language: Accepted = "") -> HTMLResponse:
        html = list_page(language_of(lang, accept_language), programmes.programmes())
        return HTMLResponse(html, headers=_HEADERS)

    @router.get("/programmes/{programme}", response_class=HTMLResponse, include_in_schema=False)
    def show_as_page(programme: Id, lang: Language = None, accept_language: Accepted = "") -> HTMLResponse:
        language = language_of(lang, accept_language)
        html = programme_page(language, programmes.programme(programme), programmes.names(language))
        return HTMLResponse(html, headers=_HEADERS)

    return router
