"""A witness of logs: cosigns growth that it has checked, refuses anything else and keeps it as evidence.

What is cosigned is durable before the cosignature leaves, under one lock with the comparison: a witness never
cosigns two histories, whatever it is sent and whenever it dies.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from auditor.witness_home import WitnessHome
from privacy import checkpoint, deposits
from privacy.deposits import Deposit
from privacy.tiles import HashReader, Tile
from privacy.trust import TrustRoot
from privacy.witnessing import (
    SIZE_TYPE,
    Acceptable,
    AddCheckpoint,
    Declined,
    Status,
    judge,
    parse_request,
)
from protos.problems import Malformed, Unverified
from protos.v1.problem_pb2 import REASON_HISTORY_INCONSISTENT
from runtime.log_reader import LogReader
from runtime.successors import find_successor

logger = logging.getLogger(__name__)

ENVELOPE_TYPE = "application/octet-stream"
TEXT_TYPE = "text/plain; charset=utf-8"
# A log's own record of a checkpoint that must not be cosigned: worth keeping, whoever sent it.
_EVIDENCE = frozenset({Status.UNPROCESSABLE_ENTITY})


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back over HTTP."""

    status: Status
    body: bytes
    content_type: str = TEXT_TYPE


class Witness:
    """Answers add-checkpoint requests; `clock` gives seconds since 1970."""

    def __init__(self, home: WitnessHome, *, clock: Callable[[], int]) -> None:
        self._home = home
        self._clock = clock

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer one request body."""
        try:
            request = parse_request(body)
        except Malformed as problem:
            return Answer(Status.BAD_REQUEST, f"{problem.message}\n".encode())
        with self._home.turn():
            return self.decide(request)

    def deposit(self, body: bytes) -> Answer:
        """Date the hash of a message for a log this witness follows; nothing of it is kept here."""
        try:
            origin, envelope_hash = deposits.parse_request(body)
        except Malformed as problem:
            return Answer(Status.BAD_REQUEST, f"{problem.message}\n".encode())
        if origin not in self._home.logs():
            return Answer(Status.NOT_FOUND, b"This witness does not follow that log.\n")
        keys = self._home.keys
        seen = Deposit(origin, envelope_hash, self._clock(), keys.name)
        return Answer(Status.OK, deposits.sign_deposit(seen, keys.key), ENVELOPE_TYPE)

    def decide(self, request: AddCheckpoint) -> Answer:
        """Compare, keep and cosign; the caller holds the home's turn."""
        decision = judge(request, self._home.logs(), self._home.cosigned)
        if isinstance(decision, Declined):
            return self._decline(request, decision)
        # From here on this history is the one this witness has seen.
        self._home.keep(decision.checkpoint, request.data)
        logger.info("cosigned", extra={"size": decision.checkpoint.size})
        return Answer(Status.OK, self._lines(decision))

    def _lines(self, accepted: Acceptable) -> bytes:
        keys, time = self._home.keys, self._clock()
        lines = (checkpoint.cosignature_line(accepted.note, vkey, keys.key, time=time) for vkey in keys.vkeys)
        return b"".join(lines)

    def _decline(self, request: AddCheckpoint, declined: Declined) -> Answer:
        if declined.status in _EVIDENCE and declined.checkpoint is not None:
            self._home.keep_evidence(request, declined.checkpoint.origin, declined.why)
            logger.warning("a log signed what does not continue its history", extra={"why": declined.why})
        if declined.known_size is not None:
            return Answer(declined.status, f"{declined.known_size}\n".encode(), SIZE_TYPE)
        return Answer(declined.status, f"{declined.why}\n".encode())


@dataclass(frozen=True, slots=True)
class Seen:
    """What one visit to a log gave."""

    origin: str
    size: int
    before: int
    lines: bytes


def visit(home: WitnessHome, witness: Witness, reader: LogReader, root: TrustRoot) -> Seen:
    """Fetch a log's checkpoint and tiles, prove its growth and cosign it; raises Unverified on a fork.

    Where the log's key was replaced, it goes on from what was cosigned under the key before.
    """
    vkey = root.log_vkey
    home.follow(vkey)
    if successor := find_successor(reader, root):
        vkey = successor.log_vkey
        home.succeed(root.origin, vkey)
    note = reader.checkpoint()
    head = checkpoint.open_checkpoint(note, vkey)
    known = home.cosigned(vkey.name)
    request = AddCheckpoint(known.size, _proof(reader, known.size, head), note)
    if head.size < known.size:
        home.keep_evidence(request, head.origin, f"It shows {head.size} entries after {known.size}.")
        raise _refused(f"The log shows {head.size} entries after it had signed {known.size}.")
    with home.turn():
        answer = witness.decide(request)
    if answer.status is not Status.OK:
        raise _refused(answer.body.decode().strip())
    return Seen(head.origin, head.size, known.size, answer.body)


def _proof(reader: LogReader, old_size: int, head: checkpoint.Checkpoint) -> tuple[bytes, ...]:
    if not 0 < old_size < head.size:
        return ()
    hashes = HashReader(lambda tile: _tile(reader, tile), head.size)
    return tuple(hashes.consistency_proof(old_size))


def _tile(reader: LogReader, tile: Tile) -> bytes:
    return reader.tile(tile.level or 0, tile.index, tile.width)


def _refused(why: str) -> Unverified:
    return Unverified(
        REASON_HISTORY_INCONSISTENT,
        f"Not cosigned: {why}",
        remedy="Keep the witness's folder `evidence`, and show it to the log's auditors and operator.",
    )
