"""This custodian's part of a beacon: one epoch over one checkpoint, once the log shows that it is due."""

from __future__ import annotations

import logging
import threading

from custodian.followed_log import FollowedLog
from custodian.holding import Holding
from custodian.share import obstacle
from custodian.store import Store
from privacy import beacon
from privacy.acceptance import LogState
from privacy.beacon import Part
from privacy.ristretto import Random
from protos.epochs import Epoch, format_epoch
from protos.problems import Conflict, Unavailable
from protos.v1.problem_pb2 import REASON_ALREADY_EXISTS, REASON_NOT_FOUND

logger = logging.getLogger(__name__)


class BeaconEvaluator:
    """Evaluates checkpoints with the share of the beacon key; `holding` is None where there is none."""

    def __init__(self, holding: Holding | None, log: FollowedLog, store: Store, *, random: Random) -> None:
        self._holding = holding
        self._log = log
        self._store = store
        self._random = random
        self._lock = threading.Lock()

    def evaluate(self, epoch: Epoch, note: bytes) -> Part:
        """Read the log, decide by its rules whether the beacon is due over this checkpoint, evaluate it.

        Once an epoch is bound to a checkpoint no other is evaluated for it: nobody looks at two values and
        chooses.
        """
        if self._holding is None:
            raise Unavailable(
                REASON_NOT_FOUND,
                "This custodian has no share of a beacon key.",
                remedy="Hold the ceremony for it, then run cgsp-custodian import-share.",
            )
        with self._lock:
            self._log.refresh()
            self._log.check_usable()
            root = self._log.root
            share = self._holding.under(root)
            problem = obstacle(share, root)
            if problem is not None:
                raise problem
            head = self._replayed().beacon_head(epoch, note)
            message = beacon.beacon_input(root.origin, epoch, head.text)
            if not self._store.bind_beacon(epoch, message):
                raise Conflict(
                    REASON_ALREADY_EXISTS,
                    f"The beacon of {format_epoch(epoch)} is bound to another checkpoint here.",
                    remedy="Ask with the checkpoint that was asked with first.",
                )
            logger.info("beacon evaluated", extra={"epoch": epoch, "size": head.size})
            return beacon.evaluate(share.share, message, self._random)

    def _replayed(self) -> LogState:
        """Decide every entry of the verified copy again; bodies are not at hand and not needed."""
        state = LogState(pinned=self._log.pinned, replaying=True)
        for entry in self._log.entries():
            state.apply(state.check(entry.data, None, entry.index))
        return state
