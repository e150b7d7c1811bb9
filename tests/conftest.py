"""How tests are spread over processes: those of one file stay together, as do those that share a federation.

xdist ships no types; its own groups do not work with this pytest, whose node ids cannot be renamed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

from tests.postgres import running_server

# A busy machine makes nothing wrong: examples are counted, not timed.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")

_SHARED = "tests/system/"
# Those on PostgreSQL share one server.
_POSTGRES = "postgres"
# One process runs all that needs the cluster, one the rest, so that each starts one Spark.
_SPARK, _CLUSTER = "tests/spark/", "cluster"
# Runs a federation of its own.
_ALONE = "test_run_killed_outright"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Spread tests by file, but keep the system tests on one worker."""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class Spread(LoadScopeScheduling):  # type: ignore[misc]
        """Groups by who needs the same federation, else by file: what its tests share is made once."""

        def _split_scope(self, nodeid: str) -> str:
            if _POSTGRES in nodeid:
                return _POSTGRES
            if _SPARK in nodeid:
                return _CLUSTER if _CLUSTER in nodeid else _SPARK
            if _ALONE in nodeid:
                return nodeid
            return _SHARED if _SHARED in nodeid else nodeid.split("::")[0]

    return Spread(config, log)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A superuser's connection string to a real server, one for the whole run."""
    with running_server() as dsn:
        yield dsn
