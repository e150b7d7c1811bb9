"""Whoever asked to be erased leaves the roster; then a signed order erases salt and pseudonym."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from enterprise_node.app import App
from enterprise_node.erase import erase
from privacy.chunks import HALF_BYTES
from privacy.envelope import Kind, open_envelope
from privacy.rosters import parse_opening
from protos.epochs import Epoch
from protos.v1.evidence_pb2 import ErasureOrder
from tests.unit.enterprise_node.simulated_hub import RIDERS, SimulatedHub, open_node, write_home
from tests.unit.enterprise_node.simulators import Federation

DECEMBER, JANUARY, FEBRUARY = Epoch(202012), Epoch(202101), Epoch(202102)
EMPTY = bytes(HALF_BYTES)


@pytest.fixture
def app(tmp_path: Path, federation: Federation, hub: SimulatedHub) -> Iterator[App]:
    write_home(tmp_path / "node")
    opened = open_node(tmp_path / "node", federation, hub)
    yield opened
    opened.close()


def orders(hub: SimulatedHub) -> list[list[int]]:
    """Give the slots of every order in the log."""
    opened = [open_envelope(data) for data in hub.log.list]
    return [list(one.parse(ErasureOrder).slots) for one in opened if one.kind is Kind.ERASURE_ORDER]


def test_an_erased_person_is_withdrawn_then_ordered_to_be_erased_once(app: App, hub: SimulatedHub) -> None:
    app.pipeline.run([DECEMBER])
    person = app.workspace.persons.find("13800000003")
    assert person is not None
    [slot] = [one for one in app.pipeline.roster.active(DECEMBER) if one.person == person]
    erase(app.workspace, person)
    assert orders(hub) == []
    app.pipeline.enrol(JANUARY)
    assert orders(hub) == [[slot.slot]]
    app.pipeline.run([JANUARY])
    app.pipeline.enrol(FEBRUARY)
    assert orders(hub) == [[slot.slot]]
    kinds = [open_envelope(data).kind for data in hub.log.list]
    assert kinds.index(Kind.ERASURE_ORDER) == len(kinds) - 1 - kinds[::-1].index(Kind.ROSTER_BATCH) + 1


def test_the_node_keeps_neither_salt_nor_pseudonym(app: App, hub: SimulatedHub) -> None:
    app.pipeline.run([DECEMBER])
    person = app.workspace.persons.find("13800000003")
    assert person is not None
    [slot] = [one.slot for one in app.pipeline.roster.active(DECEMBER) if one.person == person]
    erase(app.workspace, person)
    app.pipeline.enrol(JANUARY)
    database, chain = app.workspace.database, app.pipeline.outbox._chain
    assert database.value("SELECT sealed FROM slot WHERE slot = ?", (slot,)) == b""
    opening = parse_opening(chain.bodies(1)[1])
    halves = [opening.pseudonyms[at : at + HALF_BYTES] for at in range(0, RIDERS * HALF_BYTES, HALF_BYTES)]
    assert [row for row, half in enumerate(halves) if half == EMPTY] == [slot]
    assert opening.salts[slot * HALF_BYTES : (slot + 1) * HALF_BYTES] == EMPTY


def test_who_only_withdraws_is_not_erased(app: App, hub: SimulatedHub) -> None:
    app.pipeline.run([DECEMBER])
    key_id = app.pipeline.following.trust.pseudonym_key.key_id  # type: ignore[union-attr]
    app.pipeline.roster.withdraw([1, 2], JANUARY, key_id, check=app.pipeline.following.check)
    app.pipeline.run([JANUARY])
    assert orders(hub) == []
