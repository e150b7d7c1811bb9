"""The pages' templates and style: plain HTML that needs no script and nothing from elsewhere."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from protos.problems import Problem
from protos.wording import wording_zh
from runtime.languages import CHINESE, accepted_language
from runtime.problems import reason_name

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
        "detail": "Detail",
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
        "detail": "详情（英文）",
    },
}


LANGUAGE_TAGS = {language: words["lang"] for language, words in NAVIGATION.items()}


def language_of(query: str | None, accepted: str) -> str:
    """Choose a page's language: what was asked for, else the browser's, else English."""
    return query if query in NAVIGATION else accepted_language(accepted)


def render(name: str, language: str, **values: Any) -> str:
    """Render a template in a language; everything that is not a template's own is escaped."""
    return _environment().get_template(name).render(nav=NAVIGATION[language], language=language, **values)


def problem_page(language: str, problem: Problem) -> str:
    """Render why something is not shown, and what to do: in Chinese first, the English message as detail."""
    words = wording_zh(problem.reason) if language == CHINESE else None
    title, code = NAVIGATION[language]["refused"], reason_name(problem.reason)
    return render("problem.html", language, title=title, words=words, problem=problem, code=code)


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
