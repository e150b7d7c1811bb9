"""A sample from the beacon to the verdict: what an honest node opens holds, anything else is found."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import enterprise_node.commitments
import enterprise_node.late
from accounting.leaves import leaves_sql
from auditor.findings import Verdict
from auditor.sample_check import check_sample
from auditor.sample_outcome import Outcome, SampleCheck
from auditor.sampling import make_challenge
from enterprise_node.app import App
from enterprise_node.late import LateRecords
from enterprise_node.openings import open_challenge
from enterprise_node.reductions import Vector
from enterprise_node.rehearsal import write_exact
from privacy import beacon, checkpoint, codec, envelope
from privacy.envelope import Kind
from privacy.openings import OPENING_FILE, OpenedLeaf, Opening
from privacy.sampling import Challenge
from privacy.standing import HUB_ID, Role
from privacy.sum_tree import SumTree
from protos.epochs import Epoch
from protos.problems import Conflict, Malformed, Refused, Unavailable, Unverified
from protos.v1 import books_pb2, commitment_pb2
from runtime.log_reader import FolderLog
from runtime.pack_files import load_pack
from tests.simulator import beacon_dealing
from tests.unit.auditor.test_cli import run
from tests.unit.enterprise_node.simulated_hub import PACKS, SimulatedHub, open_node, write_home
from tests.unit.enterprise_node.simulators import ENTERPRISE, ORIGIN, Federation, signing_key
from tests.unit.enterprise_node.test_commitments import ASKED, no_noise

DECEMBER = Epoch(202012)
PACK = load_pack(PACKS / "trv.shared_bike" / "1")
DETECT, CONFIDENCE = Fraction(1, 10), Fraction(19, 20)
DRAWS = 29


def from_hub(hub: SimulatedHub, kind: Kind, message: Any) -> None:
    chain = hub.state.chain(Role.HUB, HUB_ID)
    message.header.CopyFrom(
        envelope.header(
            ORIGIN, HUB_ID, sequence=chain.next_sequence, previous=chain.head, issued_at=1_700_000_000
        )
    )
    hub.submit(envelope.sign(codec.encode(message), kind, [signing_key("hub")]), [])


def close(hub: SimulatedHub) -> None:
    size = hub.state.size
    message = books_pb2.EpochClose(epoch=DECEMBER, log_size=size, log_root=hub.state.root())
    message.accounts_root = bytes(32)
    from_hub(hub, Kind.EPOCH_CLOSE, message)


def draw_beacon(hub: SimulatedHub) -> None:
    dealt, note = beacon_dealing(), hub.log.checkpoint()
    message = commitment_pb2.Beacon(
        epoch=DECEMBER, key_id=beacon.key_id(dealt.commitments[0]), checkpoint=note
    )
    text = beacon.beacon_input(ORIGIN, DECEMBER, checkpoint.parse_note(note).text)
    for share in dealt.shares[:2]:
        part = beacon.evaluate(share, text, random.Random(1).randbytes)
        message.parts.add(index=part.index, evaluated=part.evaluated, proof=part.proof)
    from_hub(hub, Kind.BEACON, message)


@dataclasses.dataclass
class Premises:
    """A node that has released, and what an auditor brings and is handed."""

    folder: Path
    hub: SimulatedHub
    app: App
    trust_root: Path
    counter: int = 0

    @property
    def bundle(self) -> FolderLog:
        return FolderLog(self.folder / "bundle")

    @property
    def exact(self) -> Path:
        return self.folder / "exact.json"

    def challenge(self, discrepancies: int = 0) -> Challenge:
        return make_challenge(
            self.bundle,
            self.trust_root,
            ENTERPRISE,
            DECEMBER,
            detect=DETECT,
            confidence=CONFIDENCE,
            discrepancies=discrepancies,
        )

    def opened(self, challenge: Challenge | None = None) -> Path:
        self.counter += 1
        folder = self.folder / f"opened-{self.counter}"
        open_challenge(self.app, (challenge or self.challenge()).encode(), folder)
        return folder

    def checked(self, opened: Path, **changes: Any) -> Outcome:
        return check_sample(opened, self.bundle, self.trust_root, changes.pop("exact", self.exact), **changes)


def premises(folder: Path, federation: Federation) -> Premises:
    hub = SimulatedHub(federation)
    hub.publish_policy(PACK, **ASKED)
    write_home(folder / "node")
    app = open_node(folder / "node", federation, hub, draw=no_noise)
    app.pipeline.run([DECEMBER])
    close(hub)
    draw_beacon(hub)
    app.pipeline.settle()
    hub.log.write(folder / "bundle")
    trust_root = folder / "trust-root"
    trust_root.write_bytes(federation.root_envelope)
    made = Premises(folder, hub, app, trust_root)
    write_exact(app, DECEMBER, made.exact)
    return made


@pytest.fixture(scope="module")
def federation() -> Iterator[Federation]:
    with Federation.build() as built:
        yield built


@pytest.fixture(scope="module")
def honest(federation: Federation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Premises]:
    made = premises(tmp_path_factory.mktemp("honest"), federation)
    yield made
    made.app.close()


def found(outcome: Outcome) -> set[SampleCheck]:
    return {check for check, _ in outcome.findings}


def test_an_honest_node_passes_and_what_is_excluded_is_said(honest: Premises) -> None:
    challenge, opened = honest.challenge(), honest.opened()
    assert len(challenge.draws) == DRAWS
    outcome = honest.checked(opened)
    assert outcome.verdict is Verdict.PASS, list(outcome.lines())
    assert (outcome.hits, outcome.more) == (0, 0)
    assert outcome.excluded is not None
    assert outcome.excluded <= DETECT
    assert "排除" in "\n".join(outcome.lines())


def test_exactly_the_leaves_drawn_are_opened_and_only_their_owner_reads_them(honest: Premises) -> None:
    opened = honest.opened()
    assert sorted(path.name for path in opened.iterdir()) == ["challenge.json", OPENING_FILE]
    for path in [opened, *opened.iterdir()]:
        assert path.stat().st_mode & 0o077 == 0
    opening = Opening.decode((opened / OPENING_FILE).read_bytes())
    trips = {record["record"] for leaf in opening.leaves for record in leaf.records}
    assert len(trips) == len(opening.leaves) < 20
    assert b"138000000" not in (opened / OPENING_FILE).read_bytes()
    sent = len(honest.app.journal.entries())
    honest.opened()
    assert len(honest.app.journal.entries()) == sent


def test_without_the_exact_figures_statements_are_not_checked(honest: Premises) -> None:
    outcome = honest.checked(honest.opened(), exact=None)
    assert outcome.verdict is Verdict.UNCHECKED
    assert not outcome.findings


def test_a_challenge_that_does_not_follow_from_the_beacon_opens_nothing(honest: Premises) -> None:
    asked = honest.challenge()
    chosen = dataclasses.replace(asked, draws=(0, *asked.draws[1:]))
    with pytest.raises(Unverified, match="do not follow"):
        honest.opened(chosen)
    for other in ({"enterprise_id": "another"}, {"origin": "another.example/log"}):
        with pytest.raises(Refused):
            honest.opened(dataclasses.replace(asked, **other))  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        honest.opened(dataclasses.replace(asked, epoch=Epoch(202101)))
    with pytest.raises(Conflict):
        open_challenge(honest.app, asked.encode(), honest.folder)
    opened = honest.opened()
    (opened / "challenge.json").write_bytes(chosen.encode())
    with pytest.raises(Unverified):
        honest.checked(opened)


def changed_leaf(change: Callable[[OpenedLeaf], OpenedLeaf]) -> Callable[[Opening], Opening]:
    def changed(opening: Opening) -> Opening:
        return dataclasses.replace(opening, leaves=(change(opening.leaves[0]), *opening.leaves[1:]))

    return changed


def longer(leaf: OpenedLeaf) -> OpenedLeaf:
    return dataclasses.replace(leaf, records=tuple({**one, "distance": 9_999} for one in leaf.records))


def inflated(leaf: OpenedLeaf) -> OpenedLeaf:
    return dataclasses.replace(leaf, leaf=dataclasses.replace(leaf.leaf, plus=leaf.leaf.plus + 1))


def of_another_slot(leaf: OpenedLeaf) -> OpenedLeaf:
    return dataclasses.replace(leaf, leaf=dataclasses.replace(leaf.leaf, slot=leaf.leaf.slot + 1))


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda one: dataclasses.replace(one, salt=bytes(32)), SampleCheck.COMMITMENT),
        (
            lambda one: dataclasses.replace(one, root=dataclasses.replace(one.root, plus=one.root.plus + 1)),
            SampleCheck.COMMITMENT,
        ),
        (lambda one: dataclasses.replace(one, enterprise_id="another"), SampleCheck.COMMITMENT),
        (lambda one: dataclasses.replace(one, leaves=one.leaves[1:]), SampleCheck.PATHS),
        (changed_leaf(inflated), SampleCheck.PATHS),
        (changed_leaf(of_another_slot), SampleCheck.PATHS),
        (changed_leaf(lambda one: dataclasses.replace(one, exact_grams=1)), SampleCheck.STATEMENTS),
        (changed_leaf(longer), SampleCheck.RECORDS),
        (changed_leaf(lambda one: dataclasses.replace(one, records=())), SampleCheck.RECORDS),
        (changed_leaf(lambda one: dataclasses.replace(one, salt=bytes(16))), SampleCheck.RECORDS),
    ],
)
def test_whatever_is_changed_in_an_opening_is_found(
    honest: Premises, change: Callable[[Opening], Opening], check: SampleCheck
) -> None:
    opened = honest.opened()
    path = opened / OPENING_FILE
    path.write_bytes(change(Opening.decode(path.read_bytes())).encode())
    outcome = honest.checked(opened)
    assert outcome.verdict is Verdict.FINDINGS
    assert check in found(outcome)


def test_statements_of_another_release_are_found(honest: Premises, tmp_path: Path) -> None:
    data = json.loads(honest.exact.read_text())
    data["vectors"]["statement/rides"] = [grams + 1 for grams in data["vectors"]["statement/rides"]]
    other = tmp_path / "exact.json"
    other.write_text(json.dumps(data))
    outcome = honest.checked(honest.opened(), exact=other)
    assert found(outcome) == {SampleCheck.STATEMENTS}
    assert outcome.excluded is None


def test_a_class_that_another_enterprise_records_is_found(honest: Premises) -> None:
    opened = honest.opened()
    leaf = Opening.decode((opened / OPENING_FILE).read_bytes()).leaves[0].leaf
    outcome = honest.checked(opened, excluded=frozenset({(leaf.slot, PACK.overlap_class)}))
    assert found(outcome) == {SampleCheck.SELECTION}
    assert outcome.hits > 0
    assert honest.checked(opened, excluded=frozenset({(leaf.slot, "OC-OTHER")})).verdict is Verdict.PASS


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[" * 50_000, b'{"form": "cgsp-opening-1", "leaves": [1]}', b"\xff"]
)
def test_what_is_no_opening_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        Opening.decode(data)


EXTRA_MG = 100_000


def overstating(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a node add 100 g to every ride day, in leaves and statements alike."""

    def more(*arguments: Any) -> str:
        return f"SELECT person, day, plus + {EXTRA_MG} AS plus, minus FROM ({leaves_sql(*arguments)}) AS o"

    honestly = LateRecords.vector

    def vector(self: LateRecords, *arguments: Any) -> Vector:
        persons, grams = honestly(self, *arguments)
        return Vector(persons, np.where(grams > 0, grams + 2 * EXTRA_MG // 1_000, grams))

    monkeypatch.setattr(enterprise_node.commitments, "leaves_sql", more)
    monkeypatch.setattr(enterprise_node.late.LateRecords, "vector", vector)


def test_overstated_leaves_are_found_and_the_sample_expands(
    federation: Federation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    overstating(monkeypatch)
    made = premises(tmp_path, federation)
    opened = made.opened()
    outcome = made.checked(opened)
    assert found(outcome) == {SampleCheck.PACKS}
    assert outcome.hits == DRAWS
    assert outcome.is_sound
    assert outcome.excluded == 1
    assert outcome.more > DRAWS
    code = run(
        *("check-sample", str(opened), str(made.folder / "bundle"), "--trust-root", str(made.trust_root)),
        *("--exact", str(made.exact), "--expand", str(tmp_path / "more.json"), "--json"),
    )
    assert code == 1
    assert json.loads(capsys.readouterr().out)["draws_needed"] == outcome.more
    larger = Challenge.decode((tmp_path / "more.json").read_bytes())
    assert len(larger.draws) == outcome.more
    assert larger.draws[:DRAWS] == made.challenge().draws
    assert made.checked(made.opened(larger)).hits == outcome.more
    made.app.close()


def test_a_tree_over_other_slots_than_the_rosters_is_found(
    federation: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honestly = enterprise_node.commitments._Maker.tree

    def elsewhere(self: Any) -> SumTree:
        self._slots = self._slots + 1
        return honestly(self)

    monkeypatch.setattr(enterprise_node.commitments._Maker, "tree", elsewhere)
    made = premises(tmp_path, federation)
    assert SampleCheck.PATHS in found(made.checked(made.opened()))
    made.app.close()


def test_the_commands_exit_as_the_others_do(
    honest: Premises, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = (str(honest.folder / "bundle"), "--trust-root", str(honest.trust_root))
    asked = tmp_path / "challenge.json"
    arguments = ("sample", *source, "--enterprise", ENTERPRISE, "--epoch", "2020-12", "--out", str(asked))
    assert run(*arguments, "--json") == 0
    assert json.loads(capsys.readouterr().out)["draws"] == 299
    opened = honest.opened(Challenge.decode(asked.read_bytes()))
    assert run("check-sample", str(opened), *source, "--exact", str(honest.exact)) == 0
    assert "Overstatement of 0.997%" in capsys.readouterr().out
    assert run("check-sample", str(opened), *source) == 3
    assert run(*arguments, "--detect", "half") != 0
