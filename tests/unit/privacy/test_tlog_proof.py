"""A proof stands alone, in one canonical form, and every byte of it counts."""

from __future__ import annotations

import pytest

from privacy import checkpoint, merkle
from privacy.checkpoint import Checkpoint
from privacy.merkle import leaf_hash
from privacy.tlog_proof import TlogProof, format_proof, parse_proof, verify_proof
from protos.problems import Malformed, Problem, Unverified
from tests.simulator import ORIGIN, key

LOG_KEY, WITNESS_KEY = key("log"), key("witness")
LOG = checkpoint.log_vkey(ORIGIN, LOG_KEY.verify_key)
WITNESS = checkpoint.witness_vkey("witness.example", WITNESS_KEY.verify_key)
LEAVES = [leaf_hash(b"entry %d" % number) for number in range(21)]


def proof_of(index: int, size: int = 21, *, extra: bytes = b"") -> TlogProof:
    leaves = LEAVES[:size]
    note = checkpoint.sign_checkpoint(Checkpoint(ORIGIN, size, merkle.root_of_hashes(leaves)), LOG_KEY)
    note = checkpoint.cosign(note, WITNESS, WITNESS_KEY, time=1_700_000_000)
    return TlogProof(index, tuple(merkle.inclusion_proof(leaves, index)), note, extra)


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 21), (7, 8), (20, 21), (12, 21)])
def test_a_proof_comes_back_and_holds(index: int, size: int) -> None:
    proof = proof_of(index, size, extra=b"which message")
    assert parse_proof(format_proof(proof)) == proof
    assert verify_proof(proof, LEAVES[index], LOG, [WITNESS], 1).size == size


def test_any_byte_changed_fails() -> None:
    data = format_proof(proof_of(12))
    for position in range(len(data)):
        changed = data[:position] + bytes([data[position] ^ 1 << position % 7]) + data[position + 1 :]
        with pytest.raises(Problem):
            verify_proof(parse_proof(changed), LEAVES[12], LOG, [WITNESS], 1)


def test_a_proof_for_another_entry_log_or_without_the_quorum_is_refused() -> None:
    proof = proof_of(12)
    other = checkpoint.log_vkey("other.example/log", LOG_KEY.verify_key)
    silent = checkpoint.witness_vkey("silent.example", key("silent").verify_key)
    for leaf, log, witnesses, quorum in (
        (LEAVES[11], LOG, [WITNESS], 1),
        (LEAVES[12], other, [WITNESS], 1),
        (LEAVES[12], LOG, [WITNESS, silent], 2),
    ):
        with pytest.raises(Unverified):
            verify_proof(proof, leaf, log, witnesses, quorum)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"c2sp.org/tlog-proof@v1\n\n",
        b"c2sp.org/tlog-proof@v2\nindex 0\n\n",
        b"c2sp.org/tlog-proof@v1\nindex 00\n\n",
        b"c2sp.org/tlog-proof@v1\nindex -1\n\n",
        b"c2sp.org/tlog-proof@v1\nextra \nindex 0\n\n",
        b"c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\n",
        b"c2sp.org/tlog-proof@v1\nindex 0\n" + (b"A" * 43 + b"=\n") * 64 + b"\n",
    ],
)
def test_other_forms_are_refused(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_proof(text)
