"""Keys: RFC 8032's figures, one canonical file form, ids that depend on suite and key."""

from __future__ import annotations

import pytest

from privacy import keys
from privacy.keys import SigningKey, VerifyKey
from protos.problems import Malformed, Problem, Unverified
from protos.v1 import trust_pb2
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID, REASON_SIGNATURE_INVALID

KEY = SigningKey(bytes(range(32)), name="operator")

# RFC 8032 section 7.1, tests 1 to 3: secret key, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_rfc_8032_figures_hold(seed: str, public: str, message: str, signature: str) -> None:
    key = SigningKey(bytes.fromhex(seed))
    assert key.verify_key.public.hex() == public
    assert key.sign(bytes.fromhex(message)).hex() == signature
    key.verify_key.verify(bytes.fromhex(message), bytes.fromhex(signature))


def test_every_changed_bit_of_a_signature_fails() -> None:
    signature = KEY.sign(b"message")
    for position in range(len(signature) * 8):
        changed = bytearray(signature)
        changed[position // 8] ^= 1 << position % 8
        assert not KEY.verify_key.is_signature(b"message", bytes(changed))


def test_signatures_of_another_length_or_message_fail() -> None:
    signature = KEY.sign(b"message")
    for false in (b"", signature[:-1], signature + b"\0"):
        assert not KEY.verify_key.is_signature(b"message", false)
    with pytest.raises(Unverified) as caught:
        KEY.verify_key.verify(b"massage", signature)
    assert caught.value.reason == REASON_SIGNATURE_INVALID


def test_small_order_keys_verify_nothing() -> None:
    low = VerifyKey(bytes([1]) + bytes(31))
    forged = bytes([1]) + bytes(63)
    assert not low.is_signature(b"anything", forged)


def test_key_files_come_back() -> None:
    assert keys.decode_private(keys.encode_private(KEY)) == KEY
    assert keys.decode_private(keys.encode_private(KEY)).name == "operator"
    assert keys.decode_public(keys.encode_public(KEY.verify_key)) == KEY.verify_key


@pytest.mark.parametrize(
    "data", [b"", b"cgsp", b"\xff" * 40, keys.encode_public(KEY.verify_key), b"a" * 2000]
)
def test_what_is_no_private_key_file_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        keys.decode_private(data)
    assert caught.value.reason == REASON_CONFIGURATION_INVALID


def test_a_changed_public_key_file_is_refused_or_another_key() -> None:
    data = keys.encode_public(KEY.verify_key)
    for position in range(len(data)):
        changed = data[:position] + bytes([data[position] ^ 0x80]) + data[position + 1 :]
        with pytest.raises(Malformed):
            keys.decode_public(changed)


def test_the_seed_is_not_shown() -> None:
    assert KEY.seed.hex() not in repr(KEY)
    assert "seed" not in repr(KEY)


def test_keys_from_the_wire_are_checked() -> None:
    with pytest.raises(Malformed):
        VerifyKey.from_wire(trust_pb2.Key(name="x", suite=trust_pb2.SUITE_UNSPECIFIED, public_key=bytes(32)))
    with pytest.raises(Malformed):
        VerifyKey.from_wire(trust_pb2.Key(name="x", suite=trust_pb2.SUITE_CGSP_INTL_1, public_key=bytes(31)))
    assert VerifyKey.from_wire(KEY.verify_key.to_wire()) == KEY.verify_key


def test_keyid_names_suite_and_key() -> None:
    assert len(KEY.keyid) == 64
    assert KEY.keyid == keys.keyid(trust_pb2.SUITE_CGSP_INTL_1, KEY.verify_key.public)
    assert KEY.keyid != SigningKey(bytes(32)).keyid


@pytest.mark.parametrize("name", ["", "a", "-ab", "Ab", "a b", "a" * 64, "a_b", "a\n"])
def test_ids_that_cannot_stand_are_refused(name: str) -> None:
    with pytest.raises(Problem):
        keys.checked_id(name, "Id")


def test_generate_takes_the_callers_randomness() -> None:
    assert keys.generate(lambda count: bytes(range(count)), "operator") == KEY
