"""Annual anchors: a year's total under fresh noise, over exactly the months released to a slot.

An anchor stands in the release of the year's last month. It totals the epochs of its year that were released
under a policy which promised the measure the same anchor (month and claim), so that a person-day is never in
two anchors of a measure and its cost was stated before it was released. An epoch that can no longer be
charged for it is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from privacy.claims import Claim
from privacy.policy import Policy
from privacy.series import Series, SeriesKind
from protos.epochs import Epoch, shift_epoch

MONTHS = 12

# Series name to the epochs it totals.
Covered: TypeAlias = Mapping[str, tuple[Epoch, ...]]
# Says whether an epoch's person-days can still be charged for an anchor.
Room: TypeAlias = Callable[[Epoch, Series], bool]


def promised(policy: Policy, enterprise_id: str, series: str) -> Claim | None:
    """Give the claim of an anchor a policy promises; None if it does not."""
    if policy.anchor_epsilon is None or not policy.names(enterprise_id):
        return None
    found = (item.claim for item in policy.series(enterprise_id) if item.name == series)
    return next(found, None)


def covered(
    policy: Policy, enterprise_id: str, epoch: Epoch, released: Mapping[Epoch, Policy], room: Room
) -> dict[str, tuple[Epoch, ...]]:
    """Give the epochs each anchor of this epoch's release totals, its own the last; nothing in other epochs.

    `released` are the epochs the enterprise has released, each with the policy it was made under.
    """
    year = [shift_epoch(epoch, months) for months in range(1 - MONTHS, 0)]
    return {
        item.name: (
            *(
                one
                for one in year
                if one in released and _same(policy, released[one], enterprise_id, item) and room(one, item)
            ),
            epoch,
        )
        for item in policy.series(enterprise_id, epoch)
        if item.kind is SeriesKind.ANCHOR
    }


def _same(policy: Policy, earlier: Policy, enterprise_id: str, item: Series) -> bool:
    is_same_month = earlier.anchor_month == policy.anchor_month
    return is_same_month and promised(earlier, enterprise_id, item.name) == item.claim
