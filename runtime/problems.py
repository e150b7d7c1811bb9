"""What a problem becomes outside the process: a gRPC status, an HTTP status, an exit code; one table.

Heavy imports stay inside the functions, so that a program can print its help without gRPC.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from protos.problems import Problem
from protos.v1.problem_pb2 import Reason

if TYPE_CHECKING:
    import click
    import grpc

EXIT_USAGE = 2
EXIT_BUG = 90


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one reason looks from outside: name of the gRPC status, HTTP status, exit code."""

    grpc_status: str
    http_status: int
    exit_code: int


OUTCOMES: Mapping[int, Outcome] = MappingProxyType({})


def outcome(reason: Reason.ValueType) -> Outcome:
    """Give the row of the table; a number unknown here counts as a broken invariant."""
    raise NotImplementedError


def http_body(problem: Problem) -> dict[str, Any]:
    """Give the JSON that goes with a problem's HTTP status: reason, name, message, remedy."""
    raise NotImplementedError


def from_http(status: int, body: bytes) -> Problem:
    """Rebuild the problem an HTTPS peer reported."""
    raise NotImplementedError


def abort_with(context: grpc.ServicerContext, problem: Problem) -> NoReturn:
    """End the call with the problem's status and the problem itself in the status's details."""
    raise NotImplementedError


def problem_from_rpc_error(error: grpc.RpcError) -> Problem:
    """Rebuild the problem behind a failed call; a plain transport failure is Unavailable PEER_UNREACHABLE."""
    raise NotImplementedError


def run_cli(command: click.Command, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a program: problems go to stderr as text (JSON with --json) and the exit code follows the table."""
    raise NotImplementedError(sys.argv)
