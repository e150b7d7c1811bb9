"""The hub's promises, kept where an auditor can be given them: each receipt, then the proof it was kept.

N/receipts/<sequence>-<kind>.receipt and, once a checkpoint covers the entry, .tlog-proof beside it. Nothing
in the folder is secret: both speak of an envelope by its hash alone.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from privacy.merkle import leaf_hash
from privacy.tiles import HashReader, Tile
from privacy.tlog_proof import TlogProof, format_proof, verify_proof
from protos.problems import Malformed, Unavailable, Unverified
from runtime.files import PRIVATE_FOLDER, write_atomic

if TYPE_CHECKING:
    from enterprise_node.store.outbox import OutboxTable, StoredMessage
    from privacy.checkpoint import Vkey
    from runtime.log_follower import Head
    from runtime.log_mirror import LogMirror
    from runtime.log_reader import LogReader

logger = logging.getLogger(__name__)

FOLDER = "receipts"


class ReceiptFolder:
    """Keeps receipts and proofs of one node's messages."""

    def __init__(self, folder: Path, table: OutboxTable) -> None:
        self._folder = folder
        self._table = table

    def keep(self, mirror: LogMirror, reader: LogReader) -> None:
        """Write what is not there yet; a proof that cannot be had now is made the next time.

        Raises Unverified where the log's tiles do not lead to the checkpoint it signed.
        """
        self._folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        unproved = [message for message in self._table.received() if self._keep_receipt(message)]
        head = mirror.head
        if head is None or not unproved:
            return
        hashes = HashReader(lambda tile: _tile(reader, tile), head.size)
        try:
            for message in unproved:
                self._keep_proof(message, hashes, head, mirror.vkey)
        except (Unavailable, Malformed) as problem:
            logger.warning("proofs not made yet", extra={"why": problem.message})

    def _keep_receipt(self, message: StoredMessage) -> bool:
        """Write the receipt; say whether a proof can and must still be made."""
        path = self._path(message, "receipt")
        if message.receipt is not None and not path.exists():
            write_atomic(path, message.receipt)
        return bool(message.seen) and not self._path(message, "tlog-proof").exists()

    def _keep_proof(self, message: StoredMessage, hashes: HashReader, head: Head, log: Vkey) -> None:
        """Make and check one proof; the head's cosignatures were checked when it was taken."""
        index = message.log_index
        if index is None or index >= head.size:
            return
        proof = TlogProof(index, tuple(hashes.inclusion_proof(index)), head.note)
        try:
            verify_proof(proof, leaf_hash(message.envelope), log)
        except Unverified as problem:
            problem.remedy = "Keep the folder `receipts` and the node's log folder, and tell the auditors."
            raise
        write_atomic(self._path(message, "tlog-proof"), format_proof(proof))

    def _path(self, message: StoredMessage, suffix: str) -> Path:
        return self._folder / f"{message.sequence:06d}-{message.kind}.{suffix}"


def _tile(reader: LogReader, tile: Tile) -> bytes:
    return reader.tile(tile.level or 0, tile.index, tile.width)
