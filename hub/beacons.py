"""Draws an epoch's beacon: binds it to the served checkpoint, has enough custodians evaluate it, logs it.

The checkpoint is kept in the home before anybody is asked, since custodians evaluate an epoch over one only;
from then on no commitment to the epoch is taken. A draw may be cut anywhere and asked for again.

H/beacons/YYYY-MM    the checkpoint an epoch's beacon is bound to
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from hub.intake import Intake, Own
from hub.state import State
from hub.store.entries import StoredEntry
from hub.store.writer import Writer
from privacy import beacon, commitment_rules
from privacy.beacon import Drawn, Part
from privacy.envelope import Kind
from privacy.trust import Custodian, TrustRoot
from protos.epochs import Epoch, format_epoch
from protos.problems import Problem, Unavailable, Unverified
from protos.v1 import commitment_pb2, envelope_pb2
from protos.v1.problem_pb2 import REASON_QUORUM_UNAVAILABLE, REASON_TRUST_ROOT_INVALID
from runtime.files import PRIVATE_FOLDER, read_bounded, write_atomic

logger = logging.getLogger(__name__)

FOLDER = "beacons"


class CustodianPort(Protocol):
    """A connection to one custodian."""

    def evaluate(self, epoch: Epoch, note: bytes) -> Part:
        """Ask for its part of a beacon; raises the problem it answered with."""


class Beacons:
    """Draws beacons, one at a time."""

    def __init__(
        self,
        home: Path,
        state: State,
        intake: Intake,
        writer: Writer,
        *,
        served: Callable[[], bytes],
        wait_witnessed: Callable[[int], None],
        connect: Callable[[Custodian], AbstractContextManager[CustodianPort]],
    ) -> None:
        self._folder = home / FOLDER
        self._state = state
        self._intake = intake
        self._writer = writer
        self._served = served
        self._wait_witnessed = wait_witnessed
        self._connect = connect
        self._lock = threading.Lock()

    def is_bound(self, epoch: Epoch) -> bool:
        """Say whether custodians may know an epoch's beacon already."""
        return self._path(epoch).exists()

    def draw(self, epoch: Epoch) -> Drawn:
        """Give an epoch's beacon, drawn now unless it is in the log already."""
        with self._lock:
            known = self._state.beacons().get(epoch)
            if known is not None:
                return known
            root = self._state.trust_root
            if root is None:
                raise Unverified(REASON_TRUST_ROOT_INVALID, "The log has no trust root yet.")
            key = commitment_rules.beacon_key(root)
            if not self.is_bound(epoch):
                self._wait_witnessed(self._state.size)
                self._writer.call(lambda connection: self._bind(epoch))
            note = read_bounded(self._path(epoch), commitment_rules.CHECKPOINT_BYTES_MAX)
            parts = self._asked(epoch, note, root, key.threshold)
            stored = self._writer.call(
                lambda connection: self._intake.append_own(connection, self._built(epoch, note, parts))
            )
            _told(stored, epoch)
            return self._state.beacons()[epoch]

    def _bind(self, epoch: Epoch) -> None:
        """Keep the served checkpoint, in the writer's turn: no commitment comes between check and file."""
        note = self._served()
        self._state.beacon_head(epoch, note)
        self._folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        write_atomic(self._path(epoch), note)

    def _asked(self, epoch: Epoch, note: bytes, root: TrustRoot, threshold: int) -> list[Part]:
        """Ask custodians until enough have given a part that holds; what one answers stops no other."""
        key, head = commitment_rules.beacon_key(root), self._state.beacon_head(epoch, note)
        message = beacon.beacon_input(root.origin, epoch, head.text)
        parts: list[Part] = []
        refusals: list[str] = []
        for custodian in sorted(root.custodians, key=lambda one: one.index):
            if len(parts) == threshold:
                break
            try:
                with self._connect(custodian) as port:
                    part = port.evaluate(epoch, note)
                if part.index != custodian.index:
                    raise Unverified(REASON_TRUST_ROOT_INVALID, "It answered for another share.")
                beacon.verify_part(part, message, key)
            except Problem as problem:
                logger.warning("no part of a beacon", extra={"custodian_id": custodian.id})
                refusals.append(f"{custodian.id}: {problem.message}")
                continue
            parts.append(part)
        if len(parts) < threshold:
            raise Unavailable(
                REASON_QUORUM_UNAVAILABLE,
                f"{len(parts)} custodians gave their part of the beacon, {threshold} must. "
                + " ".join(refusals),
                remedy="Ask again when they can be reached; the checkpoint stays the same.",
            )
        return parts

    def _built(
        self, epoch: Epoch, note: bytes, parts: Sequence[Part]
    ) -> Callable[[envelope_pb2.Header], Own]:
        def build(header: envelope_pb2.Header) -> Own:
            root = self._state.trust_root
            assert root is not None
            message = commitment_pb2.Beacon(
                header=header,
                epoch=epoch,
                key_id=commitment_rules.beacon_key(root).key_id,
                checkpoint=note,
            )
            for part in parts:
                message.parts.add(index=part.index, evaluated=part.evaluated, proof=part.proof)
            return Own(Kind.BEACON, message)

        return build

    def _path(self, epoch: Epoch) -> Path:
        return self._folder / format_epoch(epoch)


def _told(stored: StoredEntry, epoch: Epoch) -> None:
    logger.info("beacon drawn", extra={"epoch": format_epoch(epoch), "index": stored.index})
