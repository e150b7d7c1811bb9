"""An empirical audit through the whole node: its lower bound stays under the claim and finds planted faults.

Raw CSV goes through sources, packs, clamps, pseudonyms, draw, envelope and outbox; the audit sees the
released bytes alone. False alarm of each `within_claim`: at most 1e-5 (Theorem 5.2 of the paper, exact).
A planted fault has a true epsilon of 1 or more where 1/2 is claimed; the bound then lies some 0.8 ± 0.06 (1.2
for the clamp), so that each `beyond_claim` fails with a probability below 1e-5.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import enterprise_node.late
import enterprise_node.release
from enterprise_node import terms
from enterprise_node.reductions import MeasureSpec
from enterprise_node.release import Step
from privacy import noise, one_run
from privacy.one_run import Outcome, View
from privacy.policy import Measure
from protos.epochs import Epoch
from protos.problems import Conflict, Problem, Refused, Unavailable
from runtime.pack_files import load_pack
from tests.privacy.canary_node import (
    CanaryNode,
    Coins,
    Grams,
    Killed,
    flip_coins,
    write_meters,
    write_riders,
)
from tests.unit.enterprise_node.simulated_hub import PACKS, SimulatedHub
from tests.unit.enterprise_node.simulators import Federation

pytestmark = pytest.mark.statistical

CANARIES = 5_000
FALSE_ALARM = 1e-5
CLAIM = Fraction(1, 2)
DAY_CLAMP, SCALE = 500, 1000
RIGHT, HALVED, UNCLAMPED, REDRAWN = Epoch(202012), Epoch(202101), Epoch(202102), Epoch(202103)


def within_claim(outcome: Outcome) -> bool:
    return outcome.epsilon_lower <= CLAIM


def beyond_claim(outcome: Outcome) -> bool:
    return outcome.epsilon_lower > CLAIM


def audit(views: list[View], coins: Coins) -> Outcome:
    return one_run.audit(views, coins, false_alarm=FALSE_ALARM)


def rides(released: list[Grams]) -> list[View]:
    return [View(grams, DAY_CLAMP, SCALE) for grams in released]


@pytest.fixture(scope="module")
def federation() -> Iterator[Federation]:
    with Federation.build() as built:
        yield built


@pytest.fixture(scope="module")
def coins() -> dict[Epoch, Coins]:
    return {epoch: flip_coins(CANARIES) for epoch in (RIGHT, HALVED, UNCLAMPED, REDRAWN)}


@pytest.fixture(scope="module")
def riders(
    federation: Federation, coins: dict[Epoch, Coins], tmp_path_factory: pytest.TempPathFactory
) -> CanaryNode:
    """A bike share that has released its first epoch as it should."""
    home = tmp_path_factory.mktemp("riders") / "node"
    write_riders(home, coins)
    hub = SimulatedHub(federation)
    hub.publish_policy(load_pack(PACKS / "trv.shared_bike" / "1"))
    node = CanaryNode(home, federation, hub, CANARIES)
    node.run(RIGHT)
    return node


def test_the_bound_of_a_right_node_is_under_the_claim(riders: CanaryNode, coins: dict[Epoch, Coins]) -> None:
    outcome = audit(rides(riders.released(RIGHT)), coins[RIGHT])
    assert within_claim(outcome)
    # It is no empty bound: a release without any influence of the canaries gives 0 but once in 1e5.
    assert outcome.epsilon_lower > 0


def test_an_enrolled_but_idle_person_is_as_hard_to_tell_as_claimed(
    riders: CanaryNode, coins: dict[Epoch, Coins]
) -> None:
    """Those left out have no record in any file of that month, but a row like everybody's."""
    [grams] = riders.released(RIGHT)
    assert grams.size == CANARIES
    assert len(set(grams.tolist())) > CANARIES // 10
    active, idle = grams[coins[RIGHT]], grams[~coins[RIGHT]]
    # The share above any threshold differs by at most e^(1/2): six standard deviations, false alarm 1e-8.
    for threshold in (-2_000, -500, 0, 250, 500, 1_000, 2_000):
        for more, less in ((active > threshold, idle > threshold), (idle <= threshold, active <= threshold)):
            slack = 6 * np.sqrt(more.mean() / more.size + np.exp(1) * less.mean() / less.size)
            assert more.mean() <= np.exp(0.5) * less.mean() + slack


def test_halved_noise_is_caught(riders: CanaryNode, coins: dict[Epoch, Coins]) -> None:
    riders.run(HALVED, draw=lambda values, scale: noise.discrete_laplace(values, scale // 2))
    assert beyond_claim(audit(rides(riders.released(HALVED)), coins[HALVED]))


def test_a_skipped_clamp_is_caught(
    riders: CanaryNode, coins: dict[Epoch, Coins], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unclamped(measure: Measure) -> MeasureSpec:
        return dataclasses.replace(terms.measure_spec(measure), day_clamp_grams=1_000_000)

    monkeypatch.setattr(enterprise_node.late, "measure_spec", unclamped)
    riders.run(UNCLAMPED)
    assert beyond_claim(audit(rides(riders.released(UNCLAMPED)), coins[UNCLAMPED]))


def test_a_second_draw_on_retry_is_caught(riders: CanaryNode, coins: dict[Epoch, Coins]) -> None:
    """A backup taken before the draw is started again while the log is kept from showing the release."""

    def stop(step: Step, epoch: Epoch) -> None:
        if step is Step.COMPUTING:
            raise Killed

    with riders.opened(on_step=stop) as app, pytest.raises(Killed):
        app.pipeline.run([REDRAWN])
    backup = riders.copy("backup")
    riders.hub.is_merging = False
    with pytest.raises(Unavailable):
        riders.run(REDRAWN)
    with riders.opened(home=backup) as app, pytest.raises((Conflict, Refused, Unavailable)):
        app.pipeline.run([REDRAWN])
    twice = riders.released(REDRAWN)
    assert len(twice) == 2
    assert beyond_claim(audit(rides(twice), coins[REDRAWN]))
    # One of the two alone is what was claimed.
    assert within_claim(audit(rides(twice[:1]), coins[REDRAWN]))
    riders.hub.is_merging = True
    riders.hub.merge()
    # As soon as the log shows the release, the backup refuses.
    with riders.opened(home=backup) as app, pytest.raises(Problem):
        app.pipeline.run([REDRAWN])
    assert len(riders.released(REDRAWN)) == 2


# A day of 12 kWh at 530.6 g lowers its own month's saving and raises the next year's by 6,367 g.
DAY_SAVING = 6_367
OWN_EPOCHS = (Epoch(202012), Epoch(202112))
RIGHT_EPOCHS = (Epoch(202201), Epoch(202301))


def own_history_views(node: CanaryNode, epochs: tuple[Epoch, Epoch], scale: int) -> list[View]:
    [before], [after] = (node.released(epoch) for epoch in epochs)
    return [View(before, -DAY_SAVING, scale), View(after, DAY_SAVING, scale)]


def test_an_understated_reach_of_an_own_history_pack_is_caught(
    federation: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = {OWN_EPOCHS[0]: flip_coins(CANARIES), RIGHT_EPOCHS[0]: flip_coins(CANARIES)}
    pack = load_pack(PACKS / "life.electricity_saving" / "1")
    write_meters(tmp_path / "node", days)
    hub = SimulatedHub(federation)
    clamps: dict[str, Any] = {
        "day_clamp_grams": 0,
        "month_clamp_grams": 30_000,
        "sum_reach_grams": 90_000,
        "count_reach": 8,
    }
    # One release of two is forgotten: half the reach, half the noise.
    understated = DAY_SAVING + 1
    hub.publish_policy(pack, reach_grams=understated, **clamps)
    node = CanaryNode(tmp_path / "node", federation, hub, CANARIES)
    with pytest.raises(Refused, match="reach"):
        node.run(OWN_EPOCHS[0])
    with monkeypatch.context() as faulty:
        faulty.setattr(enterprise_node.release, "check_policy", lambda *_: None)
        node.run(*OWN_EPOCHS)
    wrong = own_history_views(node, OWN_EPOCHS, 2 * understated)
    assert beyond_claim(audit(wrong, days[OWN_EPOCHS[0]]))

    later: dict[str, Any] = {"later": {12: understated}, "sum_later": {12: 60_000}}
    hub.publish_policy(pack, reach_grams=2 * understated, first_epoch=RIGHT_EPOCHS[0], **later, **clamps)
    node.run(*RIGHT_EPOCHS)
    right = own_history_views(node, RIGHT_EPOCHS, 4 * understated)
    assert within_claim(audit(right, days[RIGHT_EPOCHS[0]]))
