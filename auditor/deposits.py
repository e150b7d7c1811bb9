"""Deposits held against the log: whoever is called missing although a witness saw the answer was wronged.

A folder as a node keeps it: *.deposit, a witness's word, and *.envelope beside it, the message it is about.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from auditor.findings import Check, Result, Results
from auditor.replay import Replay
from privacy import envelope
from privacy.deadlines import moment
from privacy.deposits import DEPOSIT_BYTES_MAX, Deposit, read_deposit
from privacy.envelope import ENTRY_BYTES_MAX, Kind
from privacy.standing import Role
from protos.epochs import Epoch, checked_epoch, format_epoch
from protos.problems import Malformed, Problem, Unverified
from protos.v1 import release_pb2
from protos.v1.problem_pb2 import REASON_PROOF_INVALID, REASON_WRONG_TYPE
from runtime.files import read_bounded

_ANSWERS: dict[Kind, type[Any]] = {
    Kind.RESERVATION: release_pb2.Reservation,
    Kind.RELEASE: release_pb2.Release,
    Kind.NOTHING_TO_REPORT: release_pb2.NothingToReport,
}


def check_deposits(folder: Path, replayed: Replay, results: Results) -> None:
    """Check every deposit of the folder against what the log says of its enterprise and epoch."""
    result = results[Check.DEPOSITS]
    paths = sorted(folder.glob("*.deposit"))
    if not paths:
        result.unchecked.append(f"{folder} holds no deposits")
    for path in paths:
        result.examined += 1
        try:
            _check(path, replayed, result)
        except Problem as problem:
            result.find_problem(path.name, problem)


def _check(path: Path, replayed: Replay, result: Result) -> None:
    state = replayed.state
    witnesses = [vkey for root in state.trust_roots for vkey in root.witness_vkeys]
    found = read_deposit(read_bounded(path, DEPOSIT_BYTES_MAX), witnesses, origin=state.trust.origin)
    data = read_bounded(path.with_suffix(".envelope"), ENTRY_BYTES_MAX)
    if envelope.envelope_hash(data) != found.envelope_hash:
        raise Unverified(REASON_PROOF_INVALID, "The witness saw another message than the one beside it.")
    enterprise_id, epoch = _answer(data, replayed)
    for index, deadline in _called_missing(replayed, enterprise_id, epoch):
        if found.deposited_at < deadline:
            result.find(f"entry {index}", _wronged(enterprise_id, epoch, found, deadline))


def _answer(data: bytes, replayed: Replay) -> tuple[str, Epoch]:
    """Verify an answer as its enterprise's own; give who answered for which epoch."""
    opened = envelope.open_envelope(data)
    if opened.kind not in _ANSWERS:
        raise Malformed(REASON_WRONG_TYPE, f"A {opened.kind.value} answers for no epoch.")
    keys = {
        party.id: [
            root.enterprise(party.id).key for root in replayed.state.trust_roots if root.names(party.id)
        ]
        for root in replayed.state.trust_roots
        for party in root.enterprises
    }
    message = opened.parse(_ANSWERS[opened.kind])
    envelope.verify(opened, keys.get(message.header.issuer, []))
    envelope.check_origin(message.header.origin, replayed.state.trust.origin)
    return message.header.issuer, checked_epoch(message.epoch)


def _called_missing(replayed: Replay, enterprise_id: str, epoch: Epoch) -> list[tuple[int, int]]:
    """Give the entries that call an enterprise missing, and until when it could have answered."""
    state, found = replayed.state, []
    stated = state.missed.get((Role.ENTERPRISE, enterprise_id, epoch))
    due_at = state.due_at(Role.ENTERPRISE, enterprise_id, epoch)
    if stated is not None and due_at is not None:
        found.append((stated, due_at))
    for index, close in replayed.closes:
        if close.epoch == epoch and enterprise_id in close.missing and stated is None:
            found.append((index, close.header.issued_at))
    return found


def _wronged(enterprise_id: str, epoch: Epoch, found: Deposit, deadline: int) -> str:
    return (
        f"The hub calls {enterprise_id} missing for {format_epoch(epoch)}, due by {moment(deadline)}; its "
        f"answer was deposited with {found.witness} at {moment(found.deposited_at)}: the hub's finding."
    )
