"""Answering an order: known and signed, charged, then evaluated and proven; in this order and no other."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from custodian import quota
from custodian.followed_log import FollowedLog
from custodian.holding import Holding
from custodian.orders import Meant, Order, check_order
from custodian.quota import Rate
from custodian.share import KeyShare, obstacle
from custodian.store import Store
from privacy import pseudonyms, shares
from privacy.pseudonyms import CustodianAnswer
from privacy.ristretto import Random
from privacy.trust import TrustRoot
from protos.problems import Refused, Unavailable
from protos.v1.problem_pb2 import REASON_BUSY, REASON_QUOTA_EXCEEDED


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The answer to an order, and what is left of the enterprise's quota here."""

    answer: CustodianAnswer
    quota_left: int


@dataclass(frozen=True, slots=True)
class _Charged:
    """An order that was charged, the share it is for, and what is left of the quota."""

    order: Order
    share: KeyShare
    left: int


class Turns:
    """Counts each enterprise's batches in work: one that sends many does not delay another."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def turn(self, enterprise_id: str) -> Iterator[None]:
        """Take a turn; raises Unavailable BUSY if the enterprise has as many as it may."""
        with self._lock:
            if self._running[enterprise_id] >= self._limit:
                raise Unavailable(
                    REASON_BUSY,
                    f"{self._limit} batches of {enterprise_id} are in work here.",
                    remedy="Wait for an answer before sending the next batch.",
                )
            self._running[enterprise_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._running[enterprise_id] -= 1
                if not self._running[enterprise_id]:
                    del self._running[enterprise_id]


class Evaluator:
    """Evaluates blinded batches with one share."""

    def __init__(
        self,
        holding: Holding,
        log: FollowedLog,
        store: Store,
        turns: Turns,
        rate: Rate,
        *,
        clock: Callable[[], float],
        random: Random,
        threads: int,
        on_charged: Callable[[], None],
    ) -> None:
        self._holding = holding
        self._log = log
        self._store = store
        self._turns = turns
        self._rate = rate
        self._clock = clock
        self._random = random
        self._threads = threads
        self._on_charged = on_charged

    @property
    def share(self) -> KeyShare:
        """Give the share it evaluates with."""
        return self._holding.share

    def evaluate(self, caller: str, order: bytes, blinded: bytes) -> Evaluation:
        """Check the order, charge it durably, evaluate; a batch that was charged before is free."""
        with self._turns.turn(caller):
            meant = Meant.of(order)
            root = self._log.root_where(lambda root: self._suffices(root, caller, meant))
            try:
                charged = self._charge(root, caller, order, blinded)
            except Refused as refused:
                charged = self._charge(self._raised(root, caller, refused), caller, order, blinded)
            self._on_charged()
            share = charged.share.share
            answer = pseudonyms.evaluate_batch(
                share, charged.order.quorum, blinded, self._random, workers=self._threads
            )
        return Evaluation(answer, charged.left)

    def _charge(self, root: TrustRoot, caller: str, order: bytes, blinded: bytes) -> _Charged:
        share = self._holding.under(root)
        checked = check_order(order, blinded, caller=caller, root=root, share=share)
        now = int(self._clock() * 1_000_000)
        return _Charged(checked, share, quota.charge(self._store, root, checked, self._rate, now=now))

    def _raised(self, root: TrustRoot, caller: str, refused: Refused) -> TrustRoot:
        """Give a later trust root that grants the caller more; raises the refusal where there is none."""
        if refused.reason != REASON_QUOTA_EXCEEDED:
            raise refused
        granted = root.quota_at_custodian(caller)
        newer = self._log.root_where(lambda newer: _granted(newer, caller) > granted)
        if _granted(newer, caller) <= granted:
            raise refused
        return newer

    def _suffices(self, root: TrustRoot, caller: str, meant: Meant) -> bool:
        """Say whether the root is of the log and knows caller, share and shares the order seems to be for."""
        share = self._holding.under(root)
        knows_caller = any(enterprise.id == caller for enterprise in root.enterprises)
        is_meant = meant == Meant(root.origin, shares.commitments_hash(share.key.commitments))
        return knows_caller and is_meant and obstacle(share, root) is None


def _granted(root: TrustRoot, enterprise_id: str) -> int:
    """Give an enterprise's quota at one custodian; none for one the root does not name any longer."""
    is_named = any(enterprise.id == enterprise_id for enterprise in root.enterprises)
    return root.quota_at_custodian(enterprise_id) if is_named else 0
