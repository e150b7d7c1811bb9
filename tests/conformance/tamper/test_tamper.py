"""Every story of a dishonest party is found and named; the same parties, honest, raise nothing."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from auditor.app import Options, verify_source
from auditor.findings import Verdict
from auditor.report import Report
from tests.conformance.tamper import book_stories
from tests.conformance.tamper.erasure_stories import erased
from tests.conformance.tamper.liar import STORIES, Liar, counted, lying, released, settled
from tests.conformance.tamper.sample_stories import sampled
from tests.conformance.tamper.succession_stories import succeeded
from tests.simulated_ledgers import unchanged
from tests.simulator import begun
from tests.unit.auditor.city import parts

FOLDER = Path(__file__).parent
CASES = sorted(path.parent.name for path in FOLDER.glob("*/case.json"))
KINDS_MIN = 100
for told in FOLDER.glob("*_stories.py"):
    importlib.import_module(f"{__package__}.{told.stem}")  # registers what it tells


def verified(folder: Path) -> Report:
    receipts = folder / "receipts"
    deposits = folder / "deposits"
    options = Options(receipts if receipts.exists() else None, deposits if deposits.exists() else None)
    return verify_source(str(folder / "bundle"), folder / "trust-root", None, options)


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, tmp_path: Path) -> None:
    case = json.loads((FOLDER / name / "case.json").read_text("utf-8"))
    STORIES[case["story"]](tmp_path)
    report = verified(tmp_path)
    assert report.verdict.exit_code == case["exit"]
    found = report.results.findings
    for expected in case["findings"]:
        assert any(
            (one.check.value, one.place) == (expected["check"], expected["object"])
            and expected["says"] in one.message
            for one in found
        ), found
    assert name.endswith("_fail")
    assert (FOLDER / name / "README.md").read_text("utf-8").strip()


def test_every_story_is_a_case_and_there_are_enough() -> None:
    told = {json.loads((FOLDER / name / "case.json").read_text("utf-8"))["story"] for name in CASES}
    assert told == set(STORIES)
    assert len(CASES) >= KINDS_MIN


def test_honest_books_raise_nothing(tmp_path: Path) -> None:
    for number, made in enumerate((book_stories.issued(), book_stories.closing(tmp_path, unchanged))):
        folder = tmp_path / str(number)
        made.write_bundle(folder / "bundle")
        report = verified(folder)
        assert report.verdict is Verdict.PASS, "\n".join(report.lines())


HONEST: dict[str, Callable[[], Liar]] = {
    "begun": lambda: lying(begun(**parts())),
    "counted": counted,
    "released": released,
    "settled": settled,
    "sampled": sampled,
    "erased": erased,
    "succeeded": succeeded,
}


@pytest.mark.parametrize("stage", HONEST)
def test_honest_parties_raise_nothing(stage: str, tmp_path: Path) -> None:
    HONEST[stage]().write_bundle(tmp_path / "bundle")
    report = verified(tmp_path)
    assert report.verdict is Verdict.PASS, "\n".join(report.lines())
