"""Reading policies: values stay exact, what does not add up is refused."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from privacy.claims import ratio
from privacy.policy_reading import read_policy
from protos.problems import Problem
from protos.v1 import policy_pb2
from tests.simulator import EPOCH, Federation

MESSAGE = Federation().policy_message()


def test_values_are_exact() -> None:
    policy = read_policy(MESSAGE, bytes(32))
    assert policy.first_epoch == EPOCH
    assert policy.sum_epsilon == Fraction(2, 5)


def wrong(change: Callable[[policy_pb2.Policy], Any]) -> None:
    message = policy_pb2.Policy()
    message.CopyFrom(MESSAGE)
    change(message)
    with pytest.raises(Problem):
        read_policy(message, bytes(32))


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
        set_to("enterprises", "0", "difference_basis_points_max", value=100_001),
        set_to("enterprises", "0", "measures", "0", "reach_grams", value=0),
        set_to("enterprises", "0", "measures", "0", "reach_grams", value=1 << 60),
        set_to("enterprises", "0", "measures", "0", "id", value=""),
        lambda message: message.enterprises[0].measures[0].later.add(months=0, reach=1),
        lambda message: message.enterprises[0].measures[0].later.add(months=61, reach=1),
        lambda message: message.enterprises[0].measures[0].later.add(months=12),
        lambda message: message.enterprises[0].measures[0].later.add(months=12, reach=500),
        lambda message: [message.enterprises[0].sum_later.add(months=12, reach=1) for _ in range(2)],
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
