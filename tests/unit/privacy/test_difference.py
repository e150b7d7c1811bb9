"""I18: what a population release and the statements of an epoch differ by is noise of the size both state.

Clamps aside, both sum the same grams; a difference that is often beyond z standard deviations, or drifts, is
no noise. False-alarm rate: fewer than one run in 10^9 (Poisson, mean 5.4, above 30).
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from privacy.laplace import variance_upper
from tests.unit.privacy.test_residuals import laplace

EPOCHS, SLOTS, CELLS = 2_000, 60, 8
STATEMENT_SCALE, CELL_SCALE = 2_000, 12_500
Z = 3
BEYOND_MAX = 30


def differences(draw: np.random.Generator, drift: int = 0) -> NDArray[np.int64]:
    """Give the population's grams less the statements', epoch by epoch; exact grams fall out."""
    statements = laplace(draw, STATEMENT_SCALE, EPOCHS * SLOTS).reshape(EPOCHS, SLOTS).sum(axis=1)
    cells = laplace(draw, CELL_SCALE, EPOCHS * CELLS).reshape(EPOCHS, CELLS).sum(axis=1)
    return np.asarray(cells + drift - statements, dtype=np.int64)


def beyond(found: NDArray[np.int64]) -> int:
    """Count the epochs beyond z standard deviations; both sides are squared, so that nothing is rounded."""
    variance = SLOTS * variance_upper(STATEMENT_SCALE) + CELLS * variance_upper(CELL_SCALE)
    return int(np.count_nonzero(found.astype(object) ** 2 > Z * Z * variance))


@pytest.mark.statistical
def test_i18_population_and_statements_differ_by_their_noise() -> None:
    assert beyond(differences(np.random.default_rng())) <= BEYOND_MAX


@pytest.mark.statistical
def test_i18_a_node_whose_population_drifts_is_seen() -> None:
    """A drift of one and a half standard deviations puts an epoch in fifteen beyond, 134 on average."""
    variance = SLOTS * variance_upper(STATEMENT_SCALE) + CELLS * variance_upper(CELL_SCALE)
    drift = 3 * int(variance**0.5) // 2
    assert beyond(differences(np.random.default_rng(), drift)) > BEYOND_MAX
