"""The hub's receipts held against its log: each is fulfilled within its delay, or that is a finding.

A folder as a node keeps it: *.receipt, and *.tlog-proof beside those that were fulfilled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from auditor.findings import Check, Result, Results
from auditor.log_tree import Fetch, LogTree
from privacy import checkpoint
from privacy.receipts import RECEIPT_BYTES_MAX, Receipt, read_receipt
from privacy.tlog_proof import PROOF_BYTES_MAX, parse_proof, verify_proof
from privacy.trust import TrustRoot, log_vkey_of
from protos.problems import Problem
from runtime.files import read_bounded


@dataclass(frozen=True, slots=True)
class AuditedLog:
    """A log whose entries have been seen: its signed note, and the hashes of its tree."""

    note: bytes
    tree: LogTree
    fetch: Fetch

    @property
    def size(self) -> int:
        """Count the entries."""
        return self.tree.size

    def leaf(self, index: int) -> bytes:
        """Give the leaf hash of an entry."""
        return self.tree.leaf(index, self.fetch)

    def root_at(self, size: int) -> bytes:
        """Give the root over the first entries."""
        return self.tree.root_at(size, self.fetch)


def check_receipts(
    folder: Path, log: AuditedLog, roots: Sequence[TrustRoot], results: Results, *, as_of: int | None
) -> dict[int, int]:
    """Check every receipt of the folder; `as_of` is when the log was seen, None where nobody can say.

    Gives when the hub says it received each entry.
    """
    received: dict[int, int] = {}
    result = results[Check.RECEIPTS]
    # The newest cosignature says when the log stood so; a witness's clock is better than ours.
    witnessed_at = checkpoint.cosigned_at(log.note, roots[-1].witness_vkeys)
    seen_at = as_of if witnessed_at is None else witnessed_at
    paths = sorted(folder.glob("*.receipt"))
    if not paths:
        result.unchecked.append(f"{folder} holds no receipts")
    for path in paths:
        result.examined += 1
        try:
            receipt = _read(path, roots)
            received[receipt.index] = receipt.received_at
            _check(path, receipt, log, result, seen_at)
            _check_proof(path.with_suffix(".tlog-proof"), receipt, log, roots, result)
        except Problem as problem:
            result.find_problem(path.name, problem)
    return received


def _read(path: Path, roots: Sequence[TrustRoot]) -> Receipt:
    keys = list({root.hub_key.keyid: root.hub_key for root in roots}.values())
    origins = [root.origin for root in roots]
    return read_receipt(read_bounded(path, RECEIPT_BYTES_MAX), keys, origin=origins)


def _check(path: Path, receipt: Receipt, log: AuditedLog, result: Result, seen_at: int | None) -> None:
    if receipt.index < log.size:
        if log.leaf(receipt.index) != receipt.leaf_hash:
            result.find(path.name, f"The hub promised entry {receipt.index}; another message stands there.")
    elif seen_at is None:
        result.unchecked.append(
            f"{path.name}: entry {receipt.index} is beyond the log, which nobody has dated"
        )
    elif seen_at > receipt.due_at:
        result.find(
            path.name,
            f"The hub promised entry {receipt.index} within {receipt.merge_delay_seconds} s; "
            f"{seen_at - receipt.received_at} s later the log has {log.size} entries.",
        )


def _check_proof(
    path: Path, receipt: Receipt, log: AuditedLog, roots: Sequence[TrustRoot], result: Result
) -> None:
    """A proof that once held must lead to a tree that this log continues."""
    if not path.exists():
        return
    proof = parse_proof(read_bounded(path, PROOF_BYTES_MAX))
    head = verify_proof(proof, receipt.leaf_hash, log_vkey_of(roots, proof.origin))
    if proof.index != receipt.index:
        result.find(path.name, f"It proves entry {proof.index}; the receipt promised {receipt.index}.")
    if head.size > log.size:
        result.find(path.name, f"The log once had {head.size} entries; now it shows {log.size}.")
    elif log.root_at(head.size) != head.root:
        result.find(path.name, f"The log signed another tree of {head.size} entries: two histories.")
