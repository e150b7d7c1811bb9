"""A programme in the log that is none, or another than its record says, is a finding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from auditor.findings import Check
from tests.simulator import enrolled
from tests.unit.accounting.programmes.programmes import coupon, programme
from tests.unit.auditor.city import audited, found, parts


def checked(folder: Path, data: bytes, **changes: Any) -> list[tuple[str, str]]:
    federation = enrolled(**parts())
    federation.publish_programme(data, **changes)
    report = audited(federation, folder)
    assert report.results[Check.PROGRAMMES].examined == 1
    return found(report)


def test_a_programme_as_signed_is_no_finding(tmp_path: Path) -> None:
    assert checked(tmp_path, programme().canonical_bytes()) == []


@pytest.mark.parametrize(
    ("data", "changes"),
    [
        (programme().canonical_bytes(), {"id": "other-city"}),
        (programme().canonical_bytes(), {"first_epoch": 202502}),
        (programme(rewards={"bus": coupon(eligible="wallet > 5")}).canonical_bytes(), {}),
        (b'{"id":"city","version":1,"first_epoch":202501}', {}),
    ],
)
def test_another_programme_than_the_records_is_found(
    tmp_path: Path, data: bytes, changes: dict[str, Any]
) -> None:
    named = changes.get("id", "city")
    assert checked(tmp_path, data, **changes) == [("programmes", f"programme {named}@1")]
