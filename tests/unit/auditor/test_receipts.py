"""A receipt is a promise: kept in time and in place, or found."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.app import Options, verify_source
from auditor.findings import Check, Result
from privacy import checkpoint, merkle
from privacy.receipts import Receipt, sign_receipt
from privacy.tlog_proof import TlogProof, format_proof
from tests.simulator import ORIGIN, Federation, enrolled, key

RECEIVED = 1_700_000_000
WITNESS = checkpoint.witness_vkey("witness.example", key("witness").verify_key)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "receipts").mkdir()
    return tmp_path / "receipts"


def leaf(federation: Federation, index: int) -> bytes:
    return merkle.leaf_hash(federation.entries[index].data)


def promise(folder: Path, index: int, leaf_hash: bytes, *, by: str = "hub") -> None:
    receipt = Receipt(ORIGIN, index, leaf_hash, RECEIVED)
    (folder / f"{index:06d}-release.receipt").write_bytes(sign_receipt(receipt, key(by)))


def prove(folder: Path, federation: Federation, index: int) -> None:
    leaves = [merkle.leaf_hash(entry.data) for entry in federation.entries]
    proof = TlogProof(index, tuple(merkle.inclusion_proof(leaves, index)), federation.checkpoint())
    (folder / f"{index:06d}-release.tlog-proof").write_bytes(format_proof(proof))


def checked(federation: Federation, folder: Path, tmp_path: Path, *, seen_at: int | None = None) -> Result:
    trust_root = federation.write_bundle(tmp_path / "bundle")
    if seen_at is not None:
        path = tmp_path / "bundle" / "checkpoint"
        path.write_bytes(checkpoint.cosign(path.read_bytes(), WITNESS, key("witness"), time=seen_at))
    return verify_source(str(tmp_path / "bundle"), trust_root, None, Options(folder)).results[Check.RECEIPTS]


def witnessed() -> Federation:
    federation = Federation()
    root = federation.trust_root()
    root.witness_vkeys.append(str(WITNESS))
    federation.publish_trust(root)
    return federation


def test_kept_promises_raise_nothing(folder: Path, tmp_path: Path) -> None:
    federation = enrolled()
    for index in (3, 5):
        promise(folder, index, leaf(federation, index))
    prove(folder, federation, 5)
    federation.enrol("bike-share", [40])
    result = checked(federation, folder, tmp_path)
    assert (result.findings, result.unchecked, result.examined) == ([], [], 2)


def test_another_entry_in_the_promised_place(folder: Path, tmp_path: Path) -> None:
    federation = enrolled()
    promise(folder, 3, leaf(federation, 4))
    assert "another message stands there" in checked(federation, folder, tmp_path).findings[0].message


@pytest.mark.parametrize(("seen_at", "is_found"), [(RECEIVED + 60, False), (RECEIVED + 61, True)])
def test_an_unfulfilled_receipt(folder: Path, tmp_path: Path, seen_at: int, *, is_found: bool) -> None:
    promise(folder, 90, bytes(32))
    result = checked(witnessed(), folder, tmp_path, seen_at=seen_at)
    assert bool(result.findings) is is_found
    assert not result.unchecked


def test_a_bundle_that_nobody_dated_cannot_break_a_promise(folder: Path, tmp_path: Path) -> None:
    promise(folder, 90, bytes(32))
    result = checked(witnessed(), folder, tmp_path)
    assert not result.findings
    assert "nobody has dated" in result.unchecked[0]


def test_a_proof_of_a_tree_that_was_forked_away(folder: Path, tmp_path: Path) -> None:
    federation, other = enrolled(), enrolled(batch_min=2)
    promise(folder, 0, leaf(federation, 0))
    prove(folder, other, 0)
    assert "two histories" in checked(federation, folder, tmp_path).findings[0].message
    longer = enrolled()
    longer.enrol("bike-share", [40])
    prove(folder, longer, 0)
    assert "once had" in checked(federation, folder, tmp_path).findings[0].message


def test_receipts_by_others_and_empty_folders(folder: Path, tmp_path: Path) -> None:
    federation = enrolled()
    assert checked(federation, folder, tmp_path).unchecked
    promise(folder, 3, leaf(federation, 3), by="operator")
    assert checked(federation, folder, tmp_path).findings[0].reason.startswith("KEY_UNKNOWN")
