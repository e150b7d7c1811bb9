"""Lies about what is shown: checkpoints no witness saw, and trees a node holds proofs against."""

from __future__ import annotations

from pathlib import Path

from privacy import checkpoint, merkle
from privacy.envelope import Kind
from privacy.receipts import Receipt, sign_receipt
from privacy.standing import HUB_ID
from privacy.tlog_proof import TlogProof, format_proof
from tests.conformance.tamper.liar import (
    SEEN_AT,
    WITNESS,
    Liar,
    lying,
    settled,
    story,
    witnessed,
)
from tests.simulator import (
    ORIGIN,
    enrolled,
    key,
)
from tests.unit.auditor.city import parts


@story
def witness_left_out(folder: Path) -> Liar:
    """The checkpoint is served without the cosignature that the trust root asks for."""
    return witnessed()


@story
def witness_lied_to(folder: Path) -> Liar:
    """The witness was shown another history; its cosignature is put below this one's checkpoint."""
    hub = witnessed()
    shown = hub.signed_head(hub.entries)
    line = checkpoint.cosignature_line(checkpoint.parse_note(shown), WITNESS, key("witness"), time=SEEN_AT)
    hub.publish_pack(hub.packs[0])
    note = hub.signed_head(hub.entries) + line
    hub.checkpoint = lambda: note  # type: ignore[method-assign]
    return hub


def _promise(folder: Path, index: int, leaf_hash: bytes) -> None:
    (folder / "receipts").mkdir()
    receipt = Receipt(ORIGIN, index, leaf_hash, SEEN_AT - 3600)
    (folder / "receipts" / "000001-release.receipt").write_bytes(sign_receipt(receipt, key(HUB_ID)))


@story
def stale_checkpoint(folder: Path) -> Liar:
    """An hour after a message was taken, readers are still shown the log as it was before."""
    hub = witnessed()
    _promise(folder, len(hub.entries), merkle.leaf_hash(b"a message"))
    note = checkpoint.cosign(hub.signed_head(hub.entries), WITNESS, key("witness"), time=SEEN_AT)
    hub.checkpoint = lambda: note  # type: ignore[method-assign]
    return hub


@story
def promise_broken(folder: Path) -> Liar:
    """Another message stands where a receipt promised a node's own."""
    hub = settled()
    _promise(folder, hub.find(Kind.RELEASE), merkle.leaf_hash(b"a message"))
    return hub


@story
def forked_tree(folder: Path) -> Liar:
    """A node was shown another tree than the auditor; its proof shows the log's signature on both."""
    hub, other = settled(), lying(enrolled(**parts(), batch_min=2))
    _promise(folder, 0, other.leaf(0))
    leaves = [merkle.leaf_hash(entry.data) for entry in other.entries]
    proof = TlogProof(0, tuple(merkle.inclusion_proof(leaves, 0)), other.checkpoint())
    (folder / "receipts" / "000001-release.tlog-proof").write_bytes(format_proof(proof))
    return hub


@story
def truncated_log(folder: Path) -> Liar:
    """Entries that a node has proofs of are cut off the log, and the shorter log is signed anew."""
    hub = settled()
    index = len(hub.entries) - 1
    leaves = [merkle.leaf_hash(entry.data) for entry in hub.entries]
    _promise(folder, index, leaves[index])
    proof = TlogProof(index, tuple(merkle.inclusion_proof(leaves, index)), hub.checkpoint())
    (folder / "receipts" / "000001-release.tlog-proof").write_bytes(format_proof(proof))
    del hub.entries[index - 2 :]
    return hub
