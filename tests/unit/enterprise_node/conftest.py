"""A federation without processes, a simulated hub whose policy names one pack, a home beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.pack_files import load_pack
from tests.unit.enterprise_node.simulated_hub import PACKS, SimulatedHub, write_home
from tests.unit.enterprise_node.simulators import Federation


@pytest.fixture(scope="module")
def federation() -> Iterator[Federation]:
    with Federation.build() as built:
        yield built


@pytest.fixture
def hub(federation: Federation) -> SimulatedHub:
    started = SimulatedHub(federation)
    started.publish_policy(load_pack(PACKS / "trv.shared_bike" / "1"))
    return started


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_home(tmp_path / "node")
    return tmp_path / "node"
