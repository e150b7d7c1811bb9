"""What a problem becomes outside the process: a gRPC status, an HTTP status, an exit code; one table.

Heavy imports stay inside the functions, so that a program can print its help without gRPC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from google.protobuf.message import DecodeError

from protos import problems
from protos.json_text import parse_json
from protos.problems import InvariantBroken, Malformed, Problem, Refused, Unavailable, Unverified
from protos.v1 import problem_pb2 as wire
from protos.v1.problem_pb2 import Reason
from protos.wording import wording_zh
from runtime.languages import CHINESE, ENGLISH

if TYPE_CHECKING:
    import grpc

# A peer's words are shown to people: bounded, and without control characters.
PEER_TEXT_CHARACTERS_MAX = 1000

_INSIDE = "The other side failed inside; it did not say more."
_CERTIFICATE_HINT = (
    "See that the other side runs and can be reached at this address. A missing, expired or foreign client "
    "certificate looks the same from here: check that this side has joined and its certificate is valid."
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one reason looks from outside: name of the gRPC status, HTTP status, exit code."""

    grpc_status: str
    http_status: int
    exit_code: int


def _rows(exit_code: int, rows: Mapping[int, tuple[str, int]]) -> dict[int, Outcome]:
    return {reason: Outcome(status, http, exit_code) for reason, (status, http) in rows.items()}


OUTCOMES: Mapping[int, Outcome] = MappingProxyType(
    {wire.REASON_UNSPECIFIED: Outcome("UNKNOWN", 500, 90)}
    | _rows(
        10,
        {
            wire.REASON_MALFORMED_MESSAGE: ("INVALID_ARGUMENT", 400),
            wire.REASON_MESSAGE_TOO_LARGE: ("INVALID_ARGUMENT", 413),
            wire.REASON_WRONG_TYPE: ("INVALID_ARGUMENT", 415),
            wire.REASON_WRONG_SHAPE: ("INVALID_ARGUMENT", 422),
            wire.REASON_UNKNOWN_FIELD_VALUE: ("INVALID_ARGUMENT", 422),
            wire.REASON_BODY_TRUNCATED: ("INVALID_ARGUMENT", 400),
            wire.REASON_BODY_MISMATCH: ("INVALID_ARGUMENT", 422),
            wire.REASON_CONFIGURATION_INVALID: ("FAILED_PRECONDITION", 500),
            wire.REASON_PACK_INVALID: ("INVALID_ARGUMENT", 422),
            wire.REASON_IDENTIFIER_INVALID: ("INVALID_ARGUMENT", 422),
            wire.REASON_RECORD_INVALID: ("INVALID_ARGUMENT", 422),
            wire.REASON_PROGRAMME_INVALID: ("INVALID_ARGUMENT", 422),
        },
    )
    | _rows(
        20,
        {
            wire.REASON_SIGNATURE_INVALID: ("UNAUTHENTICATED", 401),
            wire.REASON_KEY_UNKNOWN: ("UNAUTHENTICATED", 401),
            wire.REASON_KEY_EXPIRED: ("UNAUTHENTICATED", 401),
            wire.REASON_CERTIFICATE_INVALID: ("UNAUTHENTICATED", 401),
            wire.REASON_PROOF_INVALID: ("UNAUTHENTICATED", 401),
            wire.REASON_TRUST_ROOT_INVALID: ("UNAUTHENTICATED", 401),
            wire.REASON_BEACON_INVALID: ("UNAUTHENTICATED", 401),
            wire.REASON_CHECKPOINT_INVALID: ("DATA_LOSS", 502),
            wire.REASON_HISTORY_INCONSISTENT: ("DATA_LOSS", 502),
        },
    )
    | _rows(
        30,
        {
            wire.REASON_NOT_REGISTERED: ("PERMISSION_DENIED", 403),
            wire.REASON_ROLE_NOT_ALLOWED: ("PERMISSION_DENIED", 403),
            wire.REASON_SEQUENCE_SKIPPED: ("FAILED_PRECONDITION", 409),
            wire.REASON_WRONG_ORIGIN: ("FAILED_PRECONDITION", 421),
            wire.REASON_POLICY_NOT_IN_FORCE: ("FAILED_PRECONDITION", 409),
            wire.REASON_PACK_UNKNOWN: ("FAILED_PRECONDITION", 409),
            wire.REASON_BUDGET_EXCEEDED: ("RESOURCE_EXHAUSTED", 403),
            wire.REASON_CLAIM_WRONG: ("INVALID_ARGUMENT", 422),
            wire.REASON_ROSTER_WRONG: ("FAILED_PRECONDITION", 409),
            wire.REASON_EPOCH_CLOSED: ("FAILED_PRECONDITION", 409),
            wire.REASON_EPOCH_NOT_READY: ("FAILED_PRECONDITION", 409),
            wire.REASON_RESERVATION_UNKNOWN: ("FAILED_PRECONDITION", 409),
            wire.REASON_QUOTA_EXCEEDED: ("RESOURCE_EXHAUSTED", 403),
            wire.REASON_RATE_EXCEEDED: ("RESOURCE_EXHAUSTED", 429),
            wire.REASON_CEILING_EXCEEDED: ("FAILED_PRECONDITION", 403),
            wire.REASON_TOKEN_INVALID: ("PERMISSION_DENIED", 403),
            wire.REASON_MECHANISM_UNKNOWN: ("INVALID_ARGUMENT", 422),
            wire.REASON_SUSPENDED: ("PERMISSION_DENIED", 403),
            wire.REASON_REACH_UNBOUNDED: ("FAILED_PRECONDITION", 422),
            wire.REASON_COMMITMENT_MISSING: ("FAILED_PRECONDITION", 409),
            wire.REASON_COMMITMENT_CLOSED: ("FAILED_PRECONDITION", 409),
            wire.REASON_PROGRAMME_UNKNOWN: ("NOT_FOUND", 404),
            wire.REASON_REWARD_UNKNOWN: ("NOT_FOUND", 404),
            wire.REASON_NOT_ELIGIBLE: ("FAILED_PRECONDITION", 403),
            wire.REASON_NOT_ENOUGH_POINTS: ("FAILED_PRECONDITION", 409),
            wire.REASON_FUND_EXHAUSTED: ("RESOURCE_EXHAUSTED", 409),
            wire.REASON_ACCOUNT_FROZEN: ("FAILED_PRECONDITION", 403),
            wire.REASON_ACCOUNT_CLOSED: ("FAILED_PRECONDITION", 403),
            wire.REASON_CONTROL_NOT_PROVED: ("PERMISSION_DENIED", 403),
            wire.REASON_TICKET_INVALID: ("PERMISSION_DENIED", 403),
            wire.REASON_TICKET_USED: ("PERMISSION_DENIED", 403),
            wire.REASON_MERGE_TOO_SOON: ("FAILED_PRECONDITION", 409),
            wire.REASON_CAP_REACHED: ("RESOURCE_EXHAUSTED", 409),
            wire.REASON_OUT_OF_STOCK: ("RESOURCE_EXHAUSTED", 409),
            wire.REASON_RESERVATION_ENDED: ("FAILED_PRECONDITION", 409),
            wire.REASON_NOTHING_TO_ISSUE: ("FAILED_PRECONDITION", 409),
            wire.REASON_OFFSET_CAP_EXCEEDED: ("FAILED_PRECONDITION", 409),
            wire.REASON_NOT_TRANSFERABLE: ("FAILED_PRECONDITION", 403),
            wire.REASON_NOTHING_DUE: ("FAILED_PRECONDITION", 409),
            wire.REASON_SELECTION_WRONG: ("FAILED_PRECONDITION", 409),
        },
    )
    | _rows(
        40,
        {
            wire.REASON_SEQUENCE_REUSED: ("ABORTED", 409),
            wire.REASON_ALREADY_RELEASED: ("ALREADY_EXISTS", 409),
            wire.REASON_IDEMPOTENCY_CONFLICT: ("ABORTED", 409),
            wire.REASON_LOG_AHEAD: ("ABORTED", 409),
            wire.REASON_ALREADY_EXISTS: ("ALREADY_EXISTS", 409),
            wire.REASON_BEACON_KNOWN: ("ALREADY_EXISTS", 409),
        },
    )
    | _rows(
        50,
        {
            wire.REASON_PEER_UNREACHABLE: ("UNAVAILABLE", 503),
            wire.REASON_QUORUM_UNAVAILABLE: ("UNAVAILABLE", 503),
            wire.REASON_BUSY: ("UNAVAILABLE", 503),
            wire.REASON_SHUTTING_DOWN: ("UNAVAILABLE", 503),
            wire.REASON_NOT_FOUND: ("NOT_FOUND", 404),
            wire.REASON_BODIES_MISSING: ("UNAVAILABLE", 503),
        },
    )
    | _rows(90, {wire.REASON_INVARIANT_BROKEN: ("INTERNAL", 500)})
)


# How a reason of a later version looks: like the plainest of its hundred.
_PLAINEST = {
    1: wire.REASON_MALFORMED_MESSAGE,
    2: wire.REASON_SIGNATURE_INVALID,
    3: wire.REASON_EPOCH_NOT_READY,
    4: wire.REASON_SEQUENCE_REUSED,
    5: wire.REASON_BUSY,
}


def outcome(reason: Reason.ValueType) -> Outcome:
    """Give the row of the table; a number not in it looks like its group, else like a broken invariant."""
    known = reason if reason in OUTCOMES else _PLAINEST.get(reason // 100, wire.REASON_INVARIANT_BROKEN)
    return OUTCOMES[known]


def reason_name(reason: Reason.ValueType) -> str:
    """Give the reason's name as people read it, BUDGET_EXCEEDED."""
    value = Reason.DESCRIPTOR.values_by_number.get(reason)
    return value.name.removeprefix("REASON_") if value else str(reason)


def told_outside(problem: Problem) -> Problem:
    """Give what a caller may be told: a broken invariant is this side's own affair and loses its text."""
    if not isinstance(problem, InvariantBroken):
        return problem
    return InvariantBroken(
        wire.REASON_INVARIANT_BROKEN,
        "The message was not taken: the program's own promise does not hold.",
        remedy="Tell the operator of the other side; its log has the details.",
    )


def http_body(problem: Problem, language: str = ENGLISH) -> dict[str, Any]:
    """Give the JSON that goes with a problem's HTTP status; only title and remedy_zh follow the language."""
    told = told_outside(problem)
    body: dict[str, Any] = {
        "title": reason_name(told.reason).replace("_", " ").capitalize(),
        "reason": int(told.reason),
        "name": reason_name(told.reason),
        "message": told.message,
        "remedy": told.remedy,
    }
    if language == CHINESE:
        words = wording_zh(told.reason)
        body |= {"title": words.sentence, "remedy_zh": words.remedy}
    return body


def from_http(status: int, body: bytes) -> Problem:
    """Rebuild the problem an HTTPS peer reported; without one the status says as much as it can."""
    try:
        data = parse_json(body)
        reason, message, remedy = data["reason"], data["message"], data["remedy"]
        if isinstance(reason, int) and isinstance(message, str) and isinstance(remedy, str):
            return _from_peer(wire.Problem(reason=reason, message=message, remedy=remedy))  # type: ignore[arg-type]
    except (ValueError, TypeError, KeyError):
        pass
    if status == 404:
        return Unavailable(wire.REASON_NOT_FOUND, "The other side does not have this.")
    if status in (408, 429, 502, 503, 504):
        return Unavailable(
            wire.REASON_BUSY, f"The other side answered HTTP {status}.", remedy="Try again later."
        )
    if status >= 500:
        return Unavailable(wire.REASON_PEER_UNREACHABLE, _INSIDE, remedy="Tell its operator.")
    return Malformed(
        wire.REASON_MALFORMED_MESSAGE, f"The other side answered HTTP {status} without a reason."
    )


def abort_with(context: grpc.ServicerContext, problem: Problem) -> NoReturn:
    """End the call with the problem's status and the problem itself in the status's details."""
    import grpc
    from google.protobuf.any_pb2 import Any as AnyMessage
    from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
    from grpc_status import rpc_status

    told = told_outside(problem)
    code = grpc.StatusCode[outcome(told.reason).grpc_status]
    detail = AnyMessage()
    detail.Pack(told.to_wire())
    status = Status(code=code.value[0], message=told.message, details=[detail])
    context.abort_with_status(rpc_status.to_status(status))
    raise AssertionError("abort_with_status returned")


def problem_from_rpc_error(error: grpc.RpcError) -> Problem:
    """Rebuild the problem behind a failed call; a plain transport failure is Unavailable PEER_UNREACHABLE."""
    told = _told_by(error)
    return _from_peer(told) if told is not None else _from_plain_status(error)


def _told_by(error: grpc.RpcError) -> wire.Problem | None:
    from grpc_status import rpc_status

    try:
        status = rpc_status.from_call(error)
    except (ValueError, DecodeError):
        return None
    for detail in status.details if status is not None else ():
        problem = wire.Problem()
        try:
            if detail.Unpack(problem):
                return problem
        except DecodeError:
            return None
    return None


def _from_plain_status(error: grpc.RpcError) -> Problem:
    status = str(error.code().name) if hasattr(error, "code") else "UNKNOWN"
    said = _printable(str(error.details() or "")) if hasattr(error, "details") else ""
    text = f"The call ended with {status}" + (f": {said}" if said else ".")
    match status:
        case "UNAVAILABLE" | "DEADLINE_EXCEEDED":
            return Unavailable(wire.REASON_PEER_UNREACHABLE, text, remedy=_CERTIFICATE_HINT)
        case "CANCELLED":
            return Unavailable(wire.REASON_SHUTTING_DOWN, text, remedy="Try again.")
        case "RESOURCE_EXHAUSTED" if "larger than max" not in said:
            return Unavailable(wire.REASON_BUSY, text, remedy="Try again later.")
        case "RESOURCE_EXHAUSTED":
            return Malformed(wire.REASON_MESSAGE_TOO_LARGE, text, remedy="Send smaller chunks.")
        case "UNAUTHENTICATED":
            return Unverified(wire.REASON_CERTIFICATE_INVALID, text, remedy=_CERTIFICATE_HINT)
        case "PERMISSION_DENIED":
            return Refused(wire.REASON_ROLE_NOT_ALLOWED, text)
        case "UNIMPLEMENTED":
            return Malformed(
                wire.REASON_UNKNOWN_FIELD_VALUE,
                text,
                remedy="The two sides run different versions, or it is another service.",
            )
        case _:
            return Unavailable(
                wire.REASON_PEER_UNREACHABLE, text, remedy="Try again; then tell its operator."
            )


def _from_peer(told: wire.Problem) -> Problem:
    told.message, told.remedy = _printable(told.message), _printable(told.remedy)
    problem = problems.from_wire(told)
    # A peer's broken invariant must not stop this process.
    if isinstance(problem, InvariantBroken) or told.reason // 100 not in _PLAINEST:
        return Unavailable(wire.REASON_PEER_UNREACHABLE, told.message or _INSIDE, remedy=told.remedy)
    return problem


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text[:PEER_TEXT_CHARACTERS_MAX])
