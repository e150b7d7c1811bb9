"""The clean bundle passes; every case, and every byte tried, is found and named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auditor.app import verify_source
from auditor.findings import Verdict
from auditor.report import Report

FOLDER = Path(__file__).parent
CLEAN = FOLDER / "clean"
CASES = sorted(path.parent.name for path in FOLDER.glob("*/case.json"))
FILES = sorted(str(path.relative_to(CLEAN)) for path in CLEAN.rglob("*") if path.is_file())
# Of each file the first, the last and some bytes between.
PLACES_PER_FILE = 5


def verified(bundle: Path) -> Report:
    return verify_source(str(bundle), FOLDER / "trust-root", None)


def span(entries: bytes, number: int) -> tuple[int, int]:
    """Find where an entry begins, with its length, and where it ends."""
    start = end = 0
    for _ in range(number + 1):
        start = end
        end = start + 2 + int.from_bytes(entries[start : start + 2], "big")
    return start, end


def change(bundle: Path, wanted: dict[str, Any]) -> None:
    match wanted:
        case {"flip": file, "entry": number, "offset": offset}:
            start, end = span((bundle / file).read_bytes(), number)
            change(bundle, {"flip": file, "offset": (start if offset >= 0 else end) + offset})
        case {"cut": file, "entry": number}:
            start, _ = span((bundle / file).read_bytes(), number)
            change(bundle, {"cut": file, "bytes": start})
        case {"flip": file, "offset": offset}:
            data = bytearray((bundle / file).read_bytes())
            data[offset] ^= 1
            (bundle / file).write_bytes(data)
        case {"cut": file, "bytes": count}:
            (bundle / file).write_bytes((bundle / file).read_bytes()[:count])
        case {"remove": name}:
            target = bundle / name
            shutil.rmtree(target) if target.is_dir() else target.unlink()
        case {"swap": [one, other]}:
            first, second = (bundle / one).read_bytes(), (bundle / other).read_bytes()
            (bundle / one).write_bytes(second)
            (bundle / other).write_bytes(first)
        case _:
            pytest.fail(f"a case asks for an unknown change: {wanted}")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    shutil.copytree(CLEAN, tmp_path / "bundle")
    return tmp_path / "bundle"


def test_the_clean_bundle_passes() -> None:
    report = verified(CLEAN)
    assert report.verdict is Verdict.PASS, "\n".join(report.lines())


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, bundle: Path) -> None:
    case = json.loads((FOLDER / name / "case.json").read_text("utf-8"))
    for wanted in case["changes"]:
        change(bundle, wanted)
    report = verified(bundle)
    assert report.verdict.exit_code == case["exit"]
    found = [[finding.check.value, finding.place] for finding in report.results.findings]
    for expected in case["findings"]:
        assert expected in found
    assert name.endswith("_fail")
    assert (FOLDER / name / "README.md").read_text("utf-8").strip()


def places(size: int) -> Iterator[int]:
    yield from sorted(
        {size * part // (PLACES_PER_FILE - 1) for part in range(PLACES_PER_FILE - 1)} | {size - 1}
    )


def names_of(file: str) -> set[str]:
    """The words by which a finding can name this file: its path, or the entry whose body it is."""
    return {file, f"entry {Path(file).name.split('-')[0]}"} if file.startswith("bodies/") else {file}


@pytest.mark.parametrize("file", FILES)
def test_any_byte_changed_is_found_and_named(file: str, bundle: Path) -> None:
    original = (bundle / file).read_bytes()
    for place in places(len(original)):
        changed = original[:place] + bytes([original[place] ^ 1 << place % 8]) + original[place + 1 :]
        (bundle / file).write_bytes(changed)
        report = verified(bundle)
        assert report.verdict is Verdict.FINDINGS, f"{file}, byte {place}"
        said = [f"{finding.place} {finding.message}" for finding in report.results.findings]
        assert any(name in text for name in names_of(file) for text in said), f"{file}, byte {place}: {said}"
