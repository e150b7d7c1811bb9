"""I18: cells and statements differ by noise of the size both state and what was agreed on; more is found."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.difference import WHOLE_BASIS_POINTS, Compared, Noised, noise_bound
from privacy.laplace import interval_halfwidth
from tests.unit.privacy.test_residuals import laplace

EPOCHS, SLOTS, CELLS = 2_000, 60, 8
STATEMENT_SCALE, CELL_SCALE = 2_000, 12_500
# Exact statements of an epoch, and the tenth that clamps and late parts may leave between them and cells.
EXACT, AGREED = 3_000_000, 1_000
ALARM = 0.05
SCALES = st.dictionaries(st.integers(1, 10**6), st.integers(1, 10**6), min_size=1, max_size=4)


def noised(grams: int, scale: int, figures: int) -> Noised:
    found = Noised()
    found.add(grams, scale, figures)
    return found


def epochs(
    draw: np.random.Generator, cells: int, statements: int = EXACT, count: int = EPOCHS
) -> list[Compared]:
    """Draw releases of these exact grams; half a table's cells are enough to hold them."""
    of_cells = laplace(draw, CELL_SCALE, count * CELLS).reshape(count, CELLS).sum(axis=1)
    of_slots = laplace(draw, STATEMENT_SCALE, count * SLOTS).reshape(count, SLOTS).sum(axis=1)
    return [
        Compared(
            noised(cells + int(of_cells[at]), CELL_SCALE, CELLS),
            noised(statements + int(of_slots[at]), STATEMENT_SCALE, SLOTS),
            AGREED,
        )
        for at in range(count)
    ]


def accused(found: list[Compared], false_alarm: float = ALARM) -> int:
    return sum(not one.is_explained(false_alarm) for one in found)


@pytest.mark.parametrize("alarm", [0.05, 1e-3, 1e-6])
@pytest.mark.parametrize("scales", [{1_000: 1}, {12_500: 8, 2_000: 60}, {1_000: 100_000}, {70: 900, 900: 70}])
def test_the_bound_is_never_below_the_exact_one_and_not_far_above(
    scales: dict[int, int], alarm: float
) -> None:
    exact = interval_halfwidth(Counter(scales).elements(), 1 - alarm)
    assert exact <= noise_bound(scales, alarm) <= 2 * exact


@given(SCALES, SCALES)
def test_more_noise_explains_more_and_fewer_alarms_take_more(
    some: dict[int, int], more: dict[int, int]
) -> None:
    both = Counter(some)
    both.update(more)
    assert noise_bound(some, 1e-3) <= noise_bound(both, 1e-3) * (1 + 2**-4)
    assert noise_bound(some, 1e-3) <= noise_bound(some, 1e-6)
    assert noise_bound({}, 1e-3) == 0


@given(st.integers(-(10**12), 10**12), st.integers(0, 30_000), st.integers(-(10**12), 10**12))
def test_without_noise_exactly_what_was_agreed_on_is_explained(grams: int, agreed: int, off: int) -> None:
    found = Compared(Noised(grams + off), Noised(grams), agreed)
    assert found.is_explained(1e-6) == (abs(off) * WHOLE_BASIS_POINTS <= agreed * abs(grams))
    assert (found.difference_grams, found.sigma_grams) == (off, 0)


def test_the_standard_deviation_is_that_of_all_noises() -> None:
    found = Compared(noised(0, 3, 2), noised(0, 4, 1), 0)
    assert found.sigma_grams == 9  # sqrt(2 * 9 * 2 + 2 * 16) = 8.2...


@pytest.mark.statistical
@pytest.mark.parametrize("cells", [EXACT * 9 // 10, EXACT, EXACT * 11 // 10])
def test_i18_an_honest_node_is_accused_no_more_often_than_stated(cells: int) -> None:
    """At the limit at most 100 of 2,000 epochs are, on average: above 160 with a probability below 1e-7."""
    assert accused(epochs(np.random.default_rng(), cells)) <= 160


@pytest.mark.statistical
@pytest.mark.parametrize("lie", [-1, 1])
def test_i18_a_node_whose_cells_leave_its_statements_is_found(lie: int) -> None:
    """Its cells are off by 8 standard deviations beyond what was agreed: fewer than 1 in 1,000 is missed."""
    sigma = epochs(np.random.default_rng(), EXACT, count=1)[0].sigma_grams
    cheating = EXACT + lie * (EXACT // 10 + 8 * sigma)
    assert accused(epochs(np.random.default_rng(), cheating)) > EPOCHS - 20


@pytest.mark.statistical
def test_i18_a_drift_too_small_for_an_epoch_is_found_over_many() -> None:
    """Two standard deviations an epoch; over 36 the drift has 72 and its noise 6."""
    draw = np.random.default_rng()
    sigma = epochs(draw, EXACT, count=1)[0].sigma_grams
    drifting = epochs(draw, EXACT + EXACT // 10 + 2 * sigma, count=36)
    assert accused(drifting, 1e-6) == 0
    cells, statements = Noised(), Noised()
    for one in drifting:
        cells.include(one.cells)
        statements.include(one.statements)
    assert not Compared(cells, statements, AGREED).is_explained(1e-6)
