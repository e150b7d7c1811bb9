"""node.toml chooses what draws noise; whichever it is, the distribution is the same and the claim too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from enterprise_node.configuration import SamplerName, load_configuration
from enterprise_node.samplers import sampler
from privacy import noise
from protos.epochs import Epoch
from protos.problems import Malformed
from runtime.pack_files import load_pack
from tests.unit.enterprise_node.simulated_hub import PACKS, SimulatedHub, open_node, write_home
from tests.unit.enterprise_node.simulators import Federation
from tests.unit.enterprise_node.test_anchors import released
from tests.unit.privacy.test_digits import probability

DECEMBER = Epoch(202012)
DRAWS = 100_000


@pytest.fixture
def federation() -> Iterator[Federation]:
    with Federation.build() as built:
        yield built


def home_with(folder: Path, name: str) -> Path:
    write_home(folder)
    text = (folder / "node.toml").read_text()
    (folder / "node.toml").write_text(f'{text}\n[noise]\nsampler = "{name}"\n')
    return folder


@pytest.mark.statistical
@pytest.mark.parametrize("scale", [5, 1000])
def test_all_samplers_have_one_distribution(scale: int) -> None:
    """Two-sample chi-square: false alarm 1e-9 a scale; a scale 15 % off is rejected below 1e-20."""
    zeros = np.zeros(DRAWS, dtype=np.int64)
    names: tuple[SamplerName, ...] = get_args(SamplerName)
    first, *others = (sampler(name)(zeros, scale) for name in names)
    assert others
    assert all(probability(other, first) > 1e-9 for other in others)
    assert all(probability(sampler(name)(zeros, round(scale * 1.2)), first) < 1e-20 for name in names)


def test_opendp_is_the_default_and_other_names_are_refused(tmp_path: Path) -> None:
    write_home(tmp_path / "plain")
    assert load_configuration(tmp_path / "plain").noise.sampler == "opendp"
    with pytest.raises(Malformed, match="sampler"):
        load_configuration(home_with(tmp_path / "other", "numpy"))


def test_a_release_is_drawn_with_the_sampler_named(
    tmp_path: Path, federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(values: NDArray[np.int64], scale: int) -> NDArray[np.int64]:
        raise AssertionError("OpenDP was asked to draw")

    hub = SimulatedHub(federation)
    hub.publish_policy(load_pack(PACKS / "trv.shared_bike" / "1"))
    monkeypatch.setattr(noise, "discrete_laplace", broken)
    app = open_node(home_with(tmp_path / "node", "digits"), federation, hub)
    app.pipeline.run([DECEMBER])
    app.close()
    message, [rows] = released(hub, DECEMBER)
    assert message.statements[0].claim.scale == 1000
    assert len(set(rows)) > 20
