"""An offline proof that an entry is in a log: C2SP tlog-proof (c2sp.org/tlog-proof).

Index, inclusion proof and the checkpoint it leads to, cosignatures included, in one text file (.tlog-proof).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from privacy import checkpoint, merkle
from privacy.checkpoint import NOTE_BYTES_MAX, SIZE_MAX, Checkpoint, Vkey
from privacy.merkle import HASH_BYTES
from protos.problems import Malformed, Unverified
from protos.v1.problem_pb2 import REASON_CHECKPOINT_INVALID, REASON_MALFORMED_MESSAGE

HEAD = "c2sp.org/tlog-proof@v1"
PROOF_LINES_MAX = 63
EXTRA_BYTES_MAX = 65_536
PROOF_BYTES_MAX = NOTE_BYTES_MAX + 2 * EXTRA_BYTES_MAX + 64 * PROOF_LINES_MAX

_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class TlogProof:
    """A proof taken apart; nothing is verified yet. `extra` is opaque and never vouched for."""

    index: int
    hashes: tuple[bytes, ...]
    note: bytes
    extra: bytes = b""

    @property
    def origin(self) -> str:
        """Give the origin that the checkpoint names, unverified; raises Malformed."""
        return checkpoint.parse_checkpoint(checkpoint.parse_note(self.note).text).origin


def format_proof(proof: TlogProof) -> bytes:
    """Write the text of a proof."""
    lines = [HEAD]
    if proof.extra:
        lines.append(f"extra {base64.b64encode(proof.extra).decode()}")
    lines.append(f"index {proof.index}")
    lines += [base64.b64encode(item).decode() for item in proof.hashes]
    return "\n".join([*lines, "", ""]).encode() + proof.note


def parse_proof(data: bytes) -> TlogProof:
    """Read a proof, canonical form only; raises Malformed."""
    head, found, note = data.partition(b"\n\n")
    if len(data) > PROOF_BYTES_MAX or not found:
        raise _malformed("proof lines, an empty line and a checkpoint were expected")
    first, *lines = head.decode("ascii", "replace").split("\n")
    extra = b""
    if lines and lines[0].startswith("extra "):
        extra = _decoded(lines.pop(0).removeprefix("extra "), range(1, EXTRA_BYTES_MAX + 1))
    index = _INDEX.fullmatch(lines[0]) if lines else None
    if first != HEAD or index is None or int(index[1]) > SIZE_MAX or len(lines) - 1 > PROOF_LINES_MAX:
        raise _malformed(f"it starts with '{HEAD}' and an index, and has at most {PROOF_LINES_MAX} hashes")
    hashes = tuple(_decoded(line, range(HASH_BYTES, HASH_BYTES + 1)) for line in lines[1:])
    return TlogProof(int(index[1]), hashes, note, extra)


def verify_proof(
    proof: TlogProof, leaf_hash: bytes, log: Vkey, witnesses: Sequence[Vkey] = (), quorum: int = 0
) -> Checkpoint:
    """Check that the leaf is in a tree the log signed and enough witnesses cosigned; raises Unverified."""
    head = checkpoint.open_checkpoint(proof.note, log)
    cosigned = checkpoint.cosigners(proof.note, witnesses)
    if len(cosigned) < quorum:
        raise Unverified(
            REASON_CHECKPOINT_INVALID, f"{len(cosigned)} witnesses cosigned the proof's tree, not {quorum}."
        )
    merkle.verify_inclusion(leaf_hash, proof.index, head.size, proof.hashes, head.root)
    return head


def _decoded(text: str, lengths: range) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        content = b""
    if len(content) not in lengths or base64.b64encode(content).decode() != text:
        raise _malformed("a line is not base64 of the right length")
    return content


def _malformed(what: str) -> Malformed:
    return Malformed(REASON_MALFORMED_MESSAGE, f"tlog-proof: {what}.")
