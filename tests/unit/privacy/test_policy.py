"""Policies: series and cells in one order, the highest fitting version in force, enterprises found."""

from __future__ import annotations

import pytest

from privacy import policy as policies
from privacy.policy import DOMAIN_METHODOLOGY_POOLED, REGION_DOMAIN, Policy, SeriesKind
from privacy.policy_reading import read_policy
from protos.epochs import Epoch
from protos.problems import Problem, Refused
from protos.v1.problem_pb2 import REASON_POLICY_NOT_IN_FORCE
from protos.v1.release_pb2 import TABLE_KIND_COUNT, TABLE_KIND_SUM
from tests.simulator import Federation

MESSAGE = Federation().policy_message()
POLICY = read_policy(MESSAGE, bytes(32))


def version(number: int, first_epoch: int) -> Policy:
    message = Federation().policy_message(version=number, first_epoch=Epoch(first_epoch))
    return read_policy(message, bytes([number]) * 32)


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
