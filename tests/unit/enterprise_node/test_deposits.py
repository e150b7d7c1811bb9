"""A node keeps a witness's word about what it has signed, and sends nothing for it but a hash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from enterprise_node.app import App
from enterprise_node.deposits import deposit
from enterprise_node.store.outbox import OutboxTable
from privacy import checkpoint
from privacy.deposits import Deposit, sign_deposit
from privacy.envelope import envelope_hash
from protos.epochs import Epoch
from protos.problems import Unavailable, Unverified
from runtime.pack_files import load_pack
from tests.simulator import key
from tests.unit.enterprise_node.simulated_hub import PACKS, SimulatedHub, open_node, write_home
from tests.unit.enterprise_node.simulators import ORIGIN, Federation

DECEMBER = Epoch(202012)
NAME = "witness.example/w1"
WITNESS = checkpoint.witness_vkey(NAME, key("witness").verify_key)


@pytest.fixture
def app(tmp_path: Path, federation: Federation) -> Iterator[App]:
    hub = SimulatedHub(federation)
    hub.publish_policy(load_pack(PACKS / "trv.shared_bike" / "1"))
    write_home(tmp_path / "node")
    opened = open_node(tmp_path / "node", federation, hub)
    yield opened
    opened.close()


def witness(origin: str, seen: bytes) -> bytes:
    return sign_deposit(Deposit(origin, seen, 1_610_000_000, NAME), key("witness"))


def test_answers_are_deposited_once_and_kept_with_their_messages(app: App, tmp_path: Path) -> None:
    table, folder = OutboxTable(app.workspace.database), tmp_path / "deposits"
    with pytest.raises(Unavailable):
        deposit(table, DECEMBER, folder, [WITNESS], ORIGIN, witness)
    app.pipeline.run([DECEMBER])
    sent: list[bytes] = []

    def send(origin: str, seen: bytes) -> bytes:
        sent.append(seen)
        return witness(origin, seen)

    for _ in range(2):
        kept = deposit(table, DECEMBER, folder, [WITNESS], ORIGIN, send)
        assert [one.message.kind for one in kept] == ["reservation", "release"]
    assert len(sent) == 2
    messages = [path.read_bytes() for path in sorted(folder.glob("*.envelope"))]
    assert [envelope_hash(data) for data in messages] == sent


def test_another_hash_or_a_stranger_is_not_kept(app: App, tmp_path: Path) -> None:
    table, folder = OutboxTable(app.workspace.database), tmp_path / "deposits"
    app.pipeline.run([DECEMBER])
    with pytest.raises(Unverified):
        deposit(table, DECEMBER, folder, [WITNESS], ORIGIN, lambda origin, _: witness(origin, bytes(32)))
    with pytest.raises(Unverified):
        deposit(table, DECEMBER, folder, [], ORIGIN, witness)
    assert list(folder.glob("*.deposit")) == []
