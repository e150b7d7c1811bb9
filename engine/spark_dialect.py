"""The one text, spelled for Spark: everything else in it means the same on both engines.

`//` stands between operands that are never negative, where Spark's `div` gives the same integer. Between
quotes a backslash is a backslash, which Spark reads only if it is doubled.
"""

from __future__ import annotations

import re

_SPELLINGS = {"//": "div", "VARCHAR": "STRING", "BLOB": "BINARY"}
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|//|\bVARCHAR\b|\bBLOB\b""")


def spark_text(sql: str) -> str:
    """Give the text as Spark reads it."""
    return _TOKEN.sub(lambda found: _spelled(found.group()), sql)


def _spelled(token: str) -> str:
    if token.startswith("'"):
        return token.replace("\\", "\\\\")
    return _SPELLINGS.get(token, token)
