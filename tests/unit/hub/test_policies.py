from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from accounting.packs import Pack
from accounting.tariffs import pack_reach
from hub.policies import build_policy, parse_policy_file
from privacy import codec
from privacy.charges import whole_cost
from privacy.policy import REGION_DOMAIN, MeasureKind, table_keys
from privacy.policy_reading import read_policy
from protos.problems import Malformed, Refused
from protos.v1 import policy_pb2
from protos.v1 import problem_pb2 as reasons
from runtime.pack_files import load_pack
from tests.unit.accounting.test_tariffs import RECORD_TARIFFS, trip_points
from tests.unit.hub.world import refused

ROOT = Path(__file__).parents[3]
PACKS = ROOT / "packs"

FILE = """
id = "city"
version = 1
first_epoch = "2020-12"
regions = ["east", "west"]
packs = ["trv.shared_bike", "life.electricity_saving@1"]

[allowance]
person_day = "1/2"
person_month = "1"

[enterprises.bikes]
month_clamp_grams = 5000

[enterprises.bikes.measures.rides]
packs = ["trv.shared_bike"]
day_clamp_grams = 500

[enterprises.utility]
month_clamp_grams = 60000

[enterprises.utility.measures.electricity]
packs = ["life.electricity_saving"]
day_clamp_grams = 0
"""


@pytest.fixture(scope="module")
def packs() -> list[Pack]:
    return [load_pack(PACKS / name / "1") for name in ("trv.shared_bike", "life.electricity_saving")]


def build(packs: list[Pack], text: str = FILE) -> policy_pb2.Policy:
    file = parse_policy_file(text.encode(), "policy.toml")
    return build_policy(file, packs, origin="cgsp.example/log", issued_at=1)


def test_a_policy_takes_its_reaches_from_the_packs(packs: list[Pack]) -> None:
    message = build(packs)
    bikes, utility = message.enterprises
    assert (bikes.measures[0].reach_grams, bikes.sum_reach_grams, bikes.count_reach) == (500, 5000, 4)
    assert utility.measures[0].reach_grams > 2 * 12 * 400
    assert utility.sum_reach_grams > utility.month_clamp_grams
    [later], [later_sum] = utility.measures[0].later, utility.sum_later
    assert (later.months, 2 * later.reach) == (12, utility.measures[0].reach_grams)
    assert (later_sum.months, later_sum.reach) == (12, 2 * utility.month_clamp_grams)
    assert not bikes.measures[0].later
    assert not bikes.sum_later
    assert list(message.domains) == ["travel", "life"]
    assert [(pack.id, pack.sha256) for pack in message.packs] == [(pack.id, pack.sha256) for pack in packs]


def test_a_built_policy_is_one_the_rules_take(packs: list[Pack]) -> None:
    message = build(packs)
    checked = read_policy(policy_pb2.Policy.FromString(codec.encode(message)), policy_hash=bytes(32))
    assert len(table_keys(checked, REGION_DOMAIN)) == 4
    cost = whole_cost(checked, "bikes", "utility", active_days=31)
    assert (cost.person_day, cost.person_month) == (Fraction(3), Fraction(33))


def test_points_periods_anchors_and_lag_come_from_the_file(packs: list[Pack]) -> None:
    rewarding = trip_points(RECORD_TARIFFS["day_linear"])
    points = rewarding.pack
    named = FILE.replace('packs = ["trv.shared_bike", ', f'packs = ["{points.id}", "trv.shared_bike", ', 1)
    named = named.replace("version = 1", "version = 1\nlag_days = 20")
    named = named.replace('person_day = "1/2"', 'person_day = "2"')
    named = named.replace('person_month = "1"', 'person_month = "2"')
    named = named.replace("day_clamp_grams = 500", 'day_clamp_grams = 500\nkind = "period"')
    named += f"""
[enterprises.bikes.measures.rewards]
packs = ["{points.id}"]
kind = "points"

[anchor]
month = 6
"""
    message = build([points, *packs], named)
    checked = read_policy(message, policy_hash=bytes(32))
    assert (checked.lag_days, checked.anchor_month, checked.anchor_epsilon) == (20, 6, Fraction(1, 2))
    period, rewards = checked.enterprise("bikes").measures
    assert (period.kind, period.reach_grams) == (MeasureKind.PERIOD, 500)
    assert (rewards.kind, rewards.day_clamp_grams, rewards.reach_grams) == (
        MeasureKind.POINTS,
        0,
        pack_reach(rewarding).points,
    )
    assert checked.enterprise("bikes").credited_pack_ids == ("trv.shared_bike",)
    names = [item.name for item in checked.series("bikes") if item.by_slot]
    assert names == ["statement/rides", "statement/rewards", "anchor/rides"]


def test_the_newest_version_is_taken_unless_one_is_named(packs: list[Pack]) -> None:
    newer = packs[0].model_copy(update={"version": 2})
    assert build([*packs, newer]).packs[0].version == 2
    named = FILE.replace('"trv.shared_bike", ', '"trv.shared_bike@1", ')
    assert build([*packs, newer], named).packs[0].version == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('person_day = "1/2"', 'person_day = "half"'),
        ('person_day = "1/2"', 'person_day = "1/0"'),
        ("version = 1", "version = 0"),
        ('first_epoch = "2020-12"', 'first_epoch = "2020-13"'),
        ('regions = ["east", "west"]', "regions = []"),
        ("day_clamp_grams = 500", "day_clamp_grams = -1"),
        ("day_clamp_grams = 500", "day_clamp_gram = 500"),
        (
            '[enterprises.bikes.measures.rides]\npacks = ["trv.shared_bike"]',
            '[enterprises.bikes.measures.rides]\npacks = ["x"]',
        ),
        ("[allowance]", "[allowances]"),
    ],
)
def test_a_policy_file_is_checked(packs: list[Pack], old: str, new: str) -> None:
    assert old in FILE
    problem = refused(lambda: build(packs, FILE.replace(old, new)))
    assert isinstance(problem, Malformed), problem


def test_an_exact_decimal_is_a_fraction_too(packs: list[Pack]) -> None:
    assert build(packs, FILE.replace('person_day = "1/2"', 'person_day = "0.5"')) == build(packs)


def test_a_pack_that_is_not_in_the_log_is_refused(packs: list[Pack]) -> None:
    problem = refused(lambda: build(packs[:1]))
    assert (type(problem), problem.reason) == (Refused, reasons.REASON_PACK_UNKNOWN)


def test_the_demos_policy_is_readable() -> None:
    data = (ROOT / "examples/federation/policy.toml").read_bytes()
    assert parse_policy_file(data, "policy.toml").enterprises
