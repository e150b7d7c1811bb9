"""An engine for the tests of a module: DuckDB, as a node opens it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.engine import Engine
from tests.unit.accounting import samples


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with samples.new_engine() as opened:
        yield opened
