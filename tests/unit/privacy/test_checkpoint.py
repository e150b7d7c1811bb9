"""Signed notes and checkpoints: the standard's example, one canonical form, every byte signed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from privacy import checkpoint, keys, merkle
from privacy.checkpoint import Checkpoint
from protos.problems import Malformed, Problem, Unverified

VECTOR = json.loads((Path(__file__).parents[2] / "conformance/signed_note/vector.json").read_text("utf-8"))
KEY = keys.SigningKey(bytes(range(32)))
ORIGIN = "cgsp.example/log"
VERIFIER = checkpoint.log_verifier(ORIGIN, KEY.verify_key)
CHECKPOINT = Checkpoint(ORIGIN, 257, merkle.leaf_hash(b"x"))


def test_the_standards_example_holds() -> None:
    verifier = checkpoint.parse_vkey(VECTOR["vkey"])
    note = checkpoint.parse_note(VECTOR["note"].encode())
    assert checkpoint.verify_note(note, verifier) == 0
    assert note.text == "This is an example message.\n"
    assert verifier.vkey == VECTOR["vkey"]


def test_a_checkpoint_comes_back() -> None:
    assert checkpoint.open_checkpoint(checkpoint.sign_checkpoint(CHECKPOINT, KEY), VERIFIER) == CHECKPOINT


def test_any_byte_changed_fails() -> None:
    data = checkpoint.sign_checkpoint(CHECKPOINT, KEY)
    for position in range(len(data)):
        for bit in (1, 0x80):
            changed = data[:position] + bytes([data[position] ^ bit]) + data[position + 1 :]
            with pytest.raises(Problem):
                checkpoint.open_checkpoint(changed, VERIFIER)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "o\n1\n",
        "o\n01\n" + "A" * 43 + "=\n",
        "o\n-1\n" + "A" * 43 + "=\n",
        "o\n9223372036854775808\n" + "A" * 43 + "=\n",
        "o\n1\n" + "A" * 43 + "\n",
        "o\n1\n" + "A" * 42 + "B=\n",
        "o\n1\n" + "A" * 43 + "=",
        "o\n1\n" + "A" * 43 + "=\n\n",
    ],
)
def test_other_forms_of_a_checkpoint_are_refused(text: str) -> None:
    with pytest.raises(Malformed):
        checkpoint.parse_checkpoint(text)


def test_another_logs_checkpoint_is_refused() -> None:
    other = Checkpoint("cgsp.example/other", 1, merkle.EMPTY_ROOT)
    note = checkpoint.Note(other.encode(), (checkpoint.sign_note(other.encode(), VERIFIER, KEY),))
    with pytest.raises(Unverified):
        checkpoint.open_checkpoint(note.encode(), VERIFIER)


def test_a_signature_by_another_key_is_refused() -> None:
    other = checkpoint.sign_checkpoint(CHECKPOINT, keys.SigningKey(bytes(32)))
    with pytest.raises(Unverified):
        checkpoint.open_checkpoint(other, VERIFIER)


@pytest.mark.parametrize("change", ["x+y", "x++", "", "cgsp.example/log+00000000+AA=="])
def test_a_false_verifier_key_is_refused(change: str) -> None:
    with pytest.raises(Malformed):
        checkpoint.parse_vkey(change)


def test_witnesses_are_counted_by_their_own_cosignatures() -> None:
    witness_key = keys.SigningKey(bytes(reversed(range(32))))
    witness = checkpoint.NoteVerifier(
        "witness.example/w1", checkpoint.TYPE_COSIGNATURE_V1, witness_key.verify_key.public
    )
    note = checkpoint.parse_note(checkpoint.sign_checkpoint(CHECKPOINT, KEY))
    assert checkpoint.count_witnesses(note, [witness]) == 0
    time = 1_700_000_000
    signature = witness_key.sign(f"cosignature/v1\ntime {time}\n{note.text}".encode())
    line = checkpoint.NoteSignature(witness.name, witness.key_hash, time.to_bytes(8, "big") + signature)
    cosigned = checkpoint.parse_note(checkpoint.Note(note.text, (*note.signatures, line)).encode())
    assert checkpoint.count_witnesses(cosigned, [witness]) == 1
    assert checkpoint.verify_note(cosigned, witness) == time
    late = checkpoint.NoteSignature(witness.name, witness.key_hash, (time + 1).to_bytes(8, "big") + signature)
    with pytest.raises(Unverified):
        checkpoint.count_witnesses(checkpoint.Note(note.text, (late,)), [witness])
