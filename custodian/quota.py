"""Quotas and rates: how many evaluations an enterprise may ever have, and how fast.

A life-long total, of which each custodian grants ceil(quota * t / n), and a bucket that refills steadily:
whoever steals an enterprise's key cannot spend its whole quota overnight. Both are charged before the work,
durably and in one step; the same batch again is free. A batch that then turns out to hold a bad element stays
charged: an honest node never sends one.
"""

from __future__ import annotations

from dataclasses import dataclass

from custodian.orders import Order
from custodian.store import Batch, Store
from privacy.trust import TrustRoot
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_QUOTA_EXCEEDED, REASON_RATE_EXCEEDED

_MINUTE_MICROSECONDS = 60_000_000
_SECOND_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """A bucket of `burst` elements that refills by `per_minute`, kept as the one time at which it is full.

    The generic cell rate algorithm (ITU-T I.371): one integer for each enterprise, exact over restarts.
    """

    per_minute: int
    burst: int

    def take(self, enterprise_id: str, elements: int, *, filled_until: int, now: int) -> int:
        """Take elements and give until when the rate is filled; raises Refused RATE_EXCEEDED."""
        depth = self._microseconds(self.burst)
        # A clock set back must not lock an enterprise out for longer than an empty bucket takes.
        start = min(max(filled_until, now), now + depth)
        until = start + self._microseconds(elements)
        wait = until - (now + depth)
        if wait > 0:
            seconds = -(-wait // _SECOND_MICROSECONDS)
            raise Refused(
                REASON_RATE_EXCEEDED,
                f"{enterprise_id} asks for evaluations faster than {self.per_minute} a minute.",
                remedy=f"Send the same batch again in {seconds} s; nothing was charged.",
            )
        return until

    def _microseconds(self, elements: int) -> int:
        return -(-elements * _MINUTE_MICROSECONDS // self.per_minute)


def charge(store: Store, root: TrustRoot, order: Order, rate: Rate, *, now: int) -> int:
    """Charge an order at `now` (microseconds of the epoch) and give what is left of the quota.

    Raises Refused QUOTA_EXCEEDED or RATE_EXCEEDED, charging nothing.
    """
    granted = root.quota_at_custodian(order.enterprise_id)
    batch = Batch(order.enterprise_id, order.key_id, order.batch_hash, order.elements)

    def admit(filled_until: int) -> int:
        return rate.take(order.enterprise_id, order.elements, filled_until=filled_until, now=now)

    left = store.charge(batch, granted, admit)
    if left is None:
        used = store.used(order.enterprise_id)
        raise Refused(
            REASON_QUOTA_EXCEEDED,
            f"{order.elements} evaluations are more than the {granted - used} left of {granted} here.",
            remedy="Ask another quorum, send a smaller batch, or have the trust root raise the quota.",
        )
    return left
