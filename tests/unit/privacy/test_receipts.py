"""Receipts hold for their entry, their log and their hub's key alone."""

from __future__ import annotations

import pytest

from privacy import keys, merkle
from privacy.receipts import Receipt, open_receipt, sign_receipt
from protos.problems import Problem, Refused, Unverified

KEY = keys.SigningKey(bytes(range(32)))
ENTRY = b"an entry"
RECEIPT = Receipt("cgsp.example/log", 7, merkle.leaf_hash(ENTRY), 1_700_000_000)
DATA = sign_receipt(RECEIPT, KEY)


def test_a_receipt_comes_back() -> None:
    assert open_receipt(DATA, KEY.verify_key, origin=RECEIPT.origin, entry=ENTRY) == RECEIPT
    assert RECEIPT.due_at == 1_700_000_060


def test_any_byte_changed_fails() -> None:
    for position in range(len(DATA)):
        changed = DATA[:position] + bytes([DATA[position] ^ 1]) + DATA[position + 1 :]
        with pytest.raises(Problem):
            open_receipt(changed, KEY.verify_key, origin=RECEIPT.origin, entry=ENTRY)


def test_another_entry_log_or_key_is_refused() -> None:
    with pytest.raises(Unverified):
        open_receipt(DATA, KEY.verify_key, origin=RECEIPT.origin, entry=b"another")
    with pytest.raises(Refused):
        open_receipt(DATA, KEY.verify_key, origin="cgsp.example/other", entry=ENTRY)
    with pytest.raises(Unverified):
        open_receipt(DATA, keys.SigningKey(bytes(32)).verify_key, origin=RECEIPT.origin, entry=ENTRY)
