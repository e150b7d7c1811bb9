"""Asks the log's witnesses to cosign each checkpoint; serves it once their quorum has (C2SP tlog-witness).

The trust root says who they are and how many it takes; the file `witness-policy` in the home folder (C2SP
tlog-policy) says where they are asked. One thread a witness, so that a slow one delays nobody. What is signed
but not yet witnessed is not served: the checkpoint before it stays.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hub.log import CHECKPOINT_FILE, PublicLog
from privacy import checkpoint
from privacy.checkpoint import Vkey
from privacy.tiles import HashReader
from privacy.trust import TrustRoot
from privacy.witness_policy import POLICY_BYTES_MAX, WitnessPolicy, parse_policy
from privacy.witnessing import SIZE_TYPE, AddCheckpoint, Status, format_request, parse_lines
from protos.problems import Problem, Refused, Unavailable
from protos.v1.problem_pb2 import (
    REASON_EPOCH_NOT_READY,
    REASON_PEER_UNREACHABLE,
    REASON_SHUTTING_DOWN,
)
from runtime.configuration import read_bounded, write_atomic
from runtime.posting import SECONDS_MAX, post

logger = logging.getLogger(__name__)

POLICY_FILE = "witness-policy"
ANSWER_BYTES_MAX = 65_536
RETRY_SECONDS = 1.0
RETRY_SECONDS_MAX = 30.0
# Checkpoints waiting for a quorum; beyond it the oldest are given up, newer ones cover them.
WAITING_MAX = 64


@dataclass(slots=True)
class _Waiting:
    """A signed checkpoint, the lines it has gathered, and whose it needs."""

    note: bytes
    size: int
    vkeys: tuple[Vkey, ...]
    quorum: int

    @property
    def is_witnessed(self) -> bool:
        return len(checkpoint.cosigners(self.note, self.vkeys)) >= self.quorum


class Witnessing:
    """Gathers cosignatures; the log's writer offers, readers get what lies in the folder."""

    def __init__(self, folder: Path, trust_root: Callable[[], TrustRoot | None]) -> None:
        self._folder = folder
        self._trust_root = trust_root
        self._public = PublicLog(folder)
        self._changed = threading.Condition()
        self._waiting: dict[int, _Waiting] = {}
        self._served = -1
        self._asked: dict[str, threading.Thread] = {}
        self._stopping = threading.Event()

    @property
    def served_size(self) -> int:
        """Give the size of the checkpoint that is served, -1 before the first."""
        return self._served

    def offer(self, note: bytes, size: int) -> None:
        """Take a checkpoint the log has just signed; without a quorum to wait for it is served at once."""
        root = self._trust_root()
        vkeys, quorum = (root.witness_vkeys, root.witness_quorum) if root else ((), 0)
        with self._changed:
            waiting = _Waiting(note, size, vkeys, quorum)
            self._waiting[size] = waiting
            if waiting.is_witnessed:
                self._serve(waiting)
            while len(self._waiting) > WAITING_MAX:
                del self._waiting[min(self._waiting)]
            self._start_asking()
            self._changed.notify_all()

    def wait(self, size: int, *, seconds: float) -> None:
        """Wait until the served checkpoint covers `size` entries; raises Refused EPOCH_NOT_READY.

        Raises Unavailable SHUTTING_DOWN once the hub stops: nothing is served any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._served >= size or self._stopping.is_set(), timeout=seconds)
            if self._served >= size:
                return
        if self._stopping.is_set():
            raise Unavailable(
                REASON_SHUTTING_DOWN, "The hub stops.", remedy="Ask again once it has been started."
            )
        root = self._trust_root()
        raise Refused(
            REASON_EPOCH_NOT_READY,
            f"The log is witnessed up to {max(self._served, 0)} entries, {size} are needed; "
            f"the quorum is {root.witness_quorum if root else 0}.",
            remedy="See that the witnesses in the trust root and witness-policy can be reached; close again.",
        )

    def give_up(self) -> None:
        """Ask nobody any more, and let nobody wait for what will not be served."""
        with self._changed:
            self._stopping.set()
            self._changed.notify_all()

    def stop(self) -> None:
        """Stop asking; what is not witnessed is offered again at the next start."""
        self.give_up()
        for thread in self._asked.values():
            thread.join(SECONDS_MAX + 1)

    def policy(self) -> WitnessPolicy:
        """Read where the witnesses are asked; none where there is no file."""
        path = self._folder / POLICY_FILE
        return parse_policy(read_bounded(path, POLICY_BYTES_MAX)) if path.exists() else WitnessPolicy((), 0)

    def _start_asking(self) -> None:
        try:
            urls = {item.url for item in self.policy().witnesses if item.url}
        except Problem as problem:
            logger.warning("the witness policy cannot be read", extra={"why": problem.message})
            return
        for url in urls - self._asked.keys():
            thread = threading.Thread(target=self._ask_ever, args=(url,), name="witness", daemon=True)
            self._asked[url] = thread
            thread.start()

    def _ask_ever(self, url: str) -> None:
        client = WitnessClient(url, self._public)
        done, pause = -1, RETRY_SECONDS
        while (newest := self._newest_after(done)) is not None:
            try:
                lines = client.ask(newest.note, newest.size, newest.vkeys)
            except (Problem, ValueError) as error:
                logger.warning("a witness did not cosign", extra={"url": url, "why": str(error)})
                self._stopping.wait(pause)
                pause = min(2 * pause, RETRY_SECONDS_MAX)
                continue
            done, pause = newest.size, RETRY_SECONDS
            self._merge(newest.size, lines)

    def _newest_after(self, done: int) -> _Waiting | None:
        """Wait for a checkpoint this witness has not cosigned; None when stopping."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping.is_set() or max(self._waiting, default=-1) > done)
            return None if self._stopping.is_set() else self._waiting[max(self._waiting)]

    def _merge(self, size: int, lines: bytes) -> None:
        with self._changed:
            waiting = self._waiting.get(size)
            if waiting is None or not lines:
                return
            waiting.note = checkpoint.append_lines(waiting.note, lines)
            if waiting.is_witnessed and size >= self._served:
                self._serve(waiting)
            self._changed.notify_all()

    def _serve(self, waiting: _Waiting) -> None:
        """Let readers have it; a checkpoint that is served stays, to gather later lines."""
        write_atomic(self._folder / CHECKPOINT_FILE, waiting.note)
        self._served = waiting.size
        self._waiting = {size: kept for size, kept in self._waiting.items() if size >= waiting.size}


class WitnessClient:
    """Asks one witness; remembers what it cosigned last."""

    def __init__(self, url: str, public: PublicLog) -> None:
        self._url = url
        self._public = public
        self._old_size = 0

    def ask(self, note: bytes, size: int, vkeys: tuple[Vkey, ...]) -> bytes:
        """Give the lines by these keys that hold, none where it is ahead; raises Unavailable on a refusal."""
        for _ in range(2):
            proof = tuple(self._proof(self._old_size, size))
            request = format_request(AddCheckpoint(self._old_size, proof, note))
            status, body, content_type = post(self._url, "/add-checkpoint", request, limit=ANSWER_BYTES_MAX)
            if status == Status.OK:
                self._old_size = size
                return parse_lines(checkpoint.parse_note(note), body, vkeys)
            if status != Status.CONFLICT or content_type != SIZE_TYPE:
                break
            self._old_size = int(body.decode("ascii"))
            if self._old_size > size:
                return b""
        raise Unavailable(REASON_PEER_UNREACHABLE, f"The witness at {self._url} answered {status}.")

    def _proof(self, old_size: int, size: int) -> list[bytes]:
        if not 0 < old_size < size:
            return []
        hashes = HashReader(lambda tile: self._public.tile(tile.path.removeprefix("tile/")), size)
        return hashes.consistency_proof(old_size)
