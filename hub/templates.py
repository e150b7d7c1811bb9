"""The pages' templates and style: plain HTML that needs no script and nothing from elsewhere."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

NAVIGATION = {
    "en": {
        "lang": "en",
        "language": "Language",
        "skip": "To the content",
        "menu": "Pages",
        "status": "Status",
        "government": "Government book",
        "programmes": "Programmes",
        "refused": "This could not be shown",
    },
    "zh": {
        "lang": "zh-CN",
        "language": "语言",
        "skip": "跳到正文",
        "menu": "页面",
        "status": "状态",
        "government": "政府账本",
        "programmes": "激励方案",
        "refused": "无法显示",
    },
}


def language_of(query: str | None, accepted: str) -> str:
    """Choose a page's language: what was asked for, else the browser's, else English."""
    if query in NAVIGATION:
        return query
    return "zh" if accepted.strip().lower().startswith("zh") else "en"


def render(name: str, language: str, **values: Any) -> str:
    """Render a template in a language; everything that is not a template's own is escaped."""
    return _environment().get_template(name).render(nav=NAVIGATION[language], language=language, **values)


def problem_page(language: str, message: str, remedy: str) -> str:
    """Render why something is not shown, and what to do."""
    title = NAVIGATION[language]["refused"]
    return render("problem.html", language, title=title, message=message, remedy=remedy)


@cache
def style_sheet() -> bytes:
    """Give the pages' style sheet."""
    return files("hub.web").joinpath("status.css").read_bytes()


@cache
def _environment() -> Environment:
    folder = files("hub.web")
    loader = FunctionLoader(lambda name: folder.joinpath(name).read_text("utf-8"))
    return Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
