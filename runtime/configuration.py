"""Configuration files: strict TOML into pydantic models.

An error names the file, the key, what came (only its type where the value could be private), the limit
and the fix.
"""

from __future__ import annotations

import datetime
import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID
from runtime.files import open_home, read_bounded, write_atomic, write_private

__all__ = [
    "Settings",
    "format_toml",
    "load_settings",
    "open_home",
    "parse_settings",
    "read_bounded",
    "write_atomic",
    "write_private",
]

CONFIGURATION_BYTES_MAX = 1 << 20
# More would bury the first one.
ERRORS_SHOWN_MAX = 5

Model = TypeVar("Model", bound=BaseModel)


class Settings(BaseModel):
    """Base of every configuration model: unknown keys are errors, values are frozen and never echoed."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def load_settings(path: Path, model: type[Model]) -> Model:
    """Read a TOML file into the model; raises Malformed CONFIGURATION_INVALID."""
    return parse_settings(read_bounded(path, CONFIGURATION_BYTES_MAX), model, name=str(path))


def parse_settings(data: bytes, model: type[Model], *, name: str) -> Model:
    """Read TOML bytes into the model; `name` stands in errors where a file's path would."""
    try:
        values = tomllib.loads(data.decode())
    except UnicodeDecodeError:
        raise _invalid(name, ["the file is not UTF-8 text"]) from None
    except tomllib.TOMLDecodeError as failure:
        raise _invalid(name, [f"not TOML: {failure}"]) from None
    try:
        # Strict by way of JSON: "8" is no integer, yet a path, date or choice may be written as text.
        return model.model_validate_json(json.dumps(values, default=_json_text), strict=True)
    except ValidationError as failure:
        errors = failure.errors(include_url=False)
    raise _invalid(name, [_told(error, model) for error in errors])


def _json_text(value: Any) -> str:
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def _invalid(name: str, told: Sequence[str]) -> Malformed:
    shown = "; ".join(told[:ERRORS_SHOWN_MAX])
    more = f"; and {len(told) - ERRORS_SHOWN_MAX} more" if len(told) > ERRORS_SHOWN_MAX else ""
    return Malformed(
        REASON_CONFIGURATION_INVALID,
        f"{name}: {shown}{more}.",
        remedy=f"Edit {name} and run the command again.",
    )


def _told(error: ErrorDetails, model: type[BaseModel]) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "the file"
    match error["type"]:
        case "missing":
            return f"{where} is missing; add it"
        case "extra_forbidden":
            return f"{where} is not a key{_near_key(error['loc'], model)}; remove or correct it"
        case "literal_error" | "enum":
            choices = error.get("ctx", {}).get("expected", "one of its choices")
            return f"{where} must be {choices}, came {_came(error)}"
        case "value_error" | "assertion_error":
            return f"{where}: {error['msg'].split(', ', 1)[-1]} (came {_came(error)})"
        case _:
            limit = error["msg"].removeprefix("Input should be ").removeprefix("a valid ")
            return f"{where} should be {limit}, came {_came(error)}"


def _came(error: ErrorDetails) -> str:
    match error["input"]:
        case bool() | int() | float() as number:
            return json.dumps(number)
        case str() as text if error["type"] in ("literal_error", "enum"):
            return json.dumps(text[:40], ensure_ascii=False)
        case str() as text:
            return f"a text of {len(text)} characters"
        case list() as items:
            return f"a list of {len(items)}"
        case dict():
            return "a table"
        case other:
            return f"a {type(other).__name__}"


def _near_key(location: Sequence[int | str], model: type[BaseModel]) -> str:
    parent = _model_at(location[:-1], model)
    known = list(parent.model_fields) if parent is not None else []
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _model_at(location: Sequence[int | str], model: type[BaseModel]) -> type[BaseModel] | None:
    for part in location:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        inner = _models_in(field.annotation) if field is not None else []
        if len(inner) != 1:
            return None
        model = inner[0]
    return model


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models_in(inner)]


def format_toml(values: Mapping[str, Any]) -> str:
    """Write strings, integers, booleans, lists of them and tables of them as TOML."""
    plain = [
        f"{_toml_key(key)} = {_toml_value(value)}" for key, value in values.items() if not _is_table(value)
    ]
    tables = [part for key, value in values.items() if _is_table(value) for part in _toml_tables(key, value)]
    return "\n".join(plain + tables) + "\n"


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)
    )


def _toml_tables(path: str, value: Any) -> list[str]:
    lines: list[str] = []
    for table in value if isinstance(value, list) else [value]:
        name = ".".join(_toml_key(part) for part in path.split("."))
        lines += ["", f"[[{name}]]" if isinstance(value, list) else f"[{name}]"]
        lines += [
            f"{_toml_key(key)} = {_toml_value(item)}" for key, item in table.items() if not _is_table(item)
        ]
        for key, item in table.items():
            lines += _toml_tables(f"{path}.{key}", item) if _is_table(item) else []
    return lines


def _toml_key(key: str) -> str:
    bare = key and all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in key)
    return key if bare else _toml_value(key)


def _toml_value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Path():
            return _toml_value(str(value))
        case str():
            # A JSON string is a TOML basic string, but for DEL.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case list() | tuple():
            return "[" + ", ".join(_toml_value(item) for item in value) + "]"
        case _:
            raise TypeError(f"no TOML form for {type(value).__name__}")
