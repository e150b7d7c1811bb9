"""Discrete Laplace noise on integers: the one place of the gateway where randomness is drawn for a release.

The sampler is OpenDP's core vector measurement, which takes its entropy from the operating system and cannot
be seeded. Whoever draws has reserved the charge before and stores what came out: nothing is drawn twice.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from protos.problems import InvariantBroken, Malformed
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN, REASON_UNKNOWN_FIELD_VALUE, REASON_WRONG_SHAPE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# OpenDP takes the scale as a double: up to 2**53 every integer is exact.
SCALE_MAX = 2**53
# OpenDP saturates at the ends of int64; a released value must never come near them.
VALUE_MAX = 2**62
# One call's list of results stays below some 40 MB.
ROWS_PER_CALL = 1 << 20
MAP_EXCESS_MAX = Fraction(1, 10**12)


def discrete_laplace(values: NDArray[np.int64], scale: int) -> NDArray[np.int64]:
    """Add independent noise of P(x) proportional to exp(-|x| / scale) to every element of an int64 vector.

    Raises Malformed WRONG_SHAPE.
    """
    import numpy as np

    _check_scale(scale)
    if values.ndim != 1 or values.dtype != np.int64:
        raise Malformed(REASON_WRONG_SHAPE, "Noise is added to a vector of int64.")
    if values.size and (int(values.max()) > VALUE_MAX or int(values.min()) < -VALUE_MAX):
        raise Malformed(REASON_WRONG_SHAPE, "A value to be released lies beyond 2**62.")
    measure = _measurement(scale)
    noised = np.empty(values.size, dtype=np.int64)
    for start in range(0, values.size, ROWS_PER_CALL):
        end = start + ROWS_PER_CALL
        noised[start:end] = measure(np.ascontiguousarray(values[start:end]))
    return noised


def opendp_epsilon(scale: int, reach: int) -> float:
    """Give OpenDP's own privacy map for an L1 distance of reach: a cross-check, at least reach / scale."""
    _check_scale(scale)
    return float(_measurement(scale).map(reach))


def cross_check(scale: int, reach: int) -> None:
    """Hold OpenDP's map against reach / scale, where OpenDP is installed; raises InvariantBroken.

    Its map rounds upwards: it may not lie below the exact value, nor above it by more than one part in 10^12.
    """
    try:
        mapped = Fraction(opendp_epsilon(scale, reach))
    except ImportError:
        return
    exact = Fraction(reach, scale)
    if not 0 <= mapped - exact <= exact * MAP_EXCESS_MAX:
        raise InvariantBroken(
            REASON_INVARIANT_BROKEN,
            f"OpenDP maps reach {reach} at scale {scale} to epsilon {float(mapped)}; exactly it is {exact}.",
        )


def _check_scale(scale: int) -> None:
    if not 1 <= scale <= SCALE_MAX:
        raise Malformed(
            REASON_UNKNOWN_FIELD_VALUE, f"A noise scale is an integer from 1 to 2**53, not {scale}."
        )


@functools.lru_cache(maxsize=64)
def _measurement(scale: int) -> Any:
    opendp = _opendp()
    return opendp(scale=float(scale))


@functools.cache
def _opendp() -> Callable[..., Any]:
    """Load OpenDP on first use: it costs a quarter of a second."""
    from opendp.domains import atom_domain, vector_domain
    from opendp.measurements import make_laplace
    from opendp.metrics import l1_distance
    from opendp.mod import enable_features

    enable_features("contrib")
    domain = vector_domain(atom_domain(T="i64"))
    return functools.partial(make_laplace, domain, l1_distance(T="i64"))
