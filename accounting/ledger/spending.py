"""What an account may spend: what is available, less a reserve for the noise in it."""

from __future__ import annotations

import math
from fractions import Fraction

from accounting.ledger.wallets import Wallet


def sigma_upper(variance: int) -> int:
    """Give the standard deviation of a variance, rounded up."""
    root = math.isqrt(variance)
    return root + (root * root < variance)


def reserve(variance: int, z: Fraction) -> int:
    """Give z standard deviations, rounded up, in the wallet's own unit."""
    return -(-z.numerator * sigma_upper(variance) // z.denominator)


def spendable(wallet: Wallet, variance: int, z: Fraction) -> int:
    """Give what may be spent now; never below zero."""
    return max(0, wallet.available - reserve(variance, z))
