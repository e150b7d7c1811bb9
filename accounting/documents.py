"""Strict reading of the project's own data files: an error names the file, the key and the way to fix it."""

from __future__ import annotations

import datetime
import json
import re
import tomllib
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from accounting.quantities import is_decimal
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_PACK_INVALID

DOCUMENT_BYTES_MAX = 4 * 1024 * 1024

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# No quote, no backslash, no "//": a word stands in SQL text as it is, and in every engine's.
_WORD = re.compile(r"[\w.:+&-]+([ /][\w.:+&-]+)*")
_WORD_LENGTH_MAX = 64

Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """Base of everything read from a file: no unknown keys, no conversions, no changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def invalid(file: str, key: str, problem: str, remedy: str = "") -> Malformed:
    """Make the PACK_INVALID that says where and how to fix it."""
    place = f"{file}, key {key}" if key else file
    return Malformed(REASON_PACK_INVALID, f"{place}: {problem}", remedy=remedy)


def read_toml(data: bytes, file: str) -> dict[str, Any]:
    """Parse TOML; numbers with a point are refused, since decimals are text here."""
    if len(data) > DOCUMENT_BYTES_MAX:
        raise invalid(file, "", f"has {len(data)} bytes, at most {DOCUMENT_BYTES_MAX} are read.")
    try:
        return tomllib.loads(data.decode("utf-8"), parse_float=_refuse_float)
    except UnicodeDecodeError as error:
        raise invalid(file, "", "is not UTF-8.", "Save the file as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise invalid(file, "", f"is not TOML ({error}).") from error
    except _FloatFound as error:
        raise invalid(
            file, "", f"holds the bare number {error}.", f'Write decimals as text: "{error}".'
        ) from error


class _FloatFound(ValueError):
    pass


def _refuse_float(text: str) -> float:
    raise _FloatFound(text)


def checked(model: type[Model], document: Any, file: str) -> Model:
    """Take a parsed document as a model; PACK_INVALID lists each wrong key."""
    try:
        return model.model_validate_json(json.dumps(document, ensure_ascii=False, default=_refuse_type))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        keys = ", ".join(".".join(str(part) for part in one["loc"]) or "document" for one in found[:5])
        raise invalid(file, keys, "; ".join(one["msg"] for one in found[:5]) + ".", _remedy(found)) from error
    except UnicodeEncodeError as error:
        raise invalid(file, "", "holds text that is not Unicode.") from error
    except TypeError as error:
        raise invalid(file, "", str(error), 'Write dates as text: "2020-01-31".') from error


def _refuse_type(value: Any) -> Any:
    raise TypeError(f"a {type(value).__name__} stands where text is expected.")


def _remedy(found: Any) -> str:
    kinds = {one["type"] for one in found}
    if "extra_forbidden" in kinds:
        return "Remove or correct the unknown keys."
    if "string_type" in kinds:
        return "Write numbers of a methodology as decimal text in quotes."
    return "Correct the keys named."


def _decimal(text: str) -> str:
    if not is_decimal(text):
        raise ValueError("must be plain decimal text")
    return text


def _word(text: str) -> str:
    if len(text) > _WORD_LENGTH_MAX or not _WORD.fullmatch(text):
        raise ValueError("must be letters, digits and . : + - & _, single spaces or / between them")
    return text


def _date(text: str) -> str:
    if text and not (_DATE.fullmatch(text) and datetime.date.fromisoformat(text)):
        raise ValueError("must be a date as 2020-01-31")
    return text


DecimalText = Annotated[str, AfterValidator(_decimal)]
Word = Annotated[str, AfterValidator(_word)]
DateText = Annotated[str, AfterValidator(_date)]

_ORIGIN = datetime.date(1970, 1, 1)


def day_of(text: str) -> int | None:
    """Give a date's day number, None for the empty (open) date."""
    return (datetime.date.fromisoformat(text) - _ORIGIN).days if text else None


def is_word(text: str) -> bool:
    """Tell whether text may stand as a key in SQL literals and canonical forms."""
    return len(text) <= _WORD_LENGTH_MAX and bool(_WORD.fullmatch(text))
