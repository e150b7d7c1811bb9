"""Rotation in an audit: agreement passes, and whoever contradicts the log is named."""

from __future__ import annotations

from pathlib import Path

from auditor.findings import Check
from tests.simulator import CUSTODIANS, Federation, enrolled
from tests.unit.auditor.city import audited, parts
from tests.unit.privacy.test_successions import BIKES, append, rotated, slots, succession


def moved(federation: Federation, enterprise: str, first: int) -> None:
    """Have an enterprise's persons counted again and moved to slots of other pseudonyms."""
    mine = slots(federation, enterprise)
    for custodian_id in CUSTODIANS[:2]:
        federation.count(custodian_id, enterprise, len(mine))
    append(
        federation, enterprise, succession(federation, enterprise, [(slot, first + slot) for slot in mine])
    )


def findings(federation: Federation, folder: Path) -> list[str]:
    found = audited(federation, folder).results[Check.PSEUDONYMS].findings
    return [f"{one.place} {one.message}" for one in found]


def test_enterprises_that_move_apart_are_no_finding(tmp_path: Path) -> None:
    federation = enrolled(**parts())
    rotated(federation)
    moved(federation, BIKES, 1000)
    assert findings(federation, tmp_path) == []


def test_whoever_contradicts_the_log_is_named(tmp_path: Path) -> None:
    federation = enrolled(**parts())
    rotated(federation)
    moved(federation, BIKES, 1000)
    other = next(one.id for one in federation.enterprises if one.id != BIKES)
    moved(federation, other, 2000)
    [named] = findings(federation, tmp_path)
    assert other in named
    assert "frozen" in named
