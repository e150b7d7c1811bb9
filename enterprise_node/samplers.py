"""The samplers of noise a node can be told to draw with: both are the exact discrete Laplace.

`opendp` is OpenDP's measurement, the default. `digits` is our own vectorised one (privacy/digits.py), some
ten times as fast, for rosters of many millions; its bytes come from the operating system.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, assert_never

from privacy import digits, noise

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from enterprise_node.configuration import SamplerName
    from enterprise_node.contents import Draw


def sampler(name: SamplerName) -> Draw:
    """Give what draws noise under a sampler's name in node.toml."""
    match name:
        case "opendp":
            return noise.discrete_laplace
        case "digits":
            return _by_digits
    assert_never(name)


def _by_digits(values: NDArray[np.int64], scale: int) -> NDArray[np.int64]:
    return digits.discrete_laplace(values, scale, os.urandom)
