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
VKEY = checkpoint.log_vkey(ORIGIN, KEY.verify_key)
CHECKPOINT = Checkpoint(ORIGIN, 257, merkle.leaf_hash(b"x"))


def test_the_standards_example_holds() -> None:
    vkey = checkpoint.parse_vkey(VECTOR["vkey"])
    note = checkpoint.parse_note(VECTOR["note"].encode())
    checkpoint.verify_note(note, vkey)
    assert note.text == b"This is an example message.\n"
    assert str(vkey) == VECTOR["vkey"]


def test_a_checkpoint_comes_back() -> None:
    assert checkpoint.open_checkpoint(checkpoint.sign_checkpoint(CHECKPOINT, KEY), VKEY) == CHECKPOINT


def test_any_byte_changed_fails() -> None:
    data = checkpoint.sign_checkpoint(CHECKPOINT, KEY)
    for position in range(len(data)):
        for bit in (1, 0x80):
            changed = data[:position] + bytes([data[position] ^ bit]) + data[position + 1 :]
            with pytest.raises(Problem):
                checkpoint.open_checkpoint(changed, VKEY)


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
    with pytest.raises(Unverified):
        checkpoint.parse_checkpoint(text.encode())


def test_another_logs_checkpoint_is_refused() -> None:
    other = checkpoint.sign_checkpoint(Checkpoint("cgsp.example/other", 1, merkle.EMPTY_ROOT), KEY)
    with pytest.raises(Unverified):
        checkpoint.open_checkpoint(other, VKEY)


def test_a_signature_by_another_key_is_refused() -> None:
    other = checkpoint.sign_checkpoint(CHECKPOINT, keys.SigningKey(bytes(32)))
    with pytest.raises(Unverified):
        checkpoint.open_checkpoint(other, VKEY)


@pytest.mark.parametrize("change", ["x+y", "x++", "", "cgsp.example/log+00000000+AA=="])
def test_a_false_vkey_key_is_refused(change: str) -> None:
    with pytest.raises(Malformed):
        checkpoint.parse_vkey(change)


def test_a_witness_cosigns_beside_the_log() -> None:
    witness_key = keys.SigningKey(bytes(reversed(range(32))))
    witness = checkpoint.witness_vkey("witness.example/w1", witness_key.verify_key)
    assert checkpoint.parse_vkey(str(witness)) == witness
    data = checkpoint.sign_checkpoint(CHECKPOINT, KEY)
    with pytest.raises(Unverified):
        checkpoint.verify_cosignature(data, witness)
    cosigned = checkpoint.cosign(data, witness, witness_key, time=1_700_000_000)
    assert checkpoint.verify_cosignature(cosigned, witness) == 1_700_000_000
    assert checkpoint.open_checkpoint(cosigned, VKEY) == CHECKPOINT
    for position in range(cosigned.rindex(b" ") + 1, len(cosigned) - 1):
        changed = (
            cosigned[:position] + (b"B" if cosigned[position] == 65 else b"A") + cosigned[position + 1 :]
        )
        with pytest.raises(Problem):
            checkpoint.verify_cosignature(changed, witness)
