"""One small federation for all system tests of a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.small_federation import SmallFederation, run_small


@pytest.fixture(scope="session")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallFederation]:
    with run_small(tmp_path_factory.mktemp("federation") / "home", kill=True) as small:
        yield small
