"""How a problem is told over HTTPS: a page where people look, application/problem+json elsewhere (RFC 9457).

Both follow Accept-Language. The Chinese is the catalogue's sentence; the English message stays beside it.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from hub.templates import LANGUAGE_TAGS, language_of, problem_page
from protos.problems import Problem
from runtime.languages import accepted_language
from runtime.problems import http_body, outcome, told_outside

MEDIA_TYPE = "application/problem+json"
# Paths whose answers people look at.
_PAGES = ("/books/", "/programmes")
# Paths that programs ask, though a person may open them in a browser.
_FOR_PROGRAMS = ("/v1/", "/tile/")


def problem_answer(
    request: Request, problem: Problem, *, status: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with a problem, by its own HTTP status unless another is given."""
    told = told_outside(problem)
    accepted = request.headers.get("accept-language", "")
    code = status or outcome(told.reason).http_status
    answer: Response
    if _is_looked_at(request):
        language = language_of(request.query_params.get("lang"), accepted)
        answer = HTMLResponse(problem_page(language, told), code, headers)
    else:
        language = accepted_language(accepted)
        answer = JSONResponse(http_body(told, language), code, headers, MEDIA_TYPE)
    answer.headers["Content-Language"] = LANGUAGE_TAGS[language]
    answer.headers["Vary"] = "Accept, Accept-Language"
    return answer


def _is_looked_at(request: Request) -> bool:
    """Tell whether a person looks: at one of our pages, or with a browser at what programs do not ask."""
    path = request.url.path
    if path == "/" or path.startswith(_PAGES):
        return True
    return not path.startswith(_FOR_PROGRAMS) and "text/html" in request.headers.get("accept", "")
