"""The formula language: what it has, and that nothing else gets in."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.expressions import (
    Binary,
    Choice,
    Lookup,
    Member,
    Name,
    Negation,
    Number,
    Operator,
    Text,
    parse_expression,
    walk,
)
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_PACK_INVALID

A, B = Name("a"), Name("b")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a + b", Binary(Operator.ADD, A, B)),
        ("a - b * a", Binary(Operator.SUBTRACT, A, Binary(Operator.MULTIPLY, B, A))),
        ("a / 2.50", Binary(Operator.DIVIDE, A, Number(Fraction(5, 2)))),
        ("-a", Binary(Operator.SUBTRACT, Number(Fraction(0)), A)),
        ("min(a, b, 1)", Binary(Operator.LEAST, Binary(Operator.LEAST, A, B), Number(Fraction(1)))),
        ("max(a, b)", Binary(Operator.GREATEST, A, B)),
        ("t[a]", Lookup("t", "a")),
        ("a in t", Member("a", "t")),
        ("a not in t", Negation(Member("a", "t"))),
        ("not a == 'x'", Negation(Binary(Operator.EQUAL, A, Text("x")))),
        (
            "a if b >= 3 else 0",
            Choice(Binary(Operator.GREATER_EQUAL, B, Number(Fraction(3))), A, Number(Fraction(0))),
        ),
        (
            "a < b and b != a or a <= b",
            Binary(
                Operator.OR,
                Binary(Operator.AND, Binary(Operator.LESS, A, B), Binary(Operator.UNEQUAL, B, A)),
                Binary(Operator.LESS_EQUAL, A, B),
            ),
        ),
    ],
)
def test_the_language_reads(text: str, tree: object) -> None:
    assert parse_expression(f"  {text}\n") == tree


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "a ** 2",
        "a // 2",
        "a % 2",
        "a.b",
        "a[0]",
        "a['x']",
        "a[b][b]",
        "f(a)",
        "min(a)",
        "min(a, key=b)",
        "min(*a)",
        "(a := 1)",
        "lambda: 1",
        "[a]",
        "{a: b}",
        "[x for x in a]",
        "1e5",
        "1_000",
        "0x10",
        "1j",
        "True",
        "None",
        "...",
        "b'x'",
        "f'{a}'",
        "a < b < 1",
        "a is b",
        "1 in t",
        "a in 't'",
        "~a",
        "+a",
        "a @ b",
        "await a",
        "a; b",
        "a = 1",
        "__import__('os').system('x')",
        "a" * 1001,
        "-" * 999 + "a",
        "(" * 400 + "a" + ")" * 400,
        "+".join("a" * 300),
    ],
)
def test_nothing_else_gets_in(text: str) -> None:
    with pytest.raises(Malformed) as raised:
        parse_expression(text)
    assert raised.value.reason == REASON_PACK_INVALID


@given(st.text(max_size=60))
def test_no_text_raises_anything_but_the_problem(text: str) -> None:
    try:
        parse_expression(text)
    except Malformed as problem:
        assert problem.reason == REASON_PACK_INVALID


def test_walking_meets_every_part() -> None:
    tree = parse_expression("t[a] if a in t and not b < 2 else min(a, b)")
    kinds = {type(node) for node in walk(tree)}
    assert kinds == {Choice, Binary, Member, Negation, Lookup, Name, Number}
