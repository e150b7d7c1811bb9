"""The report for filing is one well-formed file that loads nothing, and what came from outside stays text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as Xml

from click.testing import CliRunner

from auditor.cli import audit
from auditor.findings import Check, Results
from auditor.html_charts import text
from auditor.html_report import render
from auditor.report import Report
from auditor.wording import CHECKS_ZH, MEANINGS_ZH
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_BUDGET_EXCEEDED
from protos.wording import REASONS_ZH
from tests.simulator import closed
from tests.unit.auditor.city import audited, parts

AT = "2021-02-01 00:00 UTC"
EVIL = "<script>alert(1)</script>\"'&\u202e\x07</td>"


class Reader(HTMLParser):
    """Reads as a browser would: the tags, attributes and text it meets."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.said = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.said += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    # Well-formed besides: every element closed, nothing bare.
    Xml.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
    return reader


def test_a_problems_reason_is_told_in_chinese() -> None:
    results = Results()
    results[Check.BUDGETS].find_problem("entry 7", Refused(REASON_BUDGET_EXCEEDED, "2 is more than 1."))
    report = Report("hub", "o", 8, b"", "none", results, {})
    said = read(render(report, made_at=AT)).said
    assert f"{REASONS_ZH[REASON_BUDGET_EXCEEDED].sentence} BUDGET_EXCEEDED (306)" in said


def evil_report() -> Report:
    results = Results()
    for check in Check:
        results[check].find(EVIL, EVIL, reason=EVIL)
        results[check].unchecked.append(EVIL)
    figures = {
        "population": {
            EVIL: {
                what: {"total": -5, "halfwidth_95": 7, "domains": {EVIL: {"total": 1, "halfwidth_95": 2}}}
                for what in ("grams", "persons")
            }
        },
        "accounts": {"epoch": EVIL, "accounts": 3},
        "pseudonyms": {EVIL: {"enrolled": 3, "evaluated": 4}},
        "cost": {EVIL: {"person_day": EVIL, "person_month": "1", "active_days": 31, "enterprises": 1}},
    }
    return Report(EVIL, EVIL, 3, bytes(32), EVIL, results, figures)


def test_a_clean_audit_reads_as_a_pass(tmp_path: Path) -> None:
    page = render(audited(closed(**parts()), tmp_path), made_at=AT)
    reader = read(page)
    for words in ("PASS", "通过", "Findings (0)", "bike-share", "2020-12", AT):
        assert words in reader.said
    assert page.index("发现的问题") < page.index("核验了什么")
    assert reader.tags.count("svg") == 2


def test_nothing_is_loaded_from_anywhere(tmp_path: Path) -> None:
    reader = read(render(audited(closed(**parts()), tmp_path), made_at=AT))
    assert not {"script", "link", "img", "iframe", "object", "form", "a", "base"} & set(reader.tags)
    names = {name for name, _ in reader.attributes}
    assert not {"src", "href", "style", "srcset", "action"} & names
    assert not any(name.startswith("on") for name in names)
    values = " ".join(value for _, value in reader.attributes)
    assert "default-src 'none'" in values
    assert not re.search(r"https?:|url\(|@import", values)


def test_what_comes_from_outside_stays_text() -> None:
    reader = read(render(evil_report(), made_at=EVIL))
    assert "script" not in reader.tags
    assert "<script>alert(1)</script>" in reader.said
    assert "\u202e" not in reader.said
    assert "\x07" not in reader.said


def test_an_audit_that_could_not_begin_is_told_too() -> None:
    results = Results()
    results.leave_unchecked(list(Check), "no trust root")
    reader = read(render(Report("x", "", 0, b"", "unknown", results, {}), made_at=AT))
    assert "UNCHECKED" in reader.said


def test_every_check_is_worded_in_both_languages() -> None:
    assert set(CHECKS_ZH) == set(MEANINGS_ZH) == set(Check)


def test_escaping_shows_what_cannot_be_seen() -> None:
    assert text("a<b>\n\u200b") == "a&lt;b&gt;\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"


def test_the_command_writes_it(tmp_path: Path) -> None:
    trust_root = closed(**parts()).write_bundle(tmp_path / "bundle")
    out = tmp_path / "report.html"
    arguments = ["verify", str(tmp_path / "bundle"), "--trust-root", str(trust_root), "--html", str(out)]
    done = CliRunner().invoke(audit, [*arguments, "--json"], standalone_mode=False)
    assert json.loads(done.stdout)["verdict"] == "PASS"
    assert "PASS" in read(out.read_text("utf-8")).said
