"""Simulated errors are the formula's, and the reserve does what it is there for."""

from __future__ import annotations

import numpy as np
import pytest

from privacy.laplace import sigma_upper
from privacy.simulation import (
    ARCHETYPES,
    Archetype,
    Statements,
    idle,
    least_z,
    noise_paths,
    outlooks,
    sigmas,
)

RIDES = Statements("rides", 1_000, 500)
ANCHORED = Statements("rides", 1_000, 500, 1_000)
ACCOUNTS = 20_000


def generator() -> np.random.Generator:
    return np.random.default_rng(20201201)


@pytest.mark.parametrize("measure", [RIDES, ANCHORED, Statements("other", 30, 20, 90)])
def test_simulated_error_is_that_of_the_formula(measure: Statements) -> None:
    paths, spread = noise_paths(measure, 60, ACCOUNTS, generator()), sigmas(measure, 60)
    found = np.sqrt((paths**2).mean(axis=0))
    # The root mean square of 20,000 draws: six deviations are some 5 % for one Laplace noise.
    assert np.all(np.abs(found / spread - 1) < 0.05)
    # A scale 15 % off would not do.
    assert np.all(np.abs(found * 1.15 / spread - 1) > 0.05)


def test_without_anchors_the_formula_is_that_of_postings() -> None:
    for months in (1, 12, 24, 60):
        assert sigma_upper([1_000] * months) == int(np.ceil(sigmas(RIDES, 60)[months - 1]))


def test_an_anchor_lowers_the_error_after_a_year() -> None:
    assert sigmas(ANCHORED, 12)[-1] < 0.4 * sigmas(RIDES, 12)[-1]
    assert sigmas(ANCHORED, 11)[-1] == sigmas(RIDES, 11)[-1]


def test_archetypes_have_the_means_of_the_survey() -> None:
    found = {
        one.archetype: one.month_grams
        for one in outlooks([Statements("open", 1, 0)], ARCHETYPES, z=0, accounts=300, random=generator())
    }
    wanted = {"bank user": 67, "city mix": 1_250, "metro commuter": 7_480, "household": 12_700}
    assert all(abs(found[name] / grams - 1) < 0.03 for name, grams in wanted.items())


def test_clamp_losses_are_what_lies_above_the_clamp() -> None:
    steady = Archetype("steady", 30, 800, 1e-9)
    [one] = outlooks([RIDES], [steady], z=3, accounts=50, random=generator())
    assert abs(one.clamp_loss - 300 / 800) < 1e-6
    assert abs(one.month_grams - 15_000) < 1e-3
    assert one.spending[6] == 1.0


def test_who_earns_less_than_the_noise_can_hardly_ever_spend() -> None:
    bank, metro = ARCHETYPES[0], ARCHETYPES[2]
    low, high = outlooks([RIDES], [bank, metro], z=3, accounts=2_000, random=generator())
    assert low.spending[24] < 0.2 < 0.99 < high.spending[12]
    assert low.relative_error[12] > 5 > 0.1 > high.relative_error[12]
    assert list(high.spending.values()) == sorted(high.spending.values())


def test_least_z_keeps_idle_accounts_at_the_limit() -> None:
    z = least_z([RIDES], 50, accounts=ACCOUNTS, random=generator())
    assert 2 < z < 4
    assert idle("rides", [RIDES], z=z, accounts=ACCOUNTS, random=generator()).extracted_grams <= 50
    assert idle("rides", [RIDES], z=z - 0.01, accounts=ACCOUNTS, random=generator()).extracted_grams > 50
    assert idle("rides", [RIDES], z=0, accounts=ACCOUNTS, random=generator()).extracted_grams > 3_000


def test_an_account_fed_by_many_takes_more_though_its_noise_has_thinner_tails() -> None:
    one, ten = (
        idle("rides", [RIDES] * count, z=1, accounts=2_000, random=generator()).extracted_grams
        for count in (1, 10)
    )
    assert 2 * one < ten < 10 * one


def test_a_larger_reserve_is_taken_from_less() -> None:
    found = [
        idle("rides", [ANCHORED], z=z, accounts=5_000, random=generator()).extracted_grams for z in (1, 2, 3)
    ]
    assert found == sorted(found, reverse=True)
