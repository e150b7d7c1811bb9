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


def test_the_logs_second_line_is_ml_dsa_and_ignored_by_who_does_not_know_it() -> None:
    data = checkpoint.sign_checkpoint_twice(CHECKPOINT, KEY)
    second = checkpoint.subtree_vkey(ORIGIN, KEY)
    assert checkpoint.parse_vkey(str(second)) == second
    assert checkpoint.open_checkpoint(data, VKEY) == CHECKPOINT
    assert checkpoint.verify_cosignature(data, second) == checkpoint.NO_TIME
    # A line without a time makes no statement that a witness could be counted by.
    assert checkpoint.cosigners(data, [second]) == frozenset()


def test_any_byte_of_an_ml_dsa_line_changed_fails() -> None:
    witness = checkpoint.subtree_vkey("witness.example/w1", KEY)
    data = checkpoint.cosign(checkpoint.sign_checkpoint(CHECKPOINT, KEY), witness, KEY, time=1_700_000_000)
    assert checkpoint.verify_cosignature(data, witness) == 1_700_000_000
    start = data.rindex(b" ") + 1
    for position in range(start, len(data) - 1, 7):
        changed = data[:position] + (b"B" if data[position] == 65 else b"A") + data[position + 1 :]
        with pytest.raises(Problem):
            checkpoint.verify_cosignature(changed, witness)


def test_an_ml_dsa_cosignature_is_of_this_witness_log_and_tree() -> None:
    witness = checkpoint.subtree_vkey("witness.example/w1", KEY)
    line = checkpoint.cosignature_line(
        checkpoint.parse_note(checkpoint.sign_checkpoint(CHECKPOINT, KEY)), witness, KEY, time=5
    )
    for other in (
        Checkpoint(ORIGIN, 258, CHECKPOINT.root),
        Checkpoint(ORIGIN, 257, merkle.EMPTY_ROOT),
        Checkpoint("cgsp.example/other", 257, CHECKPOINT.root),
    ):
        with pytest.raises(Unverified):
            checkpoint.verify_cosignature(checkpoint.sign_checkpoint(other, KEY) + line, witness)


def test_a_witness_with_two_keys_counts_once() -> None:
    data = checkpoint.sign_checkpoint(CHECKPOINT, KEY)
    mine = [
        checkpoint.witness_vkey("witness.example/w1", KEY.verify_key),
        checkpoint.subtree_vkey("witness.example/w1", KEY),
    ]
    for vkey in mine:
        data = checkpoint.cosign(data, vkey, KEY, time=1)
    assert checkpoint.cosigners(data, mine) == {"witness.example/w1"}


def test_lines_are_appended_once() -> None:
    witness = checkpoint.witness_vkey("witness.example/w1", KEY.verify_key)
    data = checkpoint.sign_checkpoint(CHECKPOINT, KEY)
    line = checkpoint.cosignature_line(checkpoint.parse_note(data), witness, KEY, time=1)
    assert checkpoint.append_lines(checkpoint.append_lines(data, line), line) == data + line
