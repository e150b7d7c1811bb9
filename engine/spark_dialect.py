"""The one text, spelled for Spark: everything else in it means the same on both engines.

`//` stands between operands that are never negative, where Spark's `div` gives the same integer. What is
between quotes stays as it is; the session reads both kinds as the standard does (`spark_settings`).
"""

from __future__ import annotations

import re

_SPELLINGS = {"//": "div", "VARCHAR": "STRING", "BLOB": "BINARY"}
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|//|\bVARCHAR\b|\bBLOB\b""")


def spark_text(sql: str) -> str:
    """Give the text as Spark reads it."""
    return _TOKEN.sub(lambda found: _SPELLINGS.get(found.group(), found.group()), sql)
