"""Slots hide who they are, act from their epoch on, and give the root that the log computes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from enterprise_node.app import App
from enterprise_node.custodians import pseudonym_key
from enterprise_node.roster import consent_receipt
from enterprise_node.store.enrolment import EnrolmentTable
from privacy import rosters
from privacy.envelope import Kind, open_envelope
from protos.epochs import Epoch
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_ROSTER_WRONG
from tests.unit.enterprise_node.simulated_hub import RIDERS, SimulatedHub, open_node, write_home
from tests.unit.enterprise_node.simulators import ENTERPRISE, Federation

DECEMBER, JANUARY, FEBRUARY = Epoch(202012), Epoch(202101), Epoch(202102)


@pytest.fixture
def app(tmp_path: Path, federation: Federation, hub: SimulatedHub) -> Iterator[App]:
    write_home(tmp_path / "node")
    opened = open_node(tmp_path / "node", federation, hub)
    opened.pipeline.ingest()
    opened.pipeline.enrol(JANUARY)
    yield opened
    opened.close()


def test_the_log_computes_the_same_roster(app: App, hub: SimulatedHub) -> None:
    seen = hub.state.roster(ENTERPRISE)
    for epoch in (DECEMBER, JANUARY, FEBRUARY):
        assert app.pipeline.roster.root(epoch) == seen.root_at(epoch)
        assert [item.slot for item in app.pipeline.roster.active(epoch)] == list(seen.active_slots(epoch))
    assert app.pipeline.roster.active(DECEMBER) == []
    assert len(app.pipeline.roster.active(JANUARY)) == RIDERS


def test_each_slot_opens_to_its_persons_pseudonym(app: App, hub: SimulatedHub) -> None:
    key_id = pseudonym_key(app.pipeline.following.trust).key_id
    table = EnrolmentTable(app.workspace.database)
    pseudonyms = app.pipeline.pseudonymiser.known(list(range(1, RIDERS + 1)), key_id)
    assert len(pseudonyms) == RIDERS
    for person, pseudonym in pseudonyms.items():
        [slot] = table.of_person(person)
        salt, name = app.pipeline.roster.open_slot(slot)
        assert name == pseudonym
        assert rosters.slot(salt, name) == slot.name
        assert name not in slot.sealed


def test_the_consent_in_the_log_is_the_salted_receipt_a_person_holds(app: App, hub: SimulatedHub) -> None:
    index = next(
        index for index, data in enumerate(hub.log.list) if open_envelope(data).kind is Kind.ROSTER_BATCH
    )
    chunk = rosters.parse_chunk(hub.log.bodies_by_index[index][0])
    slot = EnrolmentTable(app.workspace.database).of_person(1)[0]
    salt, name = app.pipeline.roster.open_slot(slot)
    logged = chunk.consents[32 * slot.slot : 32 * (slot.slot + 1)]
    assert logged == rosters.consent(salt, consent_receipt(ENTERPRISE, JANUARY, name))


def test_a_batch_cannot_act_before_the_one_before_it(app: App) -> None:
    with pytest.raises(Refused) as caught:
        app.pipeline.roster.enrol({99: b"p" * 16}, DECEMBER, b"key")
    assert caught.value.reason == REASON_ROSTER_WRONG
    assert app.pipeline.roster.count() == RIDERS


def test_withdrawing_ends_slots_and_says_so_in_the_log(app: App, hub: SimulatedHub) -> None:
    key_id = pseudonym_key(app.pipeline.following.trust).key_id
    slots = EnrolmentTable(app.workspace.database).enrolled_slots([3, 4])
    messages = app.pipeline.roster.withdraw([3, 4], FEBRUARY, key_id, check=app.pipeline.following.check)
    app.pipeline.settle()
    assert len(messages) == 1
    active = [item.slot for item in app.pipeline.roster.active(FEBRUARY)]
    assert active == [slot for slot in range(RIDERS) if slot not in slots]
    assert active == list(hub.state.roster(ENTERPRISE).active_slots(FEBRUARY))
    assert len(app.pipeline.roster.active(JANUARY)) == RIDERS
    assert app.workspace.persons.new_for_enrolment() == []


def test_a_batch_that_is_not_kept_leaves_nobody_enrolled(
    tmp_path: Path, federation: Federation, hub: SimulatedHub
) -> None:
    write_home(tmp_path / "second")
    app = open_node(tmp_path / "second", federation, SimulatedHub(federation))
    app.pipeline.ingest()
    persons = app.workspace.persons.new_for_enrolment()

    def refuse(data: bytes, bodies: object) -> None:
        raise Refused(REASON_ROSTER_WRONG, "Not this one.")

    with pytest.raises(Refused):
        app.pipeline.roster.enrol(
            {person: bytes([person]) * 16 for person in persons}, JANUARY, b"k", check=refuse
        )
    assert app.pipeline.roster.count() == 0
    assert app.workspace.persons.new_for_enrolment() == persons
    app.close()
