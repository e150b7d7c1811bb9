"""Sealing: what was sealed opens, and nothing else does."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy import sealing
from privacy.sealing import SealingKey
from protos.problems import Malformed, Unverified

KEY = bytes(range(32))


@given(plaintext=st.binary(max_size=200), associated=st.binary(max_size=40))
def test_sealed_bytes_open_under_the_same_key_and_data(plaintext: bytes, associated: bytes) -> None:
    sealed = sealing.seal(plaintext, key=KEY, associated=associated, random=os.urandom)
    assert sealing.open_sealed(sealed, key=KEY, associated=associated) == plaintext
    with pytest.raises(Unverified):
        sealing.open_sealed(sealed, key=KEY, associated=associated + b"x")
    with pytest.raises(Unverified):
        sealing.open_sealed(sealed, key=bytes(32), associated=associated)


def test_every_changed_byte_is_noticed() -> None:
    sealed = sealing.seal(b"share", key=KEY, associated=b"custodian", random=os.urandom)
    for place in range(len(sealed)):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(Unverified):
            sealing.open_sealed(changed, key=KEY, associated=b"custodian")
        with pytest.raises(Unverified):
            sealing.open_sealed(sealed[:place], key=KEY, associated=b"custodian")


def test_box_opens_only_for_its_recipient() -> None:
    recipient, other = SealingKey(os.urandom(32)), SealingKey(os.urandom(32))
    sealed = sealing.seal_to(b"share", recipient.public)
    assert sealing.open_box(sealed, recipient) == b"share"
    with pytest.raises(Unverified):
        sealing.open_box(sealed, other)
    for place in range(len(sealed)):
        with pytest.raises(Unverified):
            sealing.open_box(sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :], recipient)


@pytest.mark.parametrize("length", [0, 5, 47])
def test_short_boxes_do_not_open(length: int) -> None:
    with pytest.raises(Unverified):
        sealing.open_box(bytes(length), SealingKey(KEY))


def test_wrong_key_lengths_are_refused() -> None:
    for call in (
        lambda: sealing.seal(b"", key=b"short", associated=b"", random=os.urandom),
        lambda: sealing.open_sealed(bytes(60), key=b"short", associated=b""),
        lambda: sealing.seal_to(b"", b"short"),
        lambda: SealingKey(b"short"),
    ):
        with pytest.raises(Malformed):
            call()


def test_passphrases_stretch_to_one_key_per_salt() -> None:
    key = sealing.key_from_passphrase(b"correct horse", bytes(16))
    assert len(key) == 32
    assert sealing.key_from_passphrase(b"correct horse", bytes(16)) == key
    assert sealing.key_from_passphrase(b"correct horse", b"\x01" * 16) != key
    for passphrase, salt in ((b"", bytes(16)), (b"x", bytes(15))):
        with pytest.raises(Malformed):
            sealing.key_from_passphrase(passphrase, salt)


def test_purposes_have_keys_of_their_own() -> None:
    assert len({sealing.subkey(KEY, "share"), sealing.subkey(KEY, "pseudonyms"), KEY}) == 3


def test_secret_is_not_shown() -> None:
    assert repr(SealingKey(KEY)) == "SealingKey()"
