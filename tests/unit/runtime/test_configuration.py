"""Settings errors name file, key, what came and the fix, and never a private value."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, field_validator

from protos.problems import Malformed
from runtime.configuration import Settings, format_toml, load_settings, parse_settings


class Source(Settings):
    path: Path
    columns: dict[str, str] = Field(default_factory=dict)


class Node(Settings):
    enterprise_id: str
    passphrase: str = ""
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    form: Literal["json", "human"] = "json"
    sources: tuple[Source, ...] = ()

    @field_validator("enterprise_id")
    @classmethod
    def _known(cls, value: str) -> str:
        if value == "nobody":
            raise ValueError("write the id of the invitation")
        return value


def told(text: str) -> str:
    with pytest.raises(Malformed) as caught:
        parse_settings(text.encode(), Node, name="node.toml")
    assert "node.toml" in caught.value.remedy
    return caught.value.message


def test_good_file_is_read_typed(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text('enterprise_id = "a-1"\n[[sources]]\npath = "x.csv"\ncolumns = {who = "phone"}\n')
    node = load_settings(path, Node)
    assert node.sources[0].path == Path("x.csv")
    assert (node.port, node.sources[0].columns) == (8000, {"who": "phone"})


def test_missing_key_is_named() -> None:
    assert told("port = 1") == "node.toml: enterprise_id is missing; add it."


def test_unknown_key_names_the_near_one() -> None:
    assert "enterprize_id is not a key (did you mean enterprise_id?)" in told('enterprize_id = "a"')
    text = 'enterprise_id = "a"\n[[sources]]\npath = "x"\ncolum = {}'
    assert "sources.0.colum is not a key (did you mean columns?)" in told(text)


def test_limit_and_number_are_told() -> None:
    message = told('enterprise_id = "a"\nport = 70000')
    assert message == "node.toml: port should be less than or equal to 65535, came 70000."


def test_text_is_no_number() -> None:
    assert "port should be integer, came a text of 2 characters" in told('enterprise_id = "a"\nport = "80"')


def test_choices_are_told_with_what_came() -> None:
    message = told('enterprise_id = "a"\nform = "xml"')
    assert "form must be 'json' or 'human', came \"xml\"" in message


def test_own_rules_speak_without_the_value() -> None:
    assert told('enterprise_id = "nobody"').endswith(
        "write the id of the invitation (came a text of 6 characters)."
    )


@pytest.mark.parametrize(
    "line", ["passphrase = 3", 'passphrase = ["secret-value"]', 'secret-value = "secret-value"']
)
def test_private_value_is_never_shown(line: str) -> None:
    assert '"secret-value"' not in told(f'enterprise_id = "a"\n{line}')


def test_broken_toml_names_the_line() -> None:
    assert "not TOML" in (message := told("a = 1\nb = ?")) and "line 2" in message
    with pytest.raises(Malformed, match="not UTF-8"):
        parse_settings(b"\xff", Node, name="x")


def test_many_errors_are_cut() -> None:
    message = told("\n".join(f"unknown{number} = 1" for number in range(9)))
    assert message.count("is not a key") + message.count("is missing") == 5
    assert "and 5 more" in message


@pytest.mark.parametrize(
    "values",
    [
        {"a": 1, "b": True, "c": 'quote " \\ \n 中文 \x7f', "d": ["x", "y"], "e": []},
        {"plain": "x", "table": {"key with space": 1, "inner": {"z": False}}},
        {"rows": [{"a": 1}, {"a": 2, "b": {"c": 3}}], "first": 0},
    ],
)
def test_toml_written_is_toml_read(values: dict[str, Any]) -> None:
    assert tomllib.loads(format_toml(values)) == values
