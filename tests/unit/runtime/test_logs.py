"""Log lines carry ids, counts, hashes and durations, and nothing of a person."""

from __future__ import annotations

import ast
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_BUDGET_EXCEEDED
from runtime.logs import configure_logs, is_allowed

PHONE = "13812345678"


@pytest.fixture(autouse=True)
def _restored_root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def written(log: Any, form: Literal["json", "human"] = "json") -> str:
    stream = io.StringIO()
    configure_logs("cgsp-node", form=form, level="debug", stream=stream)
    log(logging.getLogger("enterprise_node.pipeline"))
    return stream.getvalue()


def test_allowed_fields_are_written() -> None:
    text = written(lambda log: log.info("released", extra={"epoch": 202012, "rows": 5, "draw_ms": 1.5}))
    line = json.loads(text)
    assert {key: line[key] for key in ("message", "epoch", "rows", "draw_ms", "program", "level")} == {
        "message": "released",
        "epoch": 202012,
        "rows": 5,
        "draw_ms": 1.5,
        "program": "cgsp-node",
        "level": "INFO",
    }
    human = written(lambda log: log.info("released", extra={"epoch": 202012}), "human")
    assert human.endswith("info released epoch=202012\n")


@pytest.mark.parametrize(
    "extra",
    [
        {"phone": PHONE},
        {"person": 70007000700, "value": PHONE},
        {"pseudonym": "00" * 16},
        {"stage": f"reading {PHONE}"},
        {"stage": "11010519491231002X"},
        {"stage": "张三 reads"},
        {"stage": "a\nb"},
        {"rows": [PHONE]},
        {"record_id": PHONE},
        {"envelope_hash": PHONE.encode()},
    ],
)
def test_anything_else_stays_inside(extra: dict[str, Any]) -> None:
    for form in ("json", "human"):
        text = written(lambda log: log.info("x", extra=extra), form)
        for value in extra.values():
            assert str(value) not in text
    assert json.loads(written(lambda log: log.info("x", extra=extra)))["refused_fields"] >= 1


def test_arguments_of_a_format_string_are_not_written() -> None:
    text = written(lambda log: log.warning("bad number %s", PHONE))
    assert json.loads(text)["message"] == "bad number %s"


def test_message_put_together_loses_its_number() -> None:
    assert "bad number (number)" in written(lambda log: log.warning(f"bad number {PHONE}"))


def test_message_that_is_no_text_is_not_written() -> None:
    assert PHONE not in written(lambda log: log.error({"phone": PHONE}))


def test_exception_shows_its_place_but_not_its_words() -> None:
    def fails(log: logging.Logger) -> None:
        try:
            raise ValueError(PHONE)
        except ValueError:
            log.exception("failed")

    line = json.loads(written(fails))
    assert line["exception"].startswith("ValueError at test_logs.py:")
    assert PHONE not in json.dumps(line)


def test_problem_speaks_for_itself() -> None:
    def fails(log: logging.Logger) -> None:
        log.error("failed", exc_info=Refused(REASON_BUDGET_EXCEEDED, "Allowance is 1.", remedy="Wait."))

    assert "BUDGET_EXCEEDED (306): Allowance is 1. Remedy: Wait." in json.loads(written(fails))["exception"]


def test_warnings_lose_their_text() -> None:
    def warn(_: logging.Logger) -> None:
        warnings.warn(f"about {PHONE}", stacklevel=1)

    assert PHONE not in written(warn)


def test_hash_of_digits_is_still_a_hash() -> None:
    assert is_allowed("envelope_hash", "a1" + "12345678901" * 2 + "f" * 40)
    assert not is_allowed("envelope_hash", PHONE)


def _extra_fields(source: str) -> Iterator[str]:
    """Give the names of the fields that calls of a logger pass as a literal."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg == "extra" and isinstance(node.value, ast.Dict):
            yield from (str(key.value) for key in node.value.keys if isinstance(key, ast.Constant))


@pytest.mark.parametrize("package", ["runtime", "enterprise_node", "hub", "custodian", "auditor"])
def test_no_line_loses_a_field_its_author_meant_to_write(package: str) -> None:
    root = Path(__file__).parents[3]
    lost = {
        f"{path.relative_to(root)}: {name}"
        for path in sorted((root / package).rglob("*.py"))
        for name in _extra_fields(path.read_text(encoding="utf-8"))
        if not is_allowed(name, 1)
    }
    assert lost == set()
