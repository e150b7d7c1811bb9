"""Worked examples: a pack whose own examples fail is not admitted."""

from __future__ import annotations

from typing import Any

import pytest

from accounting.compiler import compile_pack
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_PACK_INVALID
from tests.unit.accounting import samples


@pytest.mark.parametrize(
    ("vector", "problem"),
    [
        ({"inputs": {"distance": "2"}, "milligrams": 97401}, "gives 97400 mg, expected 97401 mg"),
        ({"inputs": {"distance": "2"}}, "gives 97400 mg, expected no reduction"),
        ({"inputs": {"distance": "0.0001"}, "milligrams": 4}, "finer"),
        ({"inputs": {}, "milligrams": 0}, "must be distance"),
        ({"inputs": {"distance": "2", "mode": "bus"}, "milligrams": 97400}, "must be distance"),
        ({"months": [["2"]], "milligrams": 0}, "months"),
    ],
)
def test_a_wrong_example_is_refused(vector: dict[str, Any], problem: str) -> None:
    with pytest.raises(Malformed) as raised:
        compile_pack(samples.make_pack(vectors=[{"inputs": {"distance": "2"}, "milligrams": 97400}, vector]))
    assert raised.value.reason == REASON_PACK_INVALID
    assert "vectors 2" in raised.value.message
    assert problem in raised.value.message


@pytest.mark.parametrize(
    ("vector", "problem"),
    [
        ({"date": "2020-12-01", "months": [["1"]], "milligrams": 0}, "months"),
        ({"date": "2020-12-01", "months": [["1"] * 32, []], "milligrams": 0}, "more days"),
        ({"date": "2020-12-01", "months": [["1"], ["2"]], "milligrams": 530601}, "gives 530600 mg"),
    ],
)
def test_a_wrong_example_of_own_history_is_refused(vector: dict[str, Any], problem: str) -> None:
    with pytest.raises(Malformed) as raised:
        compile_pack(samples.make_pack(samples.ENERGY, vectors=[vector]))
    assert problem in raised.value.message


def test_an_example_out_of_validity_gives_nothing() -> None:
    vector = {"inputs": {"distance": "2"}, "date": "2019-12-31"}
    compile_pack(samples.make_pack(validity={"since": "2020-01-01"}, vectors=[vector]))
