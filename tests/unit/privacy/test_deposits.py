"""A witness's word about a hash: every byte of it counts, and only a known witness's word does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy import checkpoint
from privacy.deposits import Deposit, format_request, parse_request, read_deposit, sign_deposit
from protos.problems import Malformed, Problem, Unverified
from tests.simulator import ORIGIN, key

NAME = "witness.example/w1"
WITNESS = checkpoint.witness_vkey(NAME, key("witness").verify_key)
SEEN = Deposit(ORIGIN, bytes(range(32)), 1_610_000_000, NAME)


@given(st.binary(min_size=32, max_size=32))
def test_a_request_comes_back(envelope_hash: bytes) -> None:
    assert parse_request(format_request(ORIGIN, envelope_hash)) == (ORIGIN, envelope_hash)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n" + format_request(ORIGIN, bytes(32)).split(b"\n", 1)[1],
        format_request(ORIGIN, bytes(31)),
        format_request(ORIGIN, bytes(32))[:-1],
        format_request(ORIGIN, bytes(32)) + b"\n",
        format_request(ORIGIN, bytes(32)).replace(b"=", b""),
        format_request("x" * 600, bytes(32)),
        b"\xff\n\n",
    ],
)
def test_anything_else_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse_request(body)


def test_a_statement_comes_back_and_none_with_a_byte_changed_does() -> None:
    data = sign_deposit(SEEN, key("witness"))
    assert read_deposit(data, [WITNESS], origin=ORIGIN) == SEEN
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(Problem):
            read_deposit(changed, [WITNESS], origin=ORIGIN)


def test_strangers_and_other_logs_do_not_count() -> None:
    data = sign_deposit(SEEN, key("witness"))
    stranger = checkpoint.witness_vkey(NAME, key("stranger").verify_key)
    other = checkpoint.witness_vkey("witness.example/w2", key("witness").verify_key)
    for vkeys in ([], [stranger], [other], [checkpoint.subtree_vkey(NAME, key("witness"))]):
        with pytest.raises(Unverified):
            read_deposit(data, vkeys, origin=ORIGIN)
    with pytest.raises(Problem):
        read_deposit(data, [WITNESS], origin="other.example/log")
