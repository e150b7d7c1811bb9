"""A lower bound on epsilon from released figures alone, in one run: Steinke, Nasr, Jagielski (2023), delta 0.

Every canary is put in or left out by a coin. Whoever sees the release guesses some coins and abstains from
the rest; how many it guesses is fixed beforehand. Under epsilon-DP the number of right guesses is
stochastically no larger than a binomial of probability e^epsilon / (1 + e^epsilon) (Theorem 5.2), whatever
the guesser does. Floats are statistics for people here; no charge is made from them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_WRONG_SHAPE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.int64]
    Scores = NDArray[np.float64]

# The largest epsilon looked for; beyond it a bound says "not private" and nothing more.
EPSILON_MAX = 20.0
# Canaries guessed "in" and guessed "out", each as a share of all of them.
GUESSED_SHARE = 0.2
# The 99 % quantile of the normal distribution.
_POWER_QUANTILE = 2.326347874


@dataclass(frozen=True, slots=True)
class View:
    """One released figure of every canary, its exact value with the canary in (out is 0), its scale."""

    released: Vector
    shift: int
    scale: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many guesses were right, and the epsilon below which that many are too many to be chance."""

    canaries: int
    guesses: int
    correct: int
    epsilon_lower: float


def audit(views: Sequence[View], included: NDArray[np.bool_], *, false_alarm: float) -> Outcome:
    """Guess the coins from all figures seen; a mechanism within its claim passes it with P <= false_alarm.

    Raises Malformed WRONG_SHAPE.
    """
    import numpy as np

    each = int(included.size * GUESSED_SHARE)
    if each < 1 or not views or any(view.released.shape != included.shape for view in views):
        raise Malformed(
            REASON_WRONG_SHAPE, "An audit needs one released figure of each of five canaries or more."
        )
    order = np.lexsort(_evidence(views))
    correct = int(included[order[-each:]].sum()) + int((~included[order[:each]]).sum())
    return Outcome(included.size, 2 * each, correct, lower_bound(correct, 2 * each, false_alarm=false_alarm))


def lower_bound(correct: int, guesses: int, *, false_alarm: float) -> float:
    """Give the largest epsilon at which so many right guesses have a probability of at most false_alarm."""
    low, high = 0.0, EPSILON_MAX
    if _tail(correct, guesses, low) > false_alarm:
        return 0.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if _tail(correct, guesses, middle) <= false_alarm else (low, middle)
    return low


def detectable(guesses: int, claim: float, *, false_alarm: float) -> float:
    """Give an epsilon that an audit of so many guesses puts beyond the claim with a probability of 99 %.

    It takes the best guesser there is, whose every guess is worth e^epsilon; what is released may hide more.
    """
    low, high = claim, EPSILON_MAX
    while high - low > 1e-3:
        middle = (low + high) / 2
        right = 1.0 / (1.0 + math.exp(-middle))
        correct = math.floor(guesses * right - _POWER_QUANTILE * math.sqrt(guesses * right * (1.0 - right)))
        found = lower_bound(correct, guesses, false_alarm=false_alarm) > claim
        low, high = (low, middle) if found else (middle, high)
    return high


def _evidence(views: Sequence[View]) -> tuple[Scores, Scores]:
    """Give each canary's log-likelihood ratio of in to out; beyond the clamp the plain size breaks ties."""
    import numpy as np

    size, ratio = np.zeros(views[0].released.size), np.zeros(views[0].released.size)
    for view in views:
        size += view.released * (view.shift / view.scale**2)
        ratio += (np.abs(view.released) - np.abs(view.released - view.shift)) / view.scale
    # Rounded, so that equal ratios stay ties whatever the order of the additions.
    return size, np.around(ratio, 9).astype(np.float64)


def _tail(correct: int, guesses: int, epsilon: float) -> float:
    """Give P(X >= correct), X binomial over the guesses with probability 1 / (1 + e^-epsilon)."""
    right, wrong = -math.log1p(math.exp(-epsilon)), -math.log1p(math.exp(epsilon))
    ways = math.lgamma(guesses + 1)
    return math.fsum(
        math.exp(ways - math.lgamma(k + 1) - math.lgamma(guesses - k + 1) + k * right + (guesses - k) * wrong)
        for k in range(correct, guesses + 1)
    )
