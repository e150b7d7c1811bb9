"""Deposits of answers with a witness: whatever the hub does, the enterprise can show that it was in time.

N/deposits/<sequence>-<kind>.deposit, the witness's signed word, and .envelope, the message it is about; both
are for the auditor, and name nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from privacy.deposits import Deposit, read_deposit
from privacy.envelope import Kind
from protos.problems import Unavailable, Unverified
from protos.v1.problem_pb2 import REASON_NOT_FOUND, REASON_PROOF_INVALID
from runtime.files import PRIVATE_FOLDER, write_atomic

if TYPE_CHECKING:
    from enterprise_node.store.outbox import OutboxTable, StoredMessage
    from privacy.checkpoint import Vkey

FOLDER = "deposits"
# What answers for an epoch, or shows that an answer was on its way.
ANSWERS = (Kind.RESERVATION, Kind.RELEASE, Kind.NOTHING_TO_REPORT)

# Sends an origin and a hash to a witness; gives its answer.
Send = Callable[[str, bytes], bytes]


@dataclass(frozen=True, slots=True)
class Kept:
    """A message that was deposited, when and with whom."""

    message: StoredMessage
    deposit: Deposit


def deposit(
    table: OutboxTable, epoch: int, folder: Path, witnesses: Iterable[Vkey], origin: str, send: Send
) -> list[Kept]:
    """Deposit every answer for an epoch that has not been deposited; raises NOT_FOUND where there is none."""
    answers = [message for kind in ANSWERS for message in table.find(kind.value, epoch)]
    if not answers:
        raise Unavailable(
            REASON_NOT_FOUND,
            "This node has signed no answer for the epoch.",
            remedy="Release it, or sign nothing-to-report; what is signed can be deposited.",
        )
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    known = list(witnesses)
    return [_deposit(message, folder, known, origin, send) for message in answers]


def _deposit(
    message: StoredMessage, folder: Path, witnesses: Sequence[Vkey], origin: str, send: Send
) -> Kept:
    path = folder / f"{message.sequence:06d}-{message.kind}.deposit"
    answer = path.read_bytes() if path.exists() else send(origin, message.envelope_hash)
    found = read_deposit(answer, witnesses, origin=origin)
    if found.envelope_hash != message.envelope_hash:
        raise Unverified(REASON_PROOF_INVALID, "The witness signed another hash than the one deposited.")
    write_atomic(path.with_suffix(".envelope"), message.envelope)
    write_atomic(path, answer)
    return Kept(message, found)
