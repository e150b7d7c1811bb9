"""A log of fourteen months with anchors: an auditor replays the same accounts."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from auditor.findings import Verdict
from privacy.claims import ratio
from protos.epochs import Epoch, shift_epoch
from tests.simulator import Federation, enrolled
from tests.unit.auditor.city import audited, found, parts

FIRST = Epoch(202011)
MONTHS = tuple(shift_epoch(FIRST, place) for place in range(14))


def federation() -> Federation:
    """Give fourteen months over a turn of the year, a person who left and came back among them."""
    changes: dict[str, Any] = {
        "anchor_epsilon": ratio(Fraction(1, 2)),
        "anchor_month": 12,
        "person_day_allowance": ratio(Fraction(1)),
    }
    city = enrolled(first_epoch=FIRST, policy_changes=changes, **parts())
    for epoch in MONTHS:
        if epoch == 202103:
            city.enrol("retailer", (), effective=epoch, withdrawn=(2, 5))
        if epoch == 202106:
            city.enrol("retailer", (8,), effective=epoch)
        for one in city.enterprises:
            city.release(one.id, epoch)
        city.close(epoch)
    return city


def test_an_auditor_combines_anchors_as_the_closes_do(tmp_path: Path) -> None:
    report = audited(federation(), tmp_path)
    assert report.verdict is Verdict.PASS, found(report)


def test_an_anchored_year_varies_less_than_its_months() -> None:
    city = federation()
    books = city.accounts(MONTHS[-1])
    spreads = {variance for _, variance, _ in books.values()}
    months_alone = {2 * 1000**2 * 1_000_000 * months for months in (14, 28)}
    assert len(spreads) > 1
    assert not spreads & months_alone
