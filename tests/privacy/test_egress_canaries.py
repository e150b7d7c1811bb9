"""Marked raw values are in nothing that leaves a node, on any of its paths; what leaves has one size.

No randomness decides here: a marked value would be found by its bytes, plain, hashed, in hex or base64. A
form of eight random bytes is met by chance in a megabyte with a probability below 1e-10.
"""

from __future__ import annotations

import logging
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from enterprise_node import egress, membership
from enterprise_node.egress import EgressJournal
from enterprise_node.erase import erase
from enterprise_node.outbox import send_deposit, send_join
from enterprise_node.serving import serving, status
from privacy import codec
from privacy.egress import EgressKind
from protos.epochs import Epoch, next_epoch
from protos.problems import Problem
from protos.v1.custodian_pb2 import EvaluateRequest
from runtime import joining
from runtime.identity import Role, certificate_pem
from runtime.joining import JoinToken
from runtime.pack_files import load_pack
from tests.privacy.canary_node import CanaryNode, flip_coins, mobile, write_riders
from tests.system.canaries import needles, search
from tests.unit.enterprise_node.simulated_hub import PACKS, SimulatedHub
from tests.unit.enterprise_node.simulators import ENTERPRISE, ORIGIN, Federation

DECEMBER, JANUARY = Epoch(202012), Epoch(202101)
CANARIES = 40
MARKED_TRIP = "canary-trip-4c1f77"
MARKED_MOBILE = "19912345678"
MARKED_METRES = "23456789"
MARKED_USER = "canary-user-81be02"
MARKED_WRONG = "canary-wrong-start-5d"
MARKED = (MARKED_TRIP, MARKED_MOBILE, MARKED_METRES, MARKED_USER, MARKED_WRONG, mobile(1), mobile(2))


@pytest.fixture(scope="module")
def federation() -> Iterator[Federation]:
    with Federation.build() as built:
        yield built


class Recorder:
    """Keeps the bytes of everything that leaves, by path."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, federation: Federation) -> None:
        self.sent: dict[str, list[bytes]] = defaultdict(list)
        record, recorder = EgressJournal.record, self

        def keep(
            journal: EgressJournal, kind: EgressKind, place: str, parts: Iterable[bytes], **more: Any
        ) -> Any:
            listed = [*parts]
            recorder.sent[kind.value] += [place.encode(), *listed]
            return record(journal, kind, place, listed, **more)

        monkeypatch.setattr(egress.EgressJournal, "record", keep)
        for custodian in federation.custodians:
            evaluate = custodian.Evaluate

            def heard(request: EvaluateRequest, context: Any, evaluate: Any = evaluate) -> Any:
                recorder.sent["orders at custodians"].append(codec.encode(request))
                return evaluate(request, context)

            monkeypatch.setattr(custodian, "Evaluate", heard)

    def write(self, folder: Path) -> None:
        """Write one file a path."""
        folder.mkdir()
        for number, (path, parts) in enumerate(self.sent.items()):
            (folder / f"{number}-{path.replace(' ', '-')}").write_bytes(b"\n".join(parts))


def node_at(home: Path, federation: Federation, coins: Any) -> CanaryNode:
    write_riders(home, {DECEMBER: coins, JANUARY: coins})
    hub = SimulatedHub(federation)
    pack = load_pack(PACKS / "trv.shared_bike" / "1")
    hub.publish_policy(pack, commitment_required=True, commitment_deadline_days=9_999)
    return CanaryNode(home, federation, hub, coins.size)


def plant(home: Path) -> None:
    """Add a marked rider with a good trip, one beyond what is possible, and one without a start."""
    with (home / "riders.csv").open("a") as riders:
        riders.write(f"{MARKED_USER},{MARKED_MOBILE}\n")
    with (home / "trips.csv").open("a") as trips:
        trips.write(f"{MARKED_TRIP},{MARKED_MOBILE},2021-01-06 08:00:00,4321\n")
        trips.write(f"{MARKED_TRIP}-long,{MARKED_MOBILE},2021-01-06 09:00:00,{MARKED_METRES}\n")
        trips.write(f"{MARKED_TRIP}-bad,{MARKED_MOBILE},{MARKED_WRONG},1000\n")


def try_to_join(node: CanaryNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send a request to join to a hub that has gone: it is written down before it is sent."""
    pem = certificate_pem(node.federation.authority.ca_der)
    monkeypatch.setattr(joining, "fetch_authority", lambda *_, **__: pem)
    token = JoinToken(
        hub="127.0.0.1:9",
        ca="00" * 32,
        secret="s" * 43,
        role=Role.NODE,
        id=ENTERPRISE,
        origin=ORIGIN,
        trust_root="",
    )
    key = membership.open_signing_key(node.home, ENTERPRISE)
    with node.opened() as app, pytest.raises(Problem):
        send_join(app.journal, token, key, "127.0.0.1:1")


def test_marked_values_are_on_no_path_out(
    federation: Federation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    recorder = Recorder(monkeypatch, federation)
    node = node_at(tmp_path / "node", federation, flip_coins(CANARIES))
    plant(node.home)
    try_to_join(node, monkeypatch)
    lines: list[str] = []
    with node.opened() as app:
        app.course.tell = lines.append
        app.pipeline.ingest()
        app.pipeline.enrol(JANUARY)
        # Nobody had a slot in December: its answer reports nothing.
        app.pipeline.release(DECEMBER)
        app.pipeline.submit(DECEMBER)
        app.pipeline.run([JANUARY])
        person = app.workspace.persons.find(MARKED_MOBILE)
        assert person is not None
        erase(app.workspace, person)
        app.pipeline.enrol(next_epoch(JANUARY))
        with pytest.raises(Problem):
            send_deposit(app.journal, "http://127.0.0.1:9", ORIGIN, bytes(32))
        with serving(app):
            address = next(line for line in lines if "health" in line).rsplit("http://", 1)[1]
            with urllib.request.urlopen(f"http://{address}/metrics") as answer:
                recorder.sent["metrics"].append(answer.read())
            recorder.sent["node service"].append(codec.encode(status(app)))
    recorder.sent["progress"] += [line.encode() for line in lines]
    recorder.sent["log lines"] += [f"{line.getMessage()} {vars(line)}".encode() for line in caplog.records]
    recorder.sent["standard output"].append("".join(capfd.readouterr()).encode())
    recorder.sent["hub"] += [part for data, bodies in node.hub.received for part in (data, *bodies)]
    # The closed list of what may leave, all of it seen.
    assert {kind.value for kind in EgressKind} <= set(recorder.sent)
    recorder.write(tmp_path / "sent")
    wanted = needles([*MARKED, *(f"cn_mobile\x1f{one}" for one in (MARKED_MOBILE, mobile(1), mobile(2)))])
    assert search([tmp_path / "sent"], wanted) == []
    # The same search finds a value that was sent by mistake.
    (tmp_path / "sent" / "by-mistake").write_bytes(b"x" * 100 + MARKED_MOBILE.encode())
    assert {found.value for found in search([tmp_path / "sent"], wanted)} == {MARKED_MOBILE}


def test_an_idle_node_sends_as_many_messages_of_the_same_sizes_as_an_active_one(
    federation: Federation, tmp_path: Path
) -> None:
    coins = flip_coins(CANARIES)
    sizes: list[list[tuple[object, ...]]] = []
    for name, active in (("idle", coins & False), ("active", coins | True)):
        node = node_at(tmp_path / name, federation, active)
        node.run(JANUARY)
        bodies_sent = [tuple(map(len, bodies)) for _, bodies in node.hub.received]
        with node.opened() as app:
            sent = [(one.kind, one.size) for one in app.journal.entries()]
        sizes.append([*bodies_sent, *sent])
    assert sizes[0] == sizes[1]
