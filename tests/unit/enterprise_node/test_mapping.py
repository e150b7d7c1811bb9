"""What a mapping hides, names and remedies."""

from __future__ import annotations

from pathlib import Path

import duckdb

from accounting.documents import is_word
from enterprise_node.configuration import SourceSettings
from enterprise_node.mapping import KEY_FORM, private_columns, token, token_sql
from enterprise_node.quarantine import Flaw, remedy
from enterprise_node.sql_text import literal, literals, quoted
from runtime.configuration import load_settings

KEY = bytes(range(32))


def source(folder: Path, *lookups: str) -> SourceSettings:
    text = """
id = "lines"
path = "lines.csv"
record = ["customer", "line"]
person = "mobile"
activity = "trip.bicycle"
columns = { customer = "text", line = "text", shop = { type = "text", private = true }, start = "text" }
time = { column = "start" }
inputs = {}
"""
    (folder / "source.toml").write_text(text + "".join(lookups), encoding="utf-8")
    return load_settings(folder / "source.toml", SourceSettings)


def lookup(key: str, *columns: str) -> str:
    given = ", ".join(f'{column} = "text"' for column in columns)
    return f'[[lookup]]\npath = "x.csv"\nkey = "{key}"\ncolumns = {{ {given} }}\n'


def test_every_column_on_the_way_to_the_person_is_private(tmp_path: Path) -> None:
    settings = source(
        tmp_path, lookup("customer", "card"), lookup("line", "colour"), lookup("card", "mobile", "district")
    )
    assert private_columns(settings) == {"customer", "card", "mobile", "shop"}


def test_token_is_the_same_in_sql_and_outside() -> None:
    with duckdb.connect() as connection:
        [(made,)] = connection.execute(f"SELECT {token_sql(KEY, 'meter', literal('东-1'))}").fetchall()
    assert made == token(KEY, "meter", "东-1")
    assert (
        len({made, token(KEY, "meter", "东-2"), token(KEY, "card", "东-1"), token(b"x", "meter", "东-1")})
        == 4
    )


def test_keys_have_the_form_accounting_demands() -> None:
    words = [
        "311422",
        "a b",
        "a & b",
        "钢 / 铁",
        "",
        " a",
        "a  b",
        "it's",
        "a;b",
        "A/B",
        "A//B",
        "A&B",
        "back\\slash",
        "x_y.z:1+2-3",
        "é",
    ]
    with duckdb.connect() as connection:
        for word in words:
            [(fits,)] = connection.execute(
                f"SELECT regexp_full_match($1, {literal(KEY_FORM)})", [word]
            ).fetchall()
            assert not fits or is_word(word), word
            assert fits == is_word(word), word


def test_every_flaw_has_a_remedy_of_its_own() -> None:
    remedies = [remedy(flaw) for flaw in Flaw]
    assert all("node.toml keeps this row out" not in one for one in remedies)
    assert all(any("\u4e00" <= letter <= "\u9fff" for letter in one) for one in remedies)


def test_names_and_literals_cannot_break_out() -> None:
    nasty = "a'b\"c; DROP TABLE x --"
    with duckdb.connect() as connection:
        [(text,)] = connection.execute(f"SELECT {literal(nasty)} AS {quoted(nasty)}").fetchall()
        [(both,)] = connection.execute(f"SELECT [{literals([nasty, 'z'])}]").fetchall()
        [[name, *_]] = connection.execute(f"DESCRIBE SELECT 1 AS {quoted(nasty)}").fetchall()
    assert (text, both, name) == (nasty, [nasty, "z"], nasty)
