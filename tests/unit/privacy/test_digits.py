"""The digit sampler draws what OpenDP draws, from the bytes it is given and from nothing else."""

from __future__ import annotations

import hashlib
import math
import os
from decimal import Decimal, localcontext

import numpy as np
import pytest
from scipy import stats

from privacy import digits, noise
from protos.problems import Malformed

DRAWS = 100_000


class Stream:
    """A reproducible stream of bytes."""

    def __init__(self, seed: bytes) -> None:
        self.seed = seed
        self.drawn = 0

    def __call__(self, size: int) -> bytes:
        self.drawn += size
        return hashlib.shake_256(self.seed + self.drawn.to_bytes(8, "big")).digest(size)


def test_the_same_bytes_give_the_same_noise() -> None:
    zeros = np.zeros(1000, dtype=np.int64)
    first = digits.discrete_laplace(zeros, 1000, Stream(b"a"))
    assert first.tolist() == digits.discrete_laplace(zeros, 1000, Stream(b"a")).tolist()
    assert first.tolist() != digits.discrete_laplace(zeros, 1000, Stream(b"b")).tolist()


@pytest.mark.parametrize("scale", [1, 3, 1000, 2**53])
def test_thresholds_are_the_digits_probabilities_to_128_bits(scale: int) -> None:
    with localcontext() as context:
        context.prec = 100
        for place, limbs in enumerate(digits.thresholds(scale)):
            whole = sum(limb << 16 * (7 - position) for position, limb in enumerate(limbs))
            exact = 1 / (1 + (Decimal(2) ** place / scale).exp())
            assert 0 <= exact * 2**128 - whole < 1
    assert math.exp(-(2 ** len(digits.thresholds(scale))) / scale) < 2**-100


def test_digits_together_give_the_geometric_distribution() -> None:
    """Sum of the digits' laws over all values below 2^6 at scale 2: no sampling, the identity itself."""
    scale, places = 2, 6
    chances = [1 / (1 + math.exp(2**place / scale)) for place in range(places)]
    q = math.exp(-1 / scale)
    for value in range(2**places):
        law = math.prod(chance if value >> place & 1 else 1 - chance for place, chance in enumerate(chances))
        assert math.isclose(law, (1 - q) * q**value / (1 - q ** (2**places)), rel_tol=1e-12)


def test_further_limbs_are_drawn_where_the_first_were_equal() -> None:
    limbs = digits.thresholds(1000)[0]
    equal = limbs[0].to_bytes(2, "little") * 4
    low, high = (0).to_bytes(2, "little"), (0xFFFF).to_bytes(2, "little")
    answers = iter([equal, low * 2 + high * 2])
    found = digits._bernoulli(4, limbs, lambda size: next(answers))
    assert found.tolist() == [True, True, False, False]


@pytest.mark.statistical
@pytest.mark.parametrize("scale", [1, 7, 1000])
def test_distribution_equals_that_of_opendp(scale: int) -> None:
    """Two-sample chi-square: false alarm 1e-9 a scale; a scale 15 % off is rejected below 1e-20."""
    zeros = np.zeros(DRAWS, dtype=np.int64)
    ours, theirs = digits.discrete_laplace(zeros, scale, os.urandom), noise.discrete_laplace(zeros, scale)
    off = digits.discrete_laplace(zeros, max(scale + 1, round(scale * 1.15)), os.urandom)
    assert probability(ours, theirs) > 1e-9
    assert probability(off, theirs) < 1e-20


def probability(
    one: np.ndarray[tuple[int], np.dtype[np.int64]], two: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> float:
    ends = np.unique(np.quantile(two, np.arange(1, 40) / 40).astype(np.int64))
    cells = [np.bincount(np.searchsorted(ends, sample), minlength=ends.size + 1) for sample in (one, two)]
    return float(stats.chi2_contingency(np.array(cells)[:, np.sum(cells, axis=0) > 0]).pvalue)


def test_what_is_no_vector_or_no_scale_is_refused() -> None:
    vector = np.zeros(3, dtype=np.int64)
    for values, scale in ((vector, 0), (vector, 2**53 + 1), (np.zeros(3), 5), (vector + 2**62 + 1, 5)):
        with pytest.raises(Malformed):
            digits.discrete_laplace(values, scale, os.urandom)  # type: ignore[arg-type]
    assert digits.discrete_laplace(np.zeros(0, dtype=np.int64), 5, os.urandom).size == 0
