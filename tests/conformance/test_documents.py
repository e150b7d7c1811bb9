"""The manuals name what there is: checks, commands, files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from auditor.cli import audit
from auditor.findings import Check
from custodian.cli import custodian
from enterprise_node.cli import node
from hub.cli import hub

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
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
