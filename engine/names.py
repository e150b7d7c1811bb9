"""What may stand in SQL as a table, a column or a type; both engines take nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping

from protos.problems import InvariantBroken
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_TYPE = re.compile(r"[A-Z]+(\([0-9]+(,[0-9]+)?\))?")


def broken(problem: str) -> InvariantBroken:
    """Make the stop of a program that asks for what an engine does not do."""
    return InvariantBroken(REASON_INVARIANT_BROKEN, f"Query engine: {problem}.")


def check_name(name: str) -> None:
    """Stop at a table's name that is none."""
    if not _NAME.fullmatch(name):
        raise broken(f"{name!r} is no table name")


def checked_columns(schema: Mapping[str, str]) -> list[tuple[str, str]]:
    """Give columns and their types; stop at one that is none."""
    for column, kind in schema.items():
        if not _NAME.fullmatch(column) or not _TYPE.fullmatch(kind):
            raise broken(f"{column!r} {kind!r} is no column")
    return list(schema.items())
