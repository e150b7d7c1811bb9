"""An exact vectorised sampler of the discrete Laplace: independent binary digits of two geometric variables.

A geometric variable with q = e^(-1/s) has independent binary digits, digit k being 1 with probability
1 / (1 + e^(2^k / s)); the difference of two is the discrete Laplace of scale s. Each digit compares 16-bit
limbs of random bytes with a 128-bit expansion of its probability, one limb for all and a further one only
where the limbs were equal so far. The distance from the exact distribution is below 2^-100 a draw: 128 bits a
digit, and a tail cut where it weighs less. For bulk, on request; releases use OpenDP (noise.py) by default.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING

from privacy.noise import ROWS_PER_CALL, SCALE_MAX, VALUE_MAX
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_UNKNOWN_FIELD_VALUE, REASON_WRONG_SHAPE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Gives this many bytes of the operating system's randomness.
RandomBytes = Callable[[int], bytes]

LIMBS = 8
LIMB_BITS = 16
PRECISION_DIGITS = 80
# P(X >= 2^k) = e^(-2^k / s) is below 2^-101 from 2^k = 71 s on.
TAIL_SCALES = 71
# 2^53 * 71 needs 60 digits; sums of two stay far inside int64.
DIGITS_MAX = 61


def discrete_laplace(values: NDArray[np.int64], scale: int, random: RandomBytes) -> NDArray[np.int64]:
    """Add independent noise of P(x) proportional to exp(-|x| / scale) to every element of an int64 vector.

    Raises Malformed UNKNOWN_FIELD_VALUE, Malformed WRONG_SHAPE.
    """
    import numpy as np

    if not 1 <= scale <= SCALE_MAX:
        raise Malformed(
            REASON_UNKNOWN_FIELD_VALUE, f"A noise scale is an integer from 1 to 2**53, not {scale}."
        )
    if values.ndim != 1 or values.dtype != np.int64:
        raise Malformed(REASON_WRONG_SHAPE, "Noise is added to a vector of int64.")
    if values.size and (int(values.max()) > VALUE_MAX or int(values.min()) < -VALUE_MAX):
        raise Malformed(REASON_WRONG_SHAPE, "A value to be released lies beyond 2**62.")
    noised = np.empty(values.size, dtype=np.int64)
    for start in range(0, values.size, ROWS_PER_CALL):
        part = values[start : start + ROWS_PER_CALL]
        noise = _geometric(part.size, scale, random) - _geometric(part.size, scale, random)
        noised[start : start + ROWS_PER_CALL] = part + noise
    return noised


def _geometric(size: int, scale: int, random: RandomBytes) -> NDArray[np.int64]:
    import numpy as np

    total = np.zeros(size, dtype=np.int64)
    for place, limbs in enumerate(thresholds(scale)):
        total |= _bernoulli(size, limbs, random).astype(np.int64) << place
    return total


def _bernoulli(size: int, limbs: tuple[int, ...], random: RandomBytes) -> NDArray[np.bool_]:
    """Draw size times whether 0.u1u2... is below 0.l1l2..., limb by limb."""
    import numpy as np

    drawn = np.frombuffer(random(2 * size), dtype="<u2")
    below = drawn < limbs[0]
    open_rows = np.flatnonzero(drawn == limbs[0])
    for limb in limbs[1:]:
        if not open_rows.size:
            break
        drawn = np.frombuffer(random(2 * open_rows.size), dtype="<u2")
        below[open_rows] = drawn < limb
        open_rows = open_rows[drawn == limb]
    return below


@functools.lru_cache(maxsize=64)
def thresholds(scale: int) -> tuple[tuple[int, ...], ...]:
    """Give floor(2^128 / (1 + e^(2^k / scale))) as eight limbs, most significant first, for every digit k."""
    digits = math.ceil(math.log2(TAIL_SCALES * scale))
    assert digits <= DIGITS_MAX
    found = []
    with localcontext() as context:
        context.prec = PRECISION_DIGITS
        for place in range(digits):
            chance = 1 / (1 + (Decimal(1 << place) / scale).exp())
            whole = int(chance * (1 << LIMBS * LIMB_BITS))
            shifts = range((LIMBS - 1) * LIMB_BITS, -1, -LIMB_BITS)
            found.append(tuple(whole >> shift & 0xFFFF for shift in shifts))
    return tuple(found)
