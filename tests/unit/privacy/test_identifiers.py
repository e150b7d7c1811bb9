"""Identifiers: one person, one form; a refusal never repeats the value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy import identifiers
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_IDENTIFIER_INVALID


@pytest.mark.parametrize(
    "value",
    [
        "13800138000",
        " 138 0013 8000 ",
        "138-0013-8000",
        "+86 138 0013 8000",
        "+86-13800138000",
        "8613800138000",
        "008613800138000",
        "１３８００１３８０００",
    ],
)
def test_a_mobile_number_has_one_form(value: str) -> None:
    assert identifiers.canonical("cn_mobile", value) == b"cn_mobile\x1f13800138000"


@pytest.mark.parametrize(
    "value", ["", "12800138000", "1380013800", "138001380000", "a3800138000", "+1 3800138000"]
)
def test_wrong_mobile_numbers_are_refused(value: str) -> None:
    with pytest.raises(Malformed):
        identifiers.canonical("cn_mobile", value)


def test_identity_number_needs_its_check_character() -> None:
    assert identifiers.canonical("cn_id", "11010519491231002x") == b"cn_id\x1f11010519491231002X"
    for value in ("110105194912310021", "11010519491231002", "01010519491231002X"):
        with pytest.raises(Malformed):
            identifiers.canonical("cn_id", value)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("meter", " mac-000002 ", b"meter\x1fMAC000002"),
        ("email", "Ming.Li@Example.COM", b"email\x1fming.li@example.com"),
        ("demo", "rider:42", b"demo\x1frider:42"),
    ],
)
def test_other_kinds_have_one_form(kind: str, value: str, expected: bytes) -> None:
    assert identifiers.canonical(kind, value) == expected


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("meter", "a b"),
        ("meter", "x" * 33),
        ("email", "a@b"),
        ("email", "a b@c.de"),
        ("demo", "a\x1fb"),
        ("demo", ""),
    ],
)
def test_other_wrong_values_are_refused(kind: str, value: str) -> None:
    with pytest.raises(Malformed):
        identifiers.canonical(kind, value)


def test_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Malformed) as caught:
        identifiers.canonical("passport", "E12345678")
    assert "cn_mobile" in caught.value.remedy


KINDS = ("cn_mobile", "cn_id", "meter", "email", "demo")


@given(kind=st.sampled_from(KINDS), value=st.text(min_size=6, max_size=600))
def test_any_text_gives_a_bounded_form_or_a_refusal_without_it(kind: str, value: str) -> None:
    try:
        form = identifiers.canonical(kind, value)
    except Malformed as refusal:
        assert refusal.reason == REASON_IDENTIFIER_INVALID
        assert value not in str(refusal)
    else:
        name, _, text = form.partition(b"\x1f")
        assert name.decode() == kind
        assert b"\x1f" not in text
        assert len(form) <= 1024
        assert identifiers.canonical(kind, text.decode()) == form
