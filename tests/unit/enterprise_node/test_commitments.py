"""Before it draws a node commits to exactly what it then releases, and can open it later as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from accounting.leaves import record_root, record_text
from enterprise_node.app import App
from enterprise_node.commitments import Commitments
from enterprise_node.erase import erase
from privacy import merkle_sum
from privacy.envelope import Kind, open_envelope
from privacy.merkle_sum import evidence_hash, open_leaf
from protos.epochs import Epoch
from protos.problems import Conflict, Refused
from protos.v1.commitment_pb2 import Commitment
from runtime.pack_files import load_pack
from tests.unit.enterprise_node.simulated_hub import PACKS, SimulatedHub, open_node
from tests.unit.enterprise_node.simulators import ENTERPRISE, Federation

DECEMBER, JANUARY = Epoch(202012), Epoch(202101)
PACK = load_pack(PACKS / "trv.shared_bike" / "1")
ASKED: dict[str, Any] = {"commitment_required": True, "commitment_deadline_days": 9_999}


@pytest.fixture
def hub(federation: Federation) -> SimulatedHub:
    started = SimulatedHub(federation)
    started.publish_policy(PACK, **ASKED)
    return started


def no_noise(values: NDArray[np.int64], scale: int) -> NDArray[np.int64]:
    return values


def kinds(hub: SimulatedHub) -> list[Kind]:
    return [open_envelope(data).kind for data in hub.log.list]


def logged(hub: SimulatedHub) -> Commitment:
    [data] = [data for data in hub.log.list if open_envelope(data).kind is Kind.COMMITMENT]
    return open_envelope(data).parse(Commitment)


def statement(app: App, epoch: Epoch) -> list[int]:
    policy = app.pipeline.following.state.policies[-1]
    return [int(grams) for grams in app.pipeline.releaser.exact(epoch, policy).vectors["statement/rides"]]


def add_trip(home: Path, trip: str) -> None:
    with (home / "trips.csv").open("a") as file:
        file.write(trip + "\n")


def test_a_node_commits_after_its_reservation_and_before_its_release(
    home: Path, federation: Federation, hub: SimulatedHub
) -> None:
    app = open_node(home, federation, hub, draw=no_noise)
    app.pipeline.run([DECEMBER])
    assert kinds(hub)[-3:] == [Kind.RESERVATION, Kind.COMMITMENT, Kind.RELEASE]
    commitments = app.pipeline.commitments
    tree, secrets = commitments.tree(DECEMBER), commitments.secrets(DECEMBER)
    assert merkle_sum.commitment(secrets.root_salt, tree.root) == logged(hub).commitment
    # Ten riders rode on two days each; every active slot has its place, the idle ones an empty one.
    assert (len(tree.leaves.place), tree.places) == (20, 30)
    assert (tree.net(0) // 1000).tolist() == statement(app, DECEMBER)
    assert tree.root.minus == 0
    app.close()


def records_of(commitments: Commitments, app: App, number: int) -> list[str]:
    [((_, code), path)] = commitments.record_files(DECEMBER).items()
    activity = app.workspace.activities.registry[code]
    rows = app.workspace.engine.rows(
        f"SELECT {', '.join(activity.columns())} FROM read_parquet('{path}') WHERE number = {number}"
    )
    return [record_text(activity, dict(zip(activity.columns(), row, strict=True))) for row in rows]


def test_every_leaf_opens_with_its_records(home: Path, federation: Federation, hub: SimulatedHub) -> None:
    app = open_node(home, federation, hub, draw=no_noise)
    app.pipeline.run([DECEMBER])
    commitments = app.pipeline.commitments
    tree, secrets = commitments.tree(DECEMBER), commitments.secrets(DECEMBER)
    for number in range(len(tree.leaves.place)):
        leaf = tree.leaf(number)
        texts = records_of(commitments, app, number)
        assert len(texts) == 1
        salt = secrets.leaf_salt(leaf.slot, leaf.measure, leaf.day)
        assert leaf.evidence == evidence_hash(salt, record_root(texts), [f"{PACK.id}@{PACK.version}"])
        assert open_leaf(leaf, *tree.paths(number), measures=1).root == tree.root
    for path in (home / "commitments").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
    app.close()


class Killed(BaseException):
    """The process ends here."""


def test_what_arrives_between_commitment_and_draw_is_in_neither(
    home: Path, federation: Federation, hub: SimulatedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_node(home, federation, hub, draw=no_noise)

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    monkeypatch.setattr(app.pipeline.releaser, "draw", die)
    with pytest.raises(Killed):
        app.pipeline.run([DECEMBER])
    before = app.pipeline.commitments.tree(DECEMBER)
    app.close()
    add_trip(home, "late,13800000015,2020-12-20 08:00:00,9000")
    app = open_node(home, federation, hub, draw=no_noise)
    app.pipeline.run([DECEMBER])
    assert kinds(hub).count(Kind.COMMITMENT) == 1
    assert (before.net(0) // 1000).tolist() == statement(app, DECEMBER)
    app.pipeline.run([JANUARY])
    # The next release carries it, as a leaf of its own day.
    late = app.pipeline.commitments.tree(JANUARY)
    [day] = [int(day) for day in late.leaves.day if day < 18_628]
    assert day == 18_616
    assert (late.net(0) // 1000).tolist() == statement(app, JANUARY)
    app.close()


def test_nothing_is_drawn_before_the_log_shows_the_commitment(
    home: Path, federation: Federation, hub: SimulatedHub
) -> None:
    app = open_node(home, federation, hub, draw=no_noise)
    pipeline = app.pipeline
    pipeline.ingest()
    pipeline.settle()
    pipeline.enrol(DECEMBER)
    policy = hub.state.policies[-1]
    pipeline.releaser.reserve(DECEMBER, policy)
    pipeline.settle()
    with pytest.raises(Refused, match="commitment"):
        pipeline.releaser.draw(DECEMBER, policy)
    pipeline.commitments.commit(DECEMBER, policy)
    with pytest.raises(Refused, match="commitment"):
        pipeline.releaser.draw(DECEMBER, policy)
    pipeline.settle()
    pipeline.releaser.draw(DECEMBER, policy)
    app.close()


def test_a_lost_tree_is_made_again_from_the_same_records_and_from_no_others(
    home: Path, federation: Federation, hub: SimulatedHub
) -> None:
    app = open_node(home, federation, hub, draw=no_noise)
    app.pipeline.run([DECEMBER])
    commitments, policy = app.pipeline.commitments, hub.state.policies[-1]
    leaves = commitments.folder(DECEMBER) / "leaves.npz"
    leaves.unlink()
    commitments.commit(DECEMBER, policy)
    assert commitments.kept(DECEMBER, logged(hub).commitment)
    leaves.unlink()
    add_trip(home, "late,13800000015,2020-12-20 08:00:00,9000")
    app.pipeline.ingest()
    with pytest.raises(Conflict, match="does not have any more"):
        commitments.commit(DECEMBER, policy)
    assert kinds(hub).count(Kind.COMMITMENT) == 1
    app.close()


def test_erasing_a_person_takes_the_copies_of_their_records(
    home: Path, federation: Federation, hub: SimulatedHub
) -> None:
    app = open_node(home, federation, hub, draw=no_noise)
    app.pipeline.run([DECEMBER])
    number = app.workspace.persons.find("13800000003")
    assert number is not None
    [path] = app.pipeline.commitments.record_files(DECEMBER).values()
    count = f"SELECT count(*) FILTER (person = {number}), count(*) FROM read_parquet('{path}')"
    assert app.workspace.engine.rows(count) == [(2, 20)]
    erase(app.workspace, number)
    assert app.workspace.engine.rows(count) == [(0, 18)]
    assert app.pipeline.commitments.kept(DECEMBER, logged(hub).commitment)
    app.close()


def test_a_policy_that_does_not_ask_gets_no_commitment(
    home: Path, federation: Federation, hub: SimulatedHub
) -> None:
    hub.publish_policy(PACK)
    app = open_node(home, federation, hub, draw=no_noise)
    app.pipeline.run([DECEMBER])
    assert Kind.COMMITMENT not in kinds(hub)
    assert hub.state.commitments(ENTERPRISE) == {}
    app.close()
