"""Policies: every field checked, series and cells in one order, the highest fitting version in force."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from privacy import policy as policies
from privacy.claims import ratio
from privacy.policy import DOMAIN_METHODOLOGY_POOLED, REGION_DOMAIN, Policy, SeriesKind
from protos.epochs import Epoch
from protos.problems import Problem, Refused
from protos.v1 import policy_pb2
from protos.v1.problem_pb2 import REASON_POLICY_NOT_IN_FORCE
from protos.v1.release_pb2 import TABLE_KIND_COUNT, TABLE_KIND_SUM
from tests.simulator import EPOCH, Federation

MESSAGE = Federation().policy_message()
POLICY = policies.from_wire(MESSAGE, bytes(32))


def version(number: int, first_epoch: int) -> Policy:
    message = Federation().policy_message(version=number, first_epoch=Epoch(first_epoch))
    return policies.from_wire(message, bytes([number]) * 32)


def test_series_stand_in_one_order_with_their_claims() -> None:
    series = policies.series(POLICY, "utility")
    assert [item.name for item in series] == [
        "statement/main",
        "histogram/region_domain/sum",
        "histogram/region_domain/count",
        "histogram/domain_methodology_pooled/sum",
        "histogram/domain_methodology_pooled/count",
    ]
    assert [item.claim.scale for item in series] == [2_000, 25_000, 80, 25_000, 80]
    assert [item.cells for item in series] == [None, 4, 4, 4, 4]
    assert series[0].kind is SeriesKind.STATEMENT
    assert series[0].measure_id == "main"
    assert [item.table_kind for item in series[1:3]] == [TABLE_KIND_SUM, TABLE_KIND_COUNT]
    assert series[1].table_id == REGION_DOMAIN
    assert POLICY.series("utility") == series


def test_cells_are_row_major() -> None:
    assert policies.table_keys(POLICY, REGION_DOMAIN) == (
        ("east", "travel"),
        ("east", "life"),
        ("west", "travel"),
        ("west", "life"),
    )
    assert policies.table_keys(POLICY, DOMAIN_METHODOLOGY_POOLED) == (
        ("bike", "not_pooled"),
        ("bike", "pooled"),
        ("power", "not_pooled"),
        ("power", "pooled"),
    )
    with pytest.raises(Problem):
        policies.table_keys(POLICY, "other")


def test_the_highest_fitting_version_is_in_force() -> None:
    versions = [version(1, 202001), version(2, 202006), version(3, 202003)]
    assert policies.in_force(versions, Epoch(202002)).version == 1
    assert policies.in_force(versions, Epoch(202004)).version == 3
    assert policies.in_force(versions, Epoch(202012)).version == 3
    with pytest.raises(Refused) as caught:
        policies.in_force(versions, Epoch(201912))
    assert caught.value.reason == REASON_POLICY_NOT_IN_FORCE


def test_an_enterprise_the_policy_does_not_name_is_refused() -> None:
    with pytest.raises(Refused):
        POLICY.enterprise("nobody")
    assert POLICY.enterprise("bike-share").pack_ids == ("bike",)


def test_values_are_exact() -> None:
    assert POLICY.first_epoch == EPOCH
    assert POLICY.sum_epsilon == Fraction(2, 5)


def wrong(change: Callable[[policy_pb2.Policy], Any]) -> None:
    message = policy_pb2.Policy()
    message.CopyFrom(MESSAGE)
    change(message)
    with pytest.raises(Problem):
        policies.from_wire(message, bytes(32))


def set_to(*names: str, value: Any) -> Callable[[policy_pb2.Policy], Any]:
    def change(message: Any) -> None:
        for name in names[:-1]:
            message = message[int(name)] if name.isdigit() else getattr(message, name)
        setattr(message, names[-1], value)

    return change


@pytest.mark.parametrize(
    "change",
    [
        set_to("id", value="Not An Id"),
        set_to("version", value=0),
        set_to("first_epoch", value=202013),
        set_to("statement_epsilon", "numerator", value=0),
        set_to("sum_epsilon", "denominator", value=0),
        set_to("count_epsilon", "denominator", value=1),
        set_to("person_day_allowance", "denominator", value=3),
        set_to("packs", "0", "sha256", value=b"short"),
        set_to("packs", "0", "version", value=0),
        set_to("packs", "0", "id", value="power"),
        set_to("packs", "0", "id", value=""),
        set_to("enterprises", "0", "enterprise_id", value="utility"),
        set_to("enterprises", "0", "sum_reach_grams", value=0),
        set_to("enterprises", "0", "count_reach", value=0),
        set_to("enterprises", "0", "month_clamp_grams", value=0),
        set_to("enterprises", "0", "measures", "0", "reach_grams", value=0),
        set_to("enterprises", "0", "measures", "0", "reach_grams", value=1 << 60),
        set_to("enterprises", "0", "measures", "0", "id", value=""),
        lambda message: message.regions.append("east"),
        lambda message: message.regions.append("we\nst"),
        lambda message: message.ClearField("regions"),
        lambda message: message.ClearField("domains"),
        lambda message: message.ClearField("packs"),
        lambda message: message.ClearField("enterprises"),
        lambda message: message.enterprises[0].ClearField("measures"),
        lambda message: message.enterprises[0].measures[0].pack_ids.append("unknown"),
        lambda message: message.enterprises[0].measures.append(message.enterprises[0].measures[0]),
        lambda message: message.enterprises[0].measures.add(id="two", pack_ids=["bike"], reach_grams=1),
        lambda message: message.regions.extend(f"region {number}" for number in range(3_000)),
    ],
)
def test_what_does_not_add_up_is_refused(change: Callable[[policy_pb2.Policy], Any]) -> None:
    wrong(change)


def test_a_policy_whose_own_releases_exceed_its_allowance_is_refused() -> None:
    wrong(lambda message: message.person_month_allowance.CopyFrom(ratio(Fraction(9, 10))))
