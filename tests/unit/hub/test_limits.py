"""A policy is simulated before it is signed, and refused beyond its own limits."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hub.cli import hub
from hub.limits import TOGETHER, Judged, judge, require
from privacy.claims import ratio
from privacy.policy import Policy
from privacy.policy_reading import read_policy
from protos.problems import Malformed, Refused
from tests.simulator import Federation

REPOSITORY = Path(__file__).parents[3]

POLICY = """
id = "city"
version = 1
first_epoch = "2020-12"
regions = ["east"]
packs = ["trv.shared_bike"]
[allowance]
person_day = "1/2"
person_month = "1"
[enterprises.bikes.measures.rides]
packs = ["trv.shared_bike"]
day_clamp_grams = 500
"""


def policy(archetype: str = "", **changes: Any) -> Policy:
    """Give a policy of bikes alone with limits."""
    limits: dict[str, Any] = {
        "reserve_z": ratio(Fraction(16, 5)),
        "idle_extraction_grams_max": 50,
        "spend_months_max": 24,
        "never_spend_per_mille_max": 500,
    }
    message = Federation().policy_message(**limits | changes)
    del message.enterprises[1:]
    [measure] = message.enterprises[0].measures
    measure.day_clamp_grams = measure.reach_grams = 500
    measure.archetype = archetype
    return read_policy(message, b"p" * 32)


@pytest.fixture(scope="module")
def unlimited() -> tuple[Policy, Judged]:
    """A policy of all enterprises without limits, and what is said of it."""
    found = read_policy(Federation().policy_message(), bytes(32))
    return found, judge(found)


def test_a_policy_within_its_limits_passes() -> None:
    judged = judge(policy("city mix"))
    assert judged.beyond == ()
    require(judged)
    assert {one.archetype for one in judged.outlooks} >= {"bank user", "household"}
    [taken] = judged.idle
    assert taken.extracted_grams <= 50
    assert judged.least_z[taken.measure] <= 3.2


def test_too_small_a_reserve_is_refused() -> None:
    with pytest.raises(Refused, match="idle account takes"):
        require(judge(policy(reserve_z=ratio(Fraction(1, 2)))))


def test_a_policy_under_which_too_many_never_spend_is_refused() -> None:
    with pytest.raises(Refused, match="of bank user cannot spend within 24 months"):
        require(judge(policy("bank user")))
    with pytest.raises(Refused, match="of city mix cannot spend within 3 months, 0 are"):
        require(judge(policy("city mix", spend_months_max=3, never_spend_per_mille_max=0)))


def test_an_account_fed_by_all_is_judged_too(unlimited: tuple[Policy, Judged]) -> None:
    _, judged = unlimited
    assert [one.measure for one in judged.idle] == ["bike-share/main", "utility/main", TOGETHER]
    assert all(one.extracted_grams > 0 for one in judged.idle)


def test_without_limits_nothing_is_beyond(unlimited: tuple[Policy, Judged]) -> None:
    found, judged = unlimited
    assert (found.limits, found.reserve_z) == (None, Fraction(3))
    assert judged.beyond == ()


def test_simulate_prints_a_table_and_the_same_as_json(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(POLICY)
    packs = str(REPOSITORY / "packs")
    shown = CliRunner().invoke(
        hub, ["policy", "simulate", str(file), "--packs", packs], standalone_mode=False
    )
    assert shown.return_value == 0
    assert "bikes/rides" in shown.output
    assert "metro commuter" in shown.output
    told = CliRunner().invoke(
        hub, ["policy", "simulate", str(file), "--packs", packs, "--json"], standalone_mode=False
    )
    found = json.loads(told.output)
    assert found["outlooks"][0]["archetype"] == "bank user"
    assert found["beyond_limits"] == []


def test_simulate_says_what_is_beyond_the_limits(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(POLICY + '[limits]\nreserve_z = "1/2"\n')
    shown = CliRunner().invoke(
        hub, ["policy", "simulate", str(file), "--packs", str(REPOSITORY / "packs")], standalone_mode=False
    )
    assert shown.return_value == 1
    assert "BEYOND" in shown.output


def test_a_limit_that_is_no_number_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(POLICY + '[limits]\nreserve_z = "much"\n')
    problem = CliRunner().invoke(hub, ["policy", "simulate", str(file)]).exception
    assert isinstance(problem, Malformed)
    assert "reserve_z" in problem.message
