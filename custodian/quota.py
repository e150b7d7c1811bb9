"""Quotas: an enterprise's life-long total, of which each custodian grants ceil(quota * t / n).

Charged before the work and durably; the same batch again is free. A batch that then turns out to hold a bad
element stays charged: an honest node never sends one.
"""

from __future__ import annotations

from custodian.orders import Order
from custodian.store import Batch, Store
from privacy.trust import TrustRoot
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_QUOTA_EXCEEDED


def charge(store: Store, root: TrustRoot, order: Order) -> int:
    """Charge an order and give what is left; raises Refused QUOTA_EXCEEDED, charging nothing."""
    granted = root.quota_at_custodian(order.enterprise_id)
    batch = Batch(order.enterprise_id, order.key_id, order.batch_hash, order.elements)
    left = store.charge(batch, granted)
    if left is None:
        used = store.used(order.enterprise_id)
        raise Refused(
            REASON_QUOTA_EXCEEDED,
            f"{order.elements} evaluations are more than the {granted - used} left of {granted} here.",
            remedy="Ask another quorum, send a smaller batch, or have the trust root raise the quota.",
        )
    return left
