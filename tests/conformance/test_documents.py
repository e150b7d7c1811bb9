"""The manuals name what there is: checks, commands and their options, targets, settings, files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import click
import pytest

from auditor.cli import audit
from auditor.findings import Check
from custodian.cli import custodian
from custodian.configuration import CustodianSettings
from enterprise_node.cli import node
from enterprise_node.configuration import NodeConfiguration
from hub.cli import hub
from hub.configuration import HubSettings
from hub.policies import PolicyFile
from runtime.configuration import Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PROGRAMS = {"cgsp-node": node, "cgsp-hub": hub, "cgsp-custodian": custodian, "cgsp-audit": audit}
# What a page shows in a block or between backticks; either may go on in the next line.
_BLOCK = re.compile(r"(?:^    .*\n)+|^```\w*\n.*?^```|`[^`]+`", re.MULTILINE | re.DOTALL)
_CALL = re.compile(rf"(?<![\w-])({'|'.join(PROGRAMS)}) ([^\n|;&`<>]*(?:\|[^\n|;&`<> ]+)*)")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_TARGET = re.compile(r"^\s*make ([a-z][a-z-]*)\b", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


def words_of(*pages: str) -> str:
    return "\n".join((ROOT / "docs" / page).read_text(encoding="utf-8") for page in pages)


def commands(group: click.Group) -> Iterator[str]:
    context = click.Context(group)
    yield from group.list_commands(context)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_decision_is_listed_and_every_page_can_be_found() -> None:
    decisions = {path.name for path in (ROOT / "docs/adr").glob("0*.md")}
    assert set(re.findall(r"\((\d{4}-[^)]+\.md)\)", words_of("adr/README.md"))) == decisions
    linked = {
        (page.parent / link).resolve() for page in PAGES for link in _LINK.findall(page.read_text("utf-8"))
    }
    assert [
        page for page in PAGES if page not in linked and page.name not in ("README.md", "CHANGELOG.md")
    ] == []


@pytest.mark.parametrize("check", Check, ids=lambda check: check.value)
def test_auditing_page_names_every_check(check: Check) -> None:
    assert f"| {check.value} |" in words_of("auditing.md")


@pytest.mark.parametrize(
    ("group", "page"),
    [
        (node, "operating/node.md"),
        (hub, "operating/hub.md"),
        (custodian, "operating/custodian.md"),
        (audit, "auditing.md"),
    ],
    ids=["node", "hub", "custodian", "audit"],
)
def test_manual_names_every_command(group: click.Group, page: str) -> None:
    text = words_of(page)
    missing = [name for name in commands(group) if not re.search(rf"\b{re.escape(name)}\b", text)]
    assert missing == []


def shown(page: Path) -> Iterator[str]:
    """Give the code a page shows, continued lines joined."""
    for found in _BLOCK.findall(page.read_text("utf-8")):
        code = found.strip("`") if found.startswith("`") and not found.startswith("```") else None
        yield re.sub(r"\s*\n\s*", " ", code) if code is not None else re.sub(r"\\\n\s*", "", found)


def calls(page: Path) -> Iterator[tuple[str, str]]:
    """Give (program, the rest) of each command shown; `a|b` between subcommands are two commands."""
    for code in shown(page):
        for program, rest in _CALL.findall(code):
            words = rest.partition("  #")[0].split()
            first = [place for place, word in enumerate(words) if re.fullmatch(r"[a-z-]+(\|[a-z-]+)+", word)]
            choices = words[first[0]].split("|") if first else [""]
            for one in choices:
                yield program, " ".join([*words[: first[0]], one, *words[first[0] + 1 :]] if first else words)


def resolved(program: str, words: Sequence[str]) -> tuple[click.Command, set[str], list[str]]:
    """Follow the words to a command; give it, the options on the way, and the words behind."""
    command: click.Command = PROGRAMS[program]
    options: set[str] = {"--help"}
    while True:
        options |= {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
        if not isinstance(command, click.Group) or not words:
            return command, options, list(words)
        found = command.get_command(click.Context(command), words[0])
        if found is None:
            return command, options, list(words)
        command, words = found, words[1:]


SHOWN = sorted({(page, *call) for page in PAGES if page.name != "CHANGELOG.md" for call in calls(page)})


@pytest.mark.parametrize(
    ("page", "program", "rest"),
    SHOWN,
    ids=[f"{page.name}: {program} {rest}" for page, program, rest in SHOWN],
)
def test_commands_shown_are_there_with_their_options(page: Path, program: str, rest: str) -> None:
    command, options, words = resolved(program, rest.split())
    assert set(_OPTION.findall(rest)) - options == set()
    is_named = isinstance(command, click.Group) and not command.invoke_without_command
    assert not (is_named and words and re.fullmatch(r"[a-z-]+", words[0])), f"{program} has no {words[0]}"


def test_many_commands_are_looked_at_and_a_wrong_one_is_found() -> None:
    assert len(SHOWN) > 120
    _, options, words = resolved("cgsp-hub", ["trust", "propose", "--nowhere"])
    assert "--out" in options and words == ["--nowhere"]
    command, _, words = resolved("cgsp-hub", ["trust", "elope"])
    assert isinstance(command, click.Group) and words == ["elope"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_targets_shown_are_in_the_makefile(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert {name for code in shown(page) for name in _TARGET.findall(code)} - set(targets) == set()


def settings(model: type[Settings]) -> Iterator[tuple[str, str]]:
    """Give (class, key) of a file and the sections in it."""
    for name, field in model.model_fields.items():
        yield model.__name__, name
        for one in sections(field.annotation):
            yield from settings(one)


def sections(annotation: Any) -> Iterator[type[Settings]]:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
    for one in get_args(annotation):
        yield from sections(one)


FILES = {
    HubSettings: "operating/hub.md",
    PolicyFile: "operating/hub.md",
    CustodianSettings: "operating/custodian.md",
    NodeConfiguration: "operating/node.md",
}


@pytest.mark.parametrize("model", FILES, ids=lambda model: model.__name__)
def test_manual_names_every_setting(model: type[Settings]) -> None:
    text = words_of(FILES[model])
    named = [key for key in settings(model) if not re.search(rf"`\[*([\w.]+\.)?{key[1]}[`\].]", text)]
    assert named == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_packs_shown_are_there(page: Path) -> None:
    shown_packs = set(re.findall(r"(?<![\w/])packs/[a-z_.]+/\d+", page.read_text("utf-8")))
    assert [one for one in shown_packs if not (ROOT / one).exists()] == []
