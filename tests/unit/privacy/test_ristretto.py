"""The group: RFC 9496 vectors, refusals of bad encodings, scalar arithmetic against integers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy import ristretto
from protos.problems import InvariantBroken, Malformed
from protos.v1.problem_pb2 import REASON_MALFORMED_MESSAGE, REASON_WRONG_SHAPE

# RFC 9496 appendix A.1: the generator's first multiples.
MULTIPLES = [
    "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76",
    "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919",
    "94741f5d5d52755ece4f23f044ee27d5d1ea1e2bd196b462166b16152a9d0259",
]
# RFC 9496 appendix A.2: encodings that must not decode (non-canonical, negative, non-square, ...).
BAD_ENCODINGS = [
    "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ed57ffd8c914fb201471d1c3d245ce3c746fcbe63a3679d51b6a516ebebe0e20",
    "c34c4e1826e5d403b78e246e88aa051c36ccf0aafebffe137d148a2bf9104562",
    "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
    "4eac077a713c57b4f4397629a4145982c661f48044dd3f96427d40b147d9742f",
    "0000000000000000000000000000000000000000000000000000000000000000",
]
scalars = st.integers(min_value=1, max_value=ristretto.ORDER - 1)


def test_generators_multiples_are_the_rfcs() -> None:
    for factor, expected in enumerate(MULTIPLES, start=1):
        assert ristretto.base_mult(ristretto.scalar(factor)).hex() == expected


@pytest.mark.parametrize("encoding", BAD_ENCODINGS)
def test_bad_encodings_are_refused_everywhere(encoding: str) -> None:
    bad, good = bytes.fromhex(encoding), bytes.fromhex(MULTIPLES[1])
    assert not ristretto.is_element(bad)
    for elements in (bad, good + bad, bad + good):
        with pytest.raises(Malformed) as caught:
            ristretto.mult_each(ristretto.scalar(7), elements)
        assert caught.value.reason == REASON_MALFORMED_MESSAGE
        with pytest.raises(Malformed):
            ristretto.mult_pairs(ristretto.scalar(7) * (len(elements) // 32), elements)
    if bad != ristretto.IDENTITY:
        with pytest.raises(Malformed):
            ristretto.add(good, bad)
        with pytest.raises(Malformed):
            ristretto.total(good + bad)


@pytest.mark.parametrize("length", [1, 31, 33, 63])
def test_broken_columns_are_refused(length: int) -> None:
    with pytest.raises(Malformed) as caught:
        ristretto.mult_each(ristretto.ONE, bytes(length))
    assert caught.value.reason == REASON_WRONG_SHAPE
    with pytest.raises(Malformed):
        ristretto.total(bytes(length))
    with pytest.raises(Malformed):
        ristretto.add_each(bytes(32), bytes(length))
    assert not ristretto.is_element(bytes(length))


@given(left=scalars, right=scalars)
def test_scalars_compute_modulo_the_order(left: int, right: int) -> None:
    one, other = ristretto.scalar(left), ristretto.scalar(right)
    assert ristretto.scalar_add(one, other) == ristretto.scalar(left + right)
    assert ristretto.scalar_sub(one, other) == ristretto.scalar(left - right)
    assert ristretto.scalar_mul(one, other) == ristretto.scalar(left * right)
    assert ristretto.scalar_invert(one) == ristretto.scalar(pow(left, -1, ristretto.ORDER))


@given(values=st.lists(scalars, min_size=0, max_size=20))
def test_scalars_are_inverted_together_as_alone(values: list[int]) -> None:
    packed = b"".join(map(ristretto.scalar, values))
    alone = b"".join(ristretto.scalar_invert(ristretto.scalar(value)) for value in values)
    assert ristretto.scalar_invert_each(packed) == alone


@given(left=scalars, right=scalars)
def test_multiplication_is_a_homomorphism(left: int, right: int) -> None:
    one, other = ristretto.base_mult(ristretto.scalar(left)), ristretto.base_mult(ristretto.scalar(right))
    if (left + right) % ristretto.ORDER:
        assert ristretto.add(one, other) == ristretto.base_mult(ristretto.scalar(left + right))
    assert ristretto.mult(ristretto.scalar(right), one) == ristretto.base_mult(ristretto.scalar(left * right))
    assert ristretto.total(one + other + one) == ristretto.add(ristretto.add(one, other), one)


def test_nothing_adds_up_to_the_identity() -> None:
    assert ristretto.total(b"") == ristretto.IDENTITY
    element = bytes.fromhex(MULTIPLES[0])
    assert ristretto.add(ristretto.IDENTITY, element) == element


@pytest.mark.parametrize("value", [0, ristretto.ORDER, ristretto.ORDER + 1, 2**256 - 1])
def test_scalars_out_of_range_are_not_scalars(value: int) -> None:
    assert not ristretto.is_scalar(value.to_bytes(32, "little"))


def test_zero_stops_the_program() -> None:
    with pytest.raises(InvariantBroken):
        ristretto.scalar_invert(ristretto.ZERO)
    with pytest.raises(InvariantBroken):
        ristretto.scalar_invert_each(ristretto.ONE + ristretto.ZERO)
    with pytest.raises(InvariantBroken):
        ristretto.base_mult(ristretto.ZERO)
    with pytest.raises(InvariantBroken):
        ristretto.mult(b"\x01", bytes.fromhex(MULTIPLES[0]))


def test_drawn_zero_is_drawn_again() -> None:
    drawn = iter([bytes(64), b"\x05" + bytes(63)])
    assert ristretto.scalar_random(lambda count: next(drawn)) == ristretto.scalar(5)
