"""Programmes for the ledger's tests."""

from __future__ import annotations

from accounting.programmes.earn_rules import EarnRule
from accounting.programmes.programme import Caps, Expiry, ExpiryKind, Programme, Unit
from accounting.programmes.words import Cited, Names

NAMES = Names(en="Sample", zh="样例")


def programme(expiry_epochs: int = 0, claim_window: int = 0, epoch_points: int = 0) -> Programme:
    """Give a programme without rewards."""
    expiry = Expiry(kind=ExpiryKind.ROLLING, epochs=expiry_epochs) if expiry_epochs else Expiry()
    return Programme(
        id="sample",
        version=1,
        names=NAMES,
        cited=Cited(source="ours", illustrative=True),
        unit=Unit(code="PT", names=NAMES),
        first_epoch=202001,
        earn={"all": EarnRule(names=NAMES, ratio=(1, 1))},
        caps=Caps(epoch_points=epoch_points),
        claim_window_epochs=claim_window,
        deficit_epochs_max=2,
        expiry=expiry,
    )
