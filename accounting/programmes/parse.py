"""A programme's TOML, read strictly: what is refused is told with its line and the reason.

Unknown keys, numbers with a point and names that nothing declares are refused. The canonical JSON is what is
signed and logged; it is read back only if it is exactly what the programme itself writes.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from accounting.programmes.programme import FORMAT, MODELS, Programme
from protos.json_text import parse_json
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_PROGRAMME_INVALID

PROGRAMME_BYTES_MAX = 256 * 1024
FAULTS_TOLD_MAX = 10

_HEADER = re.compile(r"\s*\[{1,2}\s*([^\[\]]+?)\s*\]{1,2}\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*")(?:\s*\.\s*(?:[\w-]+|"[^"]*"))*)\s*=""")
_PART = re.compile(r"""[\w-]+|"[^"]*\"""")
# A rule of the whole programme begins with the place it is about.
_PLACE = re.compile(r"Value error, ([a-z_]+(?:\.[\w-]+)+): ")

_TOLD_PLACE = re.compile(r"\b((?:earn|rewards|issue)(?:\.[\w-]+)+): ")

# Every key there is, to say which one a mistyped key is near to.
_KEYS = sorted({name for model in MODELS for name in model.model_fields})

Place = tuple[str, ...]


class _FloatFound(ValueError):
    pass


def parse_programme(data: bytes, file: str = "programme.toml") -> Programme:
    """Read a programme's TOML; raises PROGRAMME_INVALID with the line of each fault."""
    if len(data) > PROGRAMME_BYTES_MAX:
        raise _refused(f"{file} has {len(data)} bytes; at most {PROGRAMME_BYTES_MAX} are read.")
    try:
        text = data.decode("utf-8")
        document = tomllib.loads(text, parse_float=_refuse_float)
    except UnicodeDecodeError as error:
        raise _refused(f"{file} is not UTF-8.") from error
    except _FloatFound as error:
        line = _line_of_number(text, str(error))
        raise _refused(
            f"{file}, line {line}: the number {error} has a point.",
            "Write a ratio of two whole numbers, [points, grams].",
        ) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _refused(f"{file} is not TOML: {error}.") from error
    try:
        return Programme.model_validate_json(json.dumps(document, ensure_ascii=False, default=_refuse_type))
    except ValidationError as error:
        raise _refused("; ".join(_faults(error, text, file))) from error
    except (TypeError, UnicodeEncodeError) as error:
        raise _refused(f"{file}: {error}.", "Write dates and times as text.") from error


def parse_canonical(data: bytes) -> Programme:
    """Read canonical bytes back; PROGRAMME_INVALID unless they are exactly what the programme writes."""
    if len(data) > PROGRAMME_BYTES_MAX:
        raise _refused(f"A programme has at most {PROGRAMME_BYTES_MAX} bytes.")
    try:
        document = parse_json(data)
        if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
            raise _refused(f"The programme is not of format {FORMAT}.")
        programme = Programme.model_validate_json(json.dumps(document, ensure_ascii=False))
        canonical = programme.canonical_bytes()
    except ValidationError as error:
        raise _refused("; ".join(_faults(error, "", "canonical programme"))) from error
    except (ValueError, RecursionError) as error:
        raise _refused("The programme is not JSON in UTF-8.") from error
    if canonical != data:
        raise _refused("The programme's bytes are not its canonical form.")
    return programme


def parse_logged(data: bytes, *, programme: str, version: int, first_epoch: int) -> Programme:
    """Read the body of a record in the log; PROGRAMME_INVALID unless it says what the record says."""
    found = parse_canonical(data)
    if (found.id, found.version, found.first_epoch) != (programme, version, first_epoch):
        raise _refused(
            f"The record is of {programme} version {version} from {first_epoch}, its body of {found.id} "
            f"version {found.version} from {found.first_epoch}.",
            "Sign the record of the programme's own id, version and first epoch.",
        )
    return found


def line_of(text: str, place: Sequence[str]) -> int:
    """Give the line a place of the document is written on, or that of the table it belongs to; 0 if none."""
    best, best_line = 0, 0
    for line, found in _places(text):
        depth = _common(found, place)
        if depth == len(found) and depth > best:
            best, best_line = depth, line
    return best_line


def with_lines(message: str, text: str, file: str) -> str:
    """Put file and line before each place that a message about a programme names."""

    def located(found: re.Match[str]) -> str:
        return f"{file}, line {line_of(text, found[1].split('.'))}, key {found[1]}: "

    return _TOLD_PLACE.sub(located, message)


def _places(text: str) -> Iterator[tuple[int, Place]]:
    """Give the places that headers and keys begin, with their lines counted from 1."""
    table: Place = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _parts(header[1])
            yield number, table
        elif key := _KEY.match(line):
            yield number, table + _parts(key[1])


def _parts(dotted: str) -> Place:
    return tuple(part.strip('"') for part in _PART.findall(dotted))


def _common(found: Place, place: Sequence[str]) -> int:
    depth = 0
    while depth < min(len(found), len(place)) and found[depth] == place[depth]:
        depth += 1
    return depth


def _faults(error: ValidationError, text: str, file: str) -> list[str]:
    """Tell each fault with its line, its key and the reason."""
    told = []
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        place, message = tuple(str(part) for part in one["loc"]), one["msg"]
        if one["type"] == "extra_forbidden":
            message = _unknown_key(place[-1])
        if not place and (about := _PLACE.match(message)):
            place, message = tuple(about[1].split(".")), message[about.end() :]
        line = line_of(text, place)
        where = f"{file}, line {line}" if line else file
        told.append((line, f"{where}, key {'.'.join(place) or 'document'}: {message}"))
    return [fault for _, fault in sorted(told)[:FAULTS_TOLD_MAX]]


def _unknown_key(key: str) -> str:
    near = difflib.get_close_matches(key, _KEYS, n=1)
    return f"there is no such key here; do you mean {near[0]}?" if near else "there is no such key here"


def _line_of_number(text: str, number: str) -> int:
    whole = re.compile(rf"(?<![\w.+-]){re.escape(number)}(?![\w.])")
    lines = enumerate(text.splitlines(), start=1)
    return next((at for at, line in lines if whole.search(line.partition("#")[0])), 0)


def _refuse_float(text: str) -> float:
    raise _FloatFound(text)


def _refuse_type(value: Any) -> Any:
    raise TypeError(f"a {type(value).__name__} stands where text or a whole number is expected")


def _refused(
    message: str, remedy: str = "Correct the lines named; docs/programmes.md lists every key."
) -> Malformed:
    return Malformed(REASON_PROGRAMME_INVALID, message, remedy=remedy)
