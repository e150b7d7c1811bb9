"""Reward conditions on CEL's own runtime: typed, boolean, bounded in length, depth and steps.

Compiled expressions are kept; a text comes from a signed programme, so there are few.
"""

from __future__ import annotations

from typing import Any

from cel_expr_python import cel

from accounting.programmes.eligibility import FACT_NAMES, Facts
from accounting.programmes.rewards import ELIGIBILITY_CHARACTERS_MAX
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_PROGRAMME_INVALID

COMPILED_MAX = 10_000


class CelConditions:
    """Conditions in CEL; one object serves all threads of a process that asks them one after the other."""

    def __init__(self) -> None:
        self._environment = cel.NewEnv(variables=dict.fromkeys(FACT_NAMES, cel.Type.INT))
        self._compiled: dict[str, Any] = {}

    def check(self, text: str) -> None:
        """Compile a text; raises PROGRAMME_INVALID with the place and the reason CEL gives."""
        if len(text) > ELIGIBILITY_CHARACTERS_MAX:
            raise _refused(f"it has {len(text)} characters, at most {ELIGIBILITY_CHARACTERS_MAX} are read")
        self._expression(text)

    def holds(self, text: str, facts: Facts) -> bool:
        """Evaluate; what fails or gives anything but true is not met."""
        if not text:
            return True
        try:
            found = self._expression(text).eval(data=facts.bounded())
        except RuntimeError:
            # The steps ran out: the budget is the runtime's own and the same everywhere.
            return False
        return found.type() == cel.Type.BOOL and found.value() is True

    def _expression(self, text: str) -> Any:
        known = self._compiled.get(text)
        if known is not None:
            return known
        try:
            compiled = self._environment.compile(text)
        except (RuntimeError, ValueError, TypeError) as error:
            # Text that is not Unicode is a TypeError, whose words repeat it.
            why = "it is not Unicode" if isinstance(error, TypeError) else " ".join(str(error).split())[:200]
            raise _refused(why) from error
        if compiled.return_type() != cel.Type.BOOL:
            raise _refused(f"it gives {compiled.return_type().name()}, not a bool")
        if len(self._compiled) >= COMPILED_MAX:
            self._compiled.clear()
        self._compiled[text] = compiled
        return compiled


def _refused(problem: str) -> Malformed:
    return Malformed(
        REASON_PROGRAMME_INVALID,
        f"The condition is no yes-or-no question in CEL: {problem}.",
        remedy=f"Compare whole numbers of {', '.join(FACT_NAMES)}.",
    )
