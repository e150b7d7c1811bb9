"""A policy is simulated before it is signed, and refused beyond its own limits."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner

from hub.cli import hub
from hub.limits import LimitsFile, judge, require
from privacy.policy import Policy, from_wire
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


@pytest.fixture(scope="module")
def policy() -> Policy:
    message = Federation().policy_message()
    del message.enterprises[1:]
    [measure] = message.enterprises[0].measures
    measure.day_clamp_grams = measure.reach_grams = 500
    return from_wire(message, b"p" * 32)


def limits(**changes: object) -> LimitsFile:
    return LimitsFile.model_validate({"z": 3.2} | changes)


def test_a_policy_within_its_limits_passes(policy: Policy) -> None:
    judged = judge(policy, limits(archetypes={"main": "city mix"}))
    assert judged.beyond == ()
    require(judged)
    assert {one.archetype for one in judged.outlooks} >= {"bank user", "household"}
    assert judged.idle[0].extracted_grams <= 50
    assert judged.least_z[judged.idle[0].measure] <= 3.2


def test_too_small_a_reserve_is_refused(policy: Policy) -> None:
    judged = judge(policy, limits(z="1/2"))
    with pytest.raises(Refused, match="idle account takes"):
        require(judged)


def test_a_policy_under_which_too_many_never_spend_is_refused(policy: Policy) -> None:
    judged = judge(policy, limits(archetypes={"main": "bank user"}))
    with pytest.raises(Refused, match="of bank user cannot spend within 24 months"):
        require(judged)


def test_without_limits_nothing_is_beyond(policy: Policy) -> None:
    assert judge(policy, None).beyond == ()
    assert limits().z == Fraction(16, 5)


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
    file.write_text(POLICY + "[limits]\nz = 0.5\n")
    shown = CliRunner().invoke(
        hub, ["policy", "simulate", str(file), "--packs", str(REPOSITORY / "packs")], standalone_mode=False
    )
    assert shown.return_value == 1
    assert "BEYOND" in shown.output


def test_a_limit_that_is_no_number_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(POLICY + '[limits]\nz = "much"\n')
    problem = CliRunner().invoke(hub, ["policy", "simulate", str(file)]).exception
    assert isinstance(problem, Malformed)
    assert "z" in problem.message
