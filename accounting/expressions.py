"""The formula language: a small part of Python's expression grammar, parsed into a tree of our own.

    + - * /constant   min(…) max(…)   a if condition else b   table[key]   < <= > >= == !=   and or not
    key in table   key == "word"

A tree says nothing of units or integers: `terms` types it for SQL, `evaluator` computes it in fractions.
"""

from __future__ import annotations

import ast
import enum
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from accounting.quantities import is_decimal, parse_decimal
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_PACK_INVALID

FORMULA_LENGTH_MAX = 1000
FORMULA_NODES_MAX = 200


class Operator(enum.StrEnum):
    """Arithmetic, choice of the extreme, comparison and logic."""

    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"
    LEAST = "least"
    GREATEST = "greatest"
    LESS = "<"
    LESS_EQUAL = "<="
    GREATER = ">"
    GREATER_EQUAL = ">="
    EQUAL = "="
    UNEQUAL = "<>"
    AND = "AND"
    OR = "OR"


COMPARISONS = frozenset(
    {
        Operator.LESS,
        Operator.LESS_EQUAL,
        Operator.GREATER,
        Operator.GREATER_EQUAL,
        Operator.EQUAL,
        Operator.UNEQUAL,
    }
)
LOGIC = frozenset({Operator.AND, Operator.OR})


@dataclass(frozen=True, slots=True)
class Number:
    """A literal without unit."""

    value: Fraction


@dataclass(frozen=True, slots=True)
class Name:
    """An input or a parameter."""

    name: str


@dataclass(frozen=True, slots=True)
class Text:
    """A word a key is compared with."""

    text: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """A factor: table[key]."""

    table: str
    key: str


@dataclass(frozen=True, slots=True)
class Member:
    """Whether a key stands in a table on the record's day."""

    key: str
    table: str


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands and an operator between them."""

    operator: Operator
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Negation:
    """Logical not."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Choice:
    """One of two values by a condition."""

    condition: Node
    then: Node
    otherwise: Node


Node = Number | Name | Text | Lookup | Member | Binary | Negation | Choice

_ARITHMETIC: dict[type[ast.AST], Operator] = {
    ast.Add: Operator.ADD,
    ast.Sub: Operator.SUBTRACT,
    ast.Mult: Operator.MULTIPLY,
    ast.Div: Operator.DIVIDE,
}
_COMPARED: dict[type[ast.AST], Operator] = {
    ast.Lt: Operator.LESS,
    ast.LtE: Operator.LESS_EQUAL,
    ast.Gt: Operator.GREATER,
    ast.GtE: Operator.GREATER_EQUAL,
    ast.Eq: Operator.EQUAL,
    ast.NotEq: Operator.UNEQUAL,
}
_EXTREMES = {"min": Operator.LEAST, "max": Operator.GREATEST}


@functools.lru_cache(maxsize=1024)
def parse_expression(text: str) -> Node:
    """Parse a formula or condition; PACK_INVALID names what the language does not have."""
    if len(text) > FORMULA_LENGTH_MAX:
        raise _invalid(f"a formula has at most {FORMULA_LENGTH_MAX} characters")
    try:
        body = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _invalid("it is no expression") from error
    if sum(1 for _ in ast.walk(body)) > FORMULA_NODES_MAX:
        raise _invalid(f"a formula has at most {FORMULA_NODES_MAX} parts")
    return _Reader(text.strip()).read(body)


def _invalid(problem: str) -> Malformed:
    return Malformed(
        REASON_PACK_INVALID,
        f"Formula: {problem}.",
        remedy="Use + - * /constant, min, max, comparison, and/or/not, a if c else b, table[k], k in table.",
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    source: str

    def read(self, node: ast.expr) -> Node:
        match node:
            case ast.Constant():
                return self._constant(node)
            case ast.Name():
                return Name(node.id)
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                return Binary(_ARITHMETIC[type(node.op)], self.read(node.left), self.read(node.right))
            case ast.UnaryOp(op=ast.USub() | ast.Not()):
                return self._unary(node)
            case ast.IfExp():
                return Choice(self.read(node.test), self.read(node.body), self.read(node.orelse))
            case ast.BoolOp():
                return self._fold(Operator.AND if isinstance(node.op, ast.And) else Operator.OR, node.values)
            case ast.Compare():
                return self._comparison(node)
            case ast.Subscript(value=ast.Name(id=table), slice=ast.Name(id=key)):
                return Lookup(table, key)
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _EXTREMES and len(node.args) > 1:
                return self._fold(_EXTREMES[name], node.args)
        raise _invalid(f"{type(node).__name__} at column {node.col_offset + 1} is not part of the language")

    def _unary(self, node: ast.UnaryOp) -> Node:
        operand = self.read(node.operand)
        if isinstance(node.op, ast.Not):
            return Negation(operand)
        return Binary(Operator.SUBTRACT, Number(Fraction(0)), operand)

    def _constant(self, node: ast.Constant) -> Node:
        if isinstance(node.value, str):
            return Text(node.value)
        literal = ast.get_source_segment(self.source, node) or ""
        if not is_decimal(literal):
            raise _invalid(f"the number at column {node.col_offset + 1} is not plain decimal text")
        return Number(parse_decimal(literal))

    def _fold(self, operator: Operator, operands: list[ast.expr]) -> Node:
        folded = self.read(operands[0])
        for operand in operands[1:]:
            folded = Binary(operator, folded, self.read(operand))
        return folded

    def _comparison(self, node: ast.Compare) -> Node:
        if len(node.ops) > 1:
            raise _invalid("comparisons are not chained; join them with `and`")
        [operator], [right] = node.ops, node.comparators
        if isinstance(operator, ast.In | ast.NotIn):
            match node.left, right:
                case ast.Name(id=key), ast.Name(id=table):
                    member = Member(key, table)
                    return member if isinstance(operator, ast.In) else Negation(member)
        if type(operator) not in _COMPARED:
            raise _invalid(f"the comparison at column {node.col_offset + 1} is not part of the language")
        return Binary(_COMPARED[type(operator)], self.read(node.left), self.read(right))


def walk(node: Node) -> Iterator[Node]:
    """Go through a tree, parents first."""
    yield node
    match node:
        case Binary(_, left, right):
            yield from walk(left)
            yield from walk(right)
        case Negation(operand):
            yield from walk(operand)
        case Choice(condition, then, otherwise):
            for part in (condition, then, otherwise):
                yield from walk(part)
        case _:
            return
