"""Runs a program's command and ends it: problems go to stderr, the exit code follows the table of reasons."""

from __future__ import annotations

import json
import os
import resource
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from protos.problems import InvariantBroken, Malformed, Problem, Unavailable
from protos.v1 import problem_pb2 as wire
from runtime.languages import lines_beside, terminal_language
from runtime.problems import outcome, reason_name

if TYPE_CHECKING:
    import click

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

# The optional part of the distribution that each program needs.
EXTRAS = {"cgsp-node": "node", "cgsp-hub": "hub", "cgsp-custodian": "custodian", "cgsp-audit": "auditor"}
_OWN_PACKAGES = frozenset(
    {"protos", "privacy", "accounting", "engine", "runtime", "packs"}
    | {"enterprise_node", "hub", "custodian", "auditor"}
)


def run_cli(command: click.Command, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a program: problems go to stderr as text (JSON with --json) and the exit code follows the table.

    The process leaves no core behind, whatever kills it.
    """
    import click

    # A core would hold keys, identifiers and figures before noise, in a file nobody erases.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = command.main(args=given, standalone_mode=False)
        code = result if isinstance(result, int) else 0
    except click.exceptions.Exit as exit_wish:
        code = exit_wish.exit_code
    except click.UsageError as usage:
        usage.show()
        code = EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        code = EXIT_INTERRUPTED
    except Problem as problem:
        code = _report(problem, as_json="--json" in given)
    except OSError as failure:
        code = _report(_from_os(failure), as_json="--json" in given)
    except ModuleNotFoundError as missing:
        code = _report(_from_missing(missing, command.name or ""), as_json="--json" in given)
    except Exception as bug:  # noqa: BLE001 (the outermost loop of a command)
        code = _report(_from_bug(bug), as_json="--json" in given)
    sys.exit(code)


def _report(problem: Problem, *, as_json: bool) -> int:
    code = outcome(problem.reason).exit_code
    if as_json:
        told = {"reason": int(problem.reason), "name": reason_name(problem.reason)}
        error = told | {"message": problem.message, "remedy": problem.remedy, "exit_code": code}
        sys.stderr.write(json.dumps({"error": error}, ensure_ascii=False) + "\n")
        return code
    for line in _lines(problem, terminal_language(sys.stderr, os.environ)):
        sys.stderr.write(f"{line}\n")
    return code


def _lines(problem: Problem, language: str) -> Iterator[str]:
    """Tell a problem: in English what exactly came, and beside it, in Chinese, what that is called."""
    told, advice = lines_beside(problem.reason, language)
    remedy = f"remedy: {problem.remedy}" if problem.remedy else ""
    yield from filter(
        None, (f"error: {problem.message} [{reason_name(problem.reason)}]", told, remedy, advice)
    )


def _from_os(failure: OSError) -> Problem:
    where = f" {failure.filename}" if isinstance(failure.filename, str) else ""
    text = f"Cannot use{where}: {failure.strerror or type(failure).__name__}."
    match failure:
        case FileNotFoundError():
            return Unavailable(wire.REASON_NOT_FOUND, text, remedy="Check the path.")
        case PermissionError():
            return Malformed(wire.REASON_CONFIGURATION_INVALID, text, remedy="Check the owner and mode.")
        case _:
            return Unavailable(
                wire.REASON_BUSY, text, remedy="Check the disk and the network, then try again."
            )


def _from_missing(missing: ModuleNotFoundError, program: str) -> Problem:
    """Say which part of the distribution is not installed; one of our own modules missing is a fault."""
    library = (missing.name or "").partition(".")[0]
    if program not in EXTRAS or not library or library in _OWN_PACKAGES:
        return _from_bug(missing)
    return Unavailable(
        wire.REASON_NOT_FOUND,
        f"{program} needs the library {library}, which is not installed here.",
        remedy=f"Install its part, from a checkout: pip install '.[{EXTRAS[program]}]'.",
    )


def _from_bug(bug: Exception) -> Problem:
    """Say where it happened but not the exception's own words, which may hold anything."""
    frames = traceback.extract_tb(bug.__traceback__)[-4:]
    where = " < ".join(
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames)
    )
    return InvariantBroken(
        wire.REASON_INVARIANT_BROKEN,
        f"Unexpected {type(bug).__name__} at {where}.",
        remedy="This is a fault of the program: report this line.",
    )
