"""The auditor's two commands against a real node: right ones pass, wrong noise is found, amounts stay.

False alarms: 1e-4 for the self-test (its own figure); the residuals are judged at 1e-6 here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor import residuals, selftest
from auditor.findings import Verdict
from auditor.residuals import Verdicts
from enterprise_node.rehearsal import read_policy, rehearse, write_exact
from enterprise_node.store.outward import SCHEMAS
from enterprise_node.workspace import open_workspace
from privacy import noise
from protos.epochs import Epoch
from protos.problems import Malformed, Refused, Unavailable, Unverified
from protos.v1.policy_pb2 import Ratio
from runtime.pack_files import load_pack
from tests.privacy.canary_node import CanaryNode, flip_coins, write_riders
from tests.unit.enterprise_node.simulated_hub import PACKS, SimulatedHub
from tests.unit.enterprise_node.simulators import Federation

pytestmark = pytest.mark.statistical

DECEMBER, JANUARY = Epoch(202012), Epoch(202101)
CANARIES = 2_000
NODE = f"{sys.executable} -m tests.privacy.node_program"


@pytest.fixture(scope="module")
def federation() -> Iterator[Federation]:
    with Federation.build() as built:
        yield built


def test_selftest_drives_the_program_and_states_bound_and_claim() -> None:
    outcome = selftest.selftest(NODE, 4_000)
    assert outcome.verdict is Verdict.PASS
    assert 0 < outcome.outcome.epsilon_lower <= outcome.claim == 0.5 < outcome.detectable < 1.0
    assert outcome.to_json()["verdict"] == "PASS"
    assert "0.5 claimed" in next(outcome.lines())


@pytest.mark.parametrize("fault", ["halved", "unclamped"])
def test_selftest_finds_a_program_with_a_fault(fault: str) -> None:
    outcome = selftest.selftest(f"{NODE} {fault}", 5_000)
    assert outcome.verdict is Verdict.FINDINGS
    assert outcome.outcome.epsilon_lower > 0.5


def test_selftest_that_cannot_run_says_so() -> None:
    with pytest.raises(Unavailable, match="could not be run"):
        selftest.selftest("/nonexistent/cgsp-node", 1_000)
    with pytest.raises(Unavailable, match="ended with"):
        selftest.selftest(f"{NODE} broken", 1_000)
    with pytest.raises(Malformed):
        selftest.selftest(NODE, 10)


def test_a_rehearsal_in_a_home_that_has_joined_is_refused(tmp_path: Path) -> None:
    selftest.write_home(tmp_path, flip_coins(1_000))
    (tmp_path / "connection.json").write_text("{}")
    workspace = open_workspace(tmp_path, schemas=SCHEMAS)
    with pytest.raises(Refused, match="joined"):
        rehearse(workspace, DECEMBER, read_policy(tmp_path / "policy"), tmp_path / "out")
    workspace.close()
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def node(federation: Federation, tmp_path_factory: pytest.TempPathFactory) -> CanaryNode:
    """A node with a right release and one whose noise is halved, and the log as a bundle."""
    home = tmp_path_factory.mktemp("premises") / "node"
    write_riders(home, {DECEMBER: flip_coins(CANARIES), JANUARY: flip_coins(CANARIES)})
    hub = SimulatedHub(federation)
    half, one = Ratio(numerator=1, denominator=2), Ratio(numerator=1, denominator=1)
    pack = load_pack(PACKS / "trv.shared_bike" / "1")
    hub.publish_policy(pack, anchor_epsilon=half, anchor_month=12, person_day_allowance=one)
    built = CanaryNode(home, federation, hub, CANARIES)
    built.run(DECEMBER)
    built.run(JANUARY, draw=lambda values, scale: noise.discrete_laplace(values, scale // 2))
    hub.log.write(home.parent / "bundle")
    (home.parent / "trust-root").write_bytes(federation.root_envelope)
    return built


def compare(node: CanaryNode, epoch: Epoch, monkeypatch: pytest.MonkeyPatch) -> Verdicts:
    monkeypatch.setattr(residuals, "FALSE_ALARM", 1e-6)
    folder = node.home.parent
    exact = folder / f"exact-{epoch}.json"
    with node.opened() as app:
        assert write_exact(app, epoch, exact) == CANARIES
    assert exact.stat().st_mode & 0o077 == 0
    return residuals.residuals(exact, folder / "bundle", folder / "trust-root")


def test_residuals_of_a_right_release_hold(node: CanaryNode, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = compare(node, DECEMBER, monkeypatch)
    assert verdicts.verdict is Verdict.PASS
    opinion, anchor = verdicts.opinions
    assert (anchor.group, anchor.residuals) == ("anchor/rides", CANARIES)
    assert (opinion.group, opinion.residuals) == ("statement/rides", CANARIES)
    assert 0.1 < opinion.bias_seen < 0.2
    # Verdicts, sizes and limits: nothing in what leaves depends on an amount.
    told = json.dumps(verdicts.to_json()) + "\n".join(verdicts.lines())
    again = compare(node, DECEMBER, monkeypatch)
    assert told == json.dumps(again.to_json()) + "\n".join(again.lines())
    assert {type(value) for group in verdicts.to_json()["groups"] for value in group.values()} <= {
        str,
        int,
        bool,
        float,
    }


def test_residuals_of_halved_noise_do_not(node: CanaryNode, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = compare(node, JANUARY, monkeypatch)
    assert verdicts.verdict is Verdict.FINDINGS
    assert not verdicts.opinions[0].is_to_scale
    assert "scale OFF" in "\n".join(verdicts.lines())


def test_residuals_without_a_release_or_with_a_broken_log_are_refused(
    node: CanaryNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(node, DECEMBER, monkeypatch)
    folder = node.home.parent
    other = json.loads((folder / "exact-202012.json").read_text())
    (tmp_path / "other.json").write_text(json.dumps(other | {"epoch": 202102}))
    with pytest.raises(Unverified, match="no release"):
        residuals.residuals(tmp_path / "other.json", folder / "bundle", folder / "trust-root")
    (tmp_path / "short.json").write_text(json.dumps(other | {"vectors": {"statement/rides": [1, 2]}}))
    with pytest.raises(Malformed):
        residuals.residuals(tmp_path / "short.json", folder / "bundle", folder / "trust-root")
    (tmp_path / "none.json").write_text("[]")
    with pytest.raises(Malformed):
        residuals.residuals(tmp_path / "none.json", folder / "bundle", folder / "trust-root")
    with node.opened() as app, pytest.raises(Refused):
        write_exact(app, Epoch(202102), tmp_path / "out")
