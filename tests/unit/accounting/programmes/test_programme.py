"""A programme holds together or is refused, and its canonical form says everything."""

from __future__ import annotations

from typing import Any

import pytest

from accounting.programmes.programme import Expiry, ExpiryKind
from protos.epochs import Epoch
from protos.problems import Malformed
from tests.unit.accounting.programmes.programmes import NAMES, coupon, document, programme

SPLIT = {"fund": 8_000, "operator": 2_000}


def issue(**changes: Any) -> dict[str, Any]:
    rule = {"names": NAMES, "registry": "phcer", "packs": ["trv.bike_mix"], "enterprises": ["bikes"]}
    return {"ccer": {**rule, "proceeds_fund": "city", "proceeds_split_bp": SPLIT} | changes}


def test_canonical_form_changes_with_every_part() -> None:
    one = programme()
    others = [programme(version=2), programme(first_epoch=202502), programme(issue=issue())]
    assert one.sha256 == programme().sha256
    assert len({one.sha256, *(other.sha256 for other in others)}) == len(others) + 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"colour": "green"}, "colour"),
        ({"rewards": {"bus": coupon(funds=["state"])}}, "has no state"),
        ({"rewards": {"bus": coupon(funds=[])}}, "costs money names its fund"),
        ({"rewards": {"bus": coupon(partner=None)}}, "partner"),
        ({"rewards": {"bus": coupon(claim="to_sponsor", claim_grams=1)}}, "sponsor"),
        ({"rewards": {"bus": coupon(claim="retired")}}, "claim_grams"),
        ({"rewards": {"bus": coupon(kind="honour")}}, "honour costs nothing"),
        ({"rewards": {"bus": coupon(kind="charity")}}, "planted"),
        ({"rewards": {"bus": coupon(kind="trading")}}, "trading"),
        ({"rewards": {"bus": coupon(voucher_codes=True)}}, "stock"),
        ({"rewards": {"bus": coupon(attestation={"grams_min": 1, "months": 12})}}, "policy reward"),
        ({"rewards": {"bus": coupon(since=202502, until=202501)}}, "before it begins"),
        ({"rewards": {"bus": coupon(since=202513)}}, "not an epoch"),
        ({"earn": {"base": {"names": NAMES}}}, "ratio or brackets"),
        ({"earn": {"base": {"names": NAMES, "brackets": [{"since": 5, "ratio": [1, 1]}]}}}, "begin at 0"),
        ({"earn": {}}, "earn"),
        ({"issue": issue(proceeds_fund="state")}, "has no state"),
        ({"issue": issue(proceeds_split_bp={"fund": 9_999})}, "add up to 10000"),
        ({"issue": issue(proceeds_split_bp={"operator": 10_000})}, '"fund"'),
        ({"issue": issue(buffer_bp=10_000)}, "leave something"),
        ({"expiry": {"kind": "rolling"}}, "after how many"),
        ({"expiry": {"kind": "fixed_day", "day": "12-31"}}, "the years"),
        ({"expiry": {"kind": "fixed_day", "day": "12-30", "years": 1}}, "month's last"),
        ({"boards": {"b": {"names": NAMES, "of": "population", "by": "account"}}}, "opted in"),
        ({"last_epoch": 202412}, "before it begins"),
    ],
)
def test_what_does_not_hold_together_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        programme(**changes)
    assert document(**changes) != document()


def test_expiry_ends_what_its_kind_says() -> None:
    assert Expiry().cutoff(Epoch(202512)) is None
    assert Expiry(kind=ExpiryKind.ROLLING, epochs=13).cutoff(Epoch(202512)) == 202411
    yearly = Expiry(kind=ExpiryKind.FIXED_DAY, day="12-31", years=1)
    assert yearly.cutoff(Epoch(202512)) == 202412
    assert yearly.cutoff(Epoch(202511)) is None
