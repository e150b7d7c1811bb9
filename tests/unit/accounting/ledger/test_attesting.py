"""A lower bound over a window: exact without noise, below the truth with it, blind to what lies outside."""

from __future__ import annotations

import random
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from accounting.ledger.attesting import Credited, lower_bound_grams, window
from protos.epochs import Epoch, shift_epoch

LAST = Epoch(202512)
CREDITS = st.lists(st.tuples(st.integers(-(10**9), 10**9), st.integers(0, 10**16)), max_size=30)


def laid_out(rows: list[tuple[int, int]]) -> list[Credited]:
    """Put deltas and growing variances on the epochs that end with LAST."""
    found, variance = [], 0
    for at, (delta, more) in enumerate(rows):
        variance += more
        found.append(Credited(shift_epoch(LAST, at + 1 - len(rows)), delta, variance))
    return found


@given(rows=CREDITS, months=st.integers(1, 24), z=st.integers(0, 6))
def test_the_bound_is_never_above_the_sum_and_falls_with_z(
    rows: list[tuple[int, int]], months: int, z: int
) -> None:
    credits, (first, last) = laid_out(rows), window(LAST, months)
    total = sum(one.delta for one in credits if first <= one.epoch <= last)
    bounds = [lower_bound_grams(credits, first, last, Fraction(one)) for one in (0, z, z + 1)]
    assert bounds[0] == max(0, total) // 1_000
    assert bounds[0] >= bounds[1] >= bounds[2] >= 0
    shuffled = random.Random(1).sample(credits, len(credits))
    assert lower_bound_grams(shuffled, first, last, Fraction(z)) == bounds[1]


@given(rows=CREDITS, later=st.integers(-(10**9), 10**9))
def test_what_comes_after_the_window_counts_for_nothing(rows: list[tuple[int, int]], later: int) -> None:
    credits, (first, last) = laid_out(rows), window(LAST, 12)
    after = Credited(shift_epoch(LAST, 1), later, 10**18)
    z = Fraction(3)
    assert lower_bound_grams([*credits, after], first, last, z) == lower_bound_grams(credits, first, last, z)


def test_noise_hardly_ever_lifts_anybody_over_a_threshold() -> None:
    """Two standard deviations: an idle account is above zero in at most 3 % of 4,000 windows, 1 % on average.

    A sum of twelve is above 2 sigma in 2.3 %; with the months before the window in the reserve as well it is
    far less. At z = 0 nearly half are above, which shows that the test can fail.
    """
    draw, scale = random.Random(5), 100_000
    variance = 2 * scale * scale

    def idle(z: Fraction) -> bool:
        rows = [
            (round(draw.expovariate(1 / scale) - draw.expovariate(1 / scale)), variance) for _ in range(24)
        ]
        return lower_bound_grams(laid_out(rows), *window(LAST, 12), z) > 0

    assert sum(idle(Fraction(2)) for _ in range(4_000)) <= 120
    assert sum(idle(Fraction(0)) for _ in range(400)) > 120
