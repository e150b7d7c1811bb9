"""Sample sizes are the published ones, draws follow from the beacon, a planted overstatement is caught."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.sampling import (
    DRAWS_MAX,
    Challenge,
    draw,
    draws_needed,
    excluded_share,
    is_excluded,
    parse_share,
    point,
)
from privacy.sum_tree import Leaves, SumTree
from protos.epochs import Epoch
from protos.problems import Malformed

EPOCH = Epoch(202012)
BEACON = hashlib.sha512(b"beacon").digest()


@pytest.mark.parametrize(
    ("confidence", "sizes"),
    [("95%", [29, 59, 149, 299, 598, 2_995]), ("99%", [44, 90, 228, 459, 919, 4_603])],
)
def test_sample_sizes_are_those_auditors_know(confidence: str, sizes: list[int]) -> None:
    shares = ["10%", "5%", "2%", "1%", "0.5%", "0.1%"]
    assert [draws_needed(parse_share(one), parse_share(confidence)) for one in shares] == sizes


def few_hits(draws: int, share: Fraction, most: int) -> Fraction:
    """Give P(Binomial(draws, share) <= most)."""
    return sum(
        (comb(draws, hit) * share**hit * (1 - share) ** (draws - hit) for hit in range(min(most, draws) + 1)),
        Fraction(0),
    )


@given(
    st.fractions(Fraction(1, 50), Fraction(9, 10), max_denominator=60),
    st.fractions(Fraction(1, 2), Fraction(99, 100), max_denominator=100),
    st.integers(0, 3),
)
def test_draws_are_the_fewest_that_reach_the_confidence(
    detect: Fraction, confidence: Fraction, discrepancies: int
) -> None:
    draws = draws_needed(detect, confidence, discrepancies)
    assert few_hits(draws, detect, discrepancies) <= 1 - confidence
    assert few_hits(draws - 1, detect, discrepancies) > 1 - confidence


@given(st.integers(1, 400), st.integers(0, 3))
def test_excluded_share_is_the_smallest_millionth(draws: int, discrepancies: int) -> None:
    confidence = Fraction(19, 20)
    share = excluded_share(draws, discrepancies, confidence)
    assert share == 1 or is_excluded(draws, share, confidence, discrepancies)
    assert not is_excluded(draws, share - Fraction(1, 1_000_000), confidence, discrepancies)


@pytest.mark.parametrize("text", ["1", "0%", "100%", "-1%", "1 %", "1e1%", "0.0000001%", "%", "１%"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_share(text)


def test_a_sample_beyond_reason_is_refused() -> None:
    with pytest.raises(Malformed):
        draws_needed(Fraction(1, 1_000_000), Fraction(19, 20))


@given(st.integers(0, (1 << 128) - 1), st.integers(1, (1 << 63) - 1))
def test_points_lie_inside_the_total(fraction: int, total: int) -> None:
    assert 0 <= point(fraction, total) < total
    assert point(0, total) == 0
    assert point((1 << 128) - 1, total) == total - 1


def test_draws_differ_by_beacon_enterprise_epoch_and_number() -> None:
    beacons = (BEACON, bytes(64))
    found = {
        draw(beacon, enterprise_id, epoch, number)
        for beacon in beacons
        for enterprise_id in ("a", "ab")
        for epoch in (EPOCH, Epoch(202101))
        for number in range(50)
    }
    assert len(found) == 400


def challenge(**changes: int) -> Challenge:
    return Challenge.make(
        "cgsp.example/log",
        "bike-share",
        EPOCH,
        detect=Fraction(1, 10),
        confidence=Fraction(19, 20),
        beacon_index=7,
        beacon=BEACON,
        **changes,
    )


def test_challenge_travels_and_is_derived_from_its_beacon_alone() -> None:
    made = challenge()
    assert len(made.draws) == 29
    assert Challenge.decode(made.encode()) == made
    assert made.is_derived(BEACON)
    assert not made.is_derived(bytes(64))
    for changes in (
        {"enterprise_id": "utility"},
        {"epoch": Epoch(202101)},
        {"draws": (*made.draws[:-1], made.draws[-1] ^ 1)},
        {"beacon": bytes(64)},
    ):
        assert not dataclasses.replace(made, **changes).is_derived(BEACON)


def test_an_expanded_challenge_begins_with_the_draws_before() -> None:
    first, more = challenge(), challenge(discrepancies=1)
    assert len(more.draws) > len(first.draws)
    assert more.draws[: len(first.draws)] == first.draws


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("form", "other"),
        ("detect", "1/0"),
        ("detect", "2/1"),
        ("detect", "1e999999999/1"),
        ("draws", []),
        ("draws", ["1" + "0" * 32]),
        ("draws", ["-1"]),
        ("draws", ["00"] * (DRAWS_MAX + 1)),
        ("epoch", "202012"),
        ("beacon", "xx"),
        ("beacon_entry", None),
    ],
)
def test_what_is_no_challenge_is_refused(name: str, value: object) -> None:
    data = json.loads(challenge().encode())
    with pytest.raises(Malformed):
        Challenge.decode(json.dumps({**data, name: value}).encode())
    with pytest.raises(Malformed):
        Challenge.decode(b"[" * 100_000)


SLOTS = 2_000
# One in a hundred of the total amount is overstated; each trial has a beacon of its own.
TRIALS = 100


def audited_tree() -> tuple[SumTree, set[int]]:
    """Give a tree of uneven amounts and the leaves that hold one hundredth of all, from the smallest up."""
    amounts = np.random.default_rng(3).integers(1, 500_000, SLOTS)
    order = np.argsort(amounts)
    overstated = order[np.cumsum(amounts[order]) <= amounts.sum() // 100]
    places, none = np.arange(SLOTS, dtype=np.int64), np.zeros(SLOTS, dtype=np.int64)
    leaves = Leaves(places, none + 1, amounts, none, np.zeros((SLOTS, 32), dtype=np.uint8))
    return SumTree(places, 1, leaves), {int(one) for one in overstated}


def times_caught(tree: SumTree, overstated: set[int], draws: int) -> int:
    total, caught = tree.root.amount, 0
    ends = np.cumsum(tree.leaves.plus + tree.leaves.minus)
    for trial in range(TRIALS):
        beacon = hashlib.sha512(b"trial %d" % trial).digest()
        points = [point(draw(beacon, "bike-share", EPOCH, number), total) for number in range(draws)]
        drawn = np.searchsorted(ends, points, side="right")
        caught += not overstated.isdisjoint(drawn.tolist())
    return caught


def false_alarm(draws: int, least: int, share: float) -> float:
    """Give the chance that an honest sampler catches fewer than `least` of the trials."""
    caught = 1 - (1 - share) ** draws
    return sum(comb(TRIALS, hit) * caught**hit * (1 - caught) ** (TRIALS - hit) for hit in range(least))


@pytest.mark.parametrize(
    ("confidence", "draws", "least", "alarm"), [("99%", 459, 95, 1 / 1_000), ("95%", 299, 88, 1 / 200)]
)
def test_planted_overstatement_of_one_percent_is_caught(
    confidence: str, draws: int, least: int, alarm: float
) -> None:
    """False alarms: 459 draws miss six of 100 with 5 in 10,000, 299 miss thirteen with 15 in 10,000."""
    assert draws_needed(parse_share("1%"), parse_share(confidence)) == draws
    tree, overstated = audited_tree()
    share = int(tree.leaves.plus[sorted(overstated)].sum()) / tree.root.amount
    assert 0.0099 < share <= 0.01
    assert false_alarm(draws, least, share) < alarm
    assert times_caught(tree, overstated, draws) >= least


def test_the_trial_can_fail() -> None:
    """A third of the draws, or of the overstatement, is caught 95 times with less than 1 in 100,000."""
    tree, overstated = audited_tree()
    assert times_caught(tree, overstated, 153) < 95
    fewer = set(sorted(overstated, key=lambda one: int(tree.leaves.plus[one]))[: len(overstated) // 2])
    assert times_caught(tree, fewer, 459) < 95
