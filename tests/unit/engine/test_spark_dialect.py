"""The one text, spelled for Spark; words between quotes stay what they are."""

from __future__ import annotations

import pytest

from engine.spark_dialect import spark_text


@pytest.mark.parametrize(
    ("sql", "spelled"),
    [
        ("SELECT (a * 3) // 7 AS x", "SELECT (a * 3) div 7 AS x"),
        ("-((-m.total + 6) // 7)", "-((-m.total + 6) div 7)"),
        ("CAST(a AS BIGINT) // 2 + b // 3", "CAST(a AS BIGINT) div 2 + b div 3"),
        ("CAST('x' AS VARCHAR)", "CAST('x' AS STRING)"),
        ("CAST(x AS BLOB)", "CAST(x AS BINARY)"),
        ("WHERE k = 'a // VARCHAR BLOB'", "WHERE k = 'a // VARCHAR BLOB'"),
        ("WHERE k = 'it''s // ' AND a // 2 = 1", "WHERE k = 'it''s // ' AND a div 2 = 1"),
        ("WHERE k = 'a\\nb\\' AND a // 2 = 1", "WHERE k = 'a\\\\nb\\\\' AND a div 2 = 1"),
        ('SELECT "a // b" // 2', 'SELECT "a // b" div 2'),
        ("SELECT varchar_x, BLOBS FROM t", "SELECT varchar_x, BLOBS FROM t"),
    ],
)
def test_only_the_spellings_change(sql: str, spelled: str) -> None:
    assert spark_text(sql) == spelled
