"""The problems every part of the gateway raises, grouped by who must act; reasons come from problem.proto.

A message says what was expected, what came and where; the remedy says what to do. Neither ever holds a
person's identifier, a raw value, a key or a pseudonym.
"""

from __future__ import annotations

from protos.v1 import problem_pb2
from protos.v1.problem_pb2 import Reason


class Problem(Exception):
    """Base of all; raise one of its six kinds."""

    def __init__(self, reason: Reason.ValueType, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.remedy = remedy or default_remedy(reason)

    def __str__(self) -> str:
        text = f"{Reason.Name(self.reason).removeprefix('REASON_')} ({self.reason}): {self.message}"
        return f"{text} Remedy: {self.remedy}" if self.remedy else text

    def to_wire(self) -> problem_pb2.Problem:
        """Give the message that travels in a status's details."""
        return problem_pb2.Problem(reason=self.reason, message=self.message, remedy=self.remedy)


_REMEDIES: dict[int, str] = {
    problem_pb2.REASON_BODY_MISMATCH: "Send the bodies the envelope signs, whole and in order.",
    problem_pb2.REASON_SIGNATURE_INVALID: (
        "Sign the exact bytes with the registered key; what came from somebody else is not to be used."
    ),
    problem_pb2.REASON_HISTORY_INCONSISTENT: (
        "Stop and keep both: there are two histories, which the operator and the auditors must see."
    ),
    problem_pb2.REASON_CLAIM_WRONG: (
        "Take reach and scale from the policy in force; the scale is ceil(reach / epsilon)."
    ),
    problem_pb2.REASON_BUDGET_EXCEEDED: "Nothing more can be charged to this epoch; wait for the next one.",
    problem_pb2.REASON_ALREADY_RELEASED: (
        "Nothing is to be done: an epoch is answered once, and corrections go into a later one."
    ),
    problem_pb2.REASON_NOT_FOUND: "Check the name, the number or the path.",
}
_REMEDY_BY_HUNDRED = {
    1: "Correct what the message names and send it again.",
    2: "Do not use what came; find out who made it.",
    3: "Look up the rule in the policy or trust root in force.",
    4: "Read what is there already before sending anything else.",
    5: "Try again later.",
    9: "Keep the files as they are and report this line.",
}


def default_remedy(reason: int) -> str:
    """Say what to do where the one who raises has nothing better to say."""
    return _REMEDIES.get(reason, _REMEDY_BY_HUNDRED.get(reason // 100, ""))


class Malformed(Problem):
    """The sender must fix what it sent."""


class Unverified(Problem):
    """A signature, proof or certificate does not hold: do not trust what came."""


class Refused(Problem):
    """A rule said no: budget, epoch, allowance, role."""


class Conflict(Problem):
    """Something else is already there, or there are two histories."""


class Unavailable(Problem):
    """Not now; try again."""


class InvariantBroken(Problem):
    """The program's own promise does not hold; the process stops."""


_KIND_BY_HUNDRED: dict[int, type[Problem]] = {
    1: Malformed,
    2: Unverified,
    3: Refused,
    4: Conflict,
    5: Unavailable,
    9: InvariantBroken,
}


def from_wire(problem: problem_pb2.Problem) -> Problem:
    """Rebuild the problem a peer reported; a number of no known group is Malformed."""
    kind = _KIND_BY_HUNDRED.get(problem.reason // 100, Malformed)
    return kind(problem.reason, problem.message, remedy=problem.remedy)
