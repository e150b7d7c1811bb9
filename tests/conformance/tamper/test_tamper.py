"""Every story of a dishonest party is found and named; the same parties, honest, raise nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from auditor.app import Options, verify_source
from auditor.findings import Verdict
from auditor.report import Report
from tests.conformance.tamper import book_stories, participant_stories
from tests.conformance.tamper.stories import (
    STORIES,
    counted,
    erased,
    lying,
    released,
    sampled,
    settled,
    succeeded,
)
from tests.simulated_ledgers import unchanged
from tests.simulator import begun
from tests.unit.auditor.city import parts

FOLDER = Path(__file__).parent
CASES = sorted(path.parent.name for path in FOLDER.glob("*/case.json"))
KINDS_MIN = 40


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
    assert participant_stories.selection_withheld.__name__ in told
    assert book_stories.ledger_root_off.__name__ in told
    assert len(CASES) >= KINDS_MIN


def test_honest_books_raise_nothing(tmp_path: Path) -> None:
    for number, made in enumerate((book_stories.issued(), book_stories.closing(tmp_path, unchanged))):
        folder = tmp_path / str(number)
        made.write_bundle(folder / "bundle")
        report = verified(folder)
        assert report.verdict is Verdict.PASS, "\n".join(report.lines())


@pytest.mark.parametrize("stage", ["begun", "counted", "released", "settled", "erased", "succeeded"])
def test_honest_parties_raise_nothing(stage: str, tmp_path: Path) -> None:
    made = {
        "begun": lambda: lying(begun(**parts())),
        "counted": counted,
        "released": released,
        "settled": settled,
        "sampled": sampled,
        "erased": erased,
        "succeeded": succeeded,
    }
    made[stage]().write_bundle(tmp_path / "bundle")
    report = verified(tmp_path)
    assert report.verdict is Verdict.PASS, "\n".join(report.lines())
