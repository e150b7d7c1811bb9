"""One enterprise records an overlap class of a person; which one depends on enrolment and choice alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy import codec
from privacy.acceptance import LogState
from privacy.choices import subject
from privacy.envelope import Kind
from privacy.standing import HUB_ID, Selection
from protos.epochs import Epoch
from protos.problems import Problem
from protos.v1 import problem_pb2 as reasons
from protos.v1 import programme_pb2, roster_pb2
from tests.simulator import (
    CUSTODIANS,
    EPOCH,
    ISSUED_AT,
    Federation,
    SimulatedEnterprise,
    SimulatedPack,
    account,
    begun,
)
from tests.unit.privacy.decisions import refused
from tests.unit.privacy.test_successions import rotated, succession

WALKING = "OC-WALK"
MAP, PHONE, BANK = "map-app", "phone-maker", "bank"
# A choice logged in January acts from February on.
FEBRUARY, MARCH = Epoch(202102), Epoch(202103)
PACKS = (
    SimulatedPack("map-walk", overlap_class=WALKING),
    SimulatedPack("phone-walk", body=b"phone", overlap_class=WALKING),
    SimulatedPack("pay", body=b"pay", domain="life"),
)
ENTERPRISES = (
    SimulatedEnterprise(MAP, range(6), ("map-walk",)),
    SimulatedEnterprise(PHONE, range(3, 9), ("phone-walk",)),
    SimulatedEnterprise(BANK, range(9), ("pay",)),
)


def city(
    order: Sequence[str] = (MAP, PHONE, BANK), *, link: bool = True, effective: Epoch = EPOCH
) -> Federation:
    """Enrol everybody in this order under a policy that selects."""
    federation = begun(
        packs=PACKS, enterprises=ENTERPRISES, policy_changes={"default_recording": "first_enrolled"}
    )
    by_id = {one.id: one for one in ENTERPRISES}
    for name in order:
        for custodian_id in CUSTODIANS[:2]:
            federation.count(custodian_id, name, len(by_id[name].persons))
        federation.enrol(name, by_id[name].persons, effective=effective)
    if link:
        federation.link(range(9))
    return federation


def recorders(federation: Federation, epoch: Epoch = EPOCH) -> dict[int, list[str]]:
    """Let everybody reserve; give who records each person's walks."""
    found: dict[int, list[str]] = {person: [] for person in range(9)}
    for one in federation.enterprises[:2]:
        federation.reserve(one.id, epoch)
        selected = federation.state.participants.selection(one.id, epoch)
        excluded = selected.selection.exclusions.get(WALKING, ()) if selected and selected.selection else ()
        for slot, person in enumerate(one.persons):
            if slot not in excluded:
                found[person].append(one.id)
    return found


@pytest.mark.parametrize("order", [(MAP, PHONE, BANK), (PHONE, MAP, BANK), (BANK, PHONE, MAP)])
@pytest.mark.parametrize("link", [True, False])
def test_one_walk_is_recorded_once_whatever_the_order_of_enrolment(order: Sequence[str], link: bool) -> None:
    federation = city(order, link=link)
    first = next(name for name in order if name != BANK)
    found = recorders(federation)
    assert all(len(names) == 1 for names in found.values())
    assert {found[person][0] for person in range(3, 6)} == {first}
    assert federation.state.participants.selection(BANK, EPOCH) is None


def test_who_settles_late_leaves_out_what_others_have_settled() -> None:
    federation = city((MAP, BANK))
    federation.reserve(MAP)
    for custodian_id in CUSTODIANS[:2]:
        federation.count(custodian_id, PHONE, 6)
    # The phone maker enrols for the very epoch that the map has settled already.
    federation.enrol(PHONE, range(3, 9))
    federation.reserve(PHONE)
    selected = federation.state.participants.selection(PHONE, EPOCH)
    assert selected is not None
    assert selected.selection == Selection({WALKING: (0, 1, 2)})


def test_what_is_settled_stays_settled_whoever_else_is_chosen_or_joined_before() -> None:
    federation = city((MAP, BANK), effective=Epoch(202101))
    federation.choose(MAP, 3, WALKING, PHONE, effective=FEBRUARY)
    federation.choose(MAP, 4, WALKING, MAP, effective=FEBRUARY)
    federation.reserve(MAP, FEBRUARY)
    # Chosen, or enrolled from an earlier epoch, but only after the map had settled this one.
    federation.enrol(PHONE, range(3, 9), effective=EPOCH)
    federation.reserve(PHONE, FEBRUARY)
    selected = federation.state.participants.selection(PHONE, FEBRUARY)
    assert selected is not None
    assert selected.selection == Selection({WALKING: (0, 1, 2)})


@pytest.mark.parametrize("link", [True, False])
def test_a_person_counts_once_while_the_pseudonym_key_is_replaced(link: bool) -> None:
    federation = city(link=link)
    rotated(federation)
    january = Epoch(202101)
    slots = list(federation.state.roster(MAP).active_slots(january))
    built = succession(federation, MAP, [(slot, 1000 + slot) for slot in slots])
    federation.append(federation.signed(Kind.ROSTER_BATCH, built.message, MAP), built.bodies)
    federation.reserve(MAP, january)
    federation.reserve(PHONE, january)
    assert federation.state.participants.selection(MAP, january) is None
    selected = federation.state.participants.selection(PHONE, january)
    assert selected is not None
    assert selected.selection == Selection({WALKING: (0, 1, 2)})


def test_a_persons_choice_moves_the_class_from_an_epoch_that_has_not_begun() -> None:
    federation = city()
    federation.choose(PHONE, 4, WALKING, PHONE, effective=FEBRUARY)
    before, after = recorders(federation), recorders(federation, FEBRUARY)
    assert before[4] == [MAP]
    assert after[4] == [PHONE]
    assert all(len(names) == 1 for names in after.values())
    assert {person: after[person] for person in after if person != 4} == {
        person: before[person] for person in before if person != 4
    }


def test_a_choice_of_somebody_who_does_not_know_the_person_leaves_the_default() -> None:
    federation = city()
    federation.choose(MAP, 4, WALKING, BANK, effective=FEBRUARY)
    assert recorders(federation, FEBRUARY)[4] == [MAP]


def test_a_choice_does_not_reach_back_nor_wait_nor_rest_on_anothers_ticket() -> None:
    federation = city()
    for other in (Epoch(202101), MARCH):
        refused(
            partial(federation.choose, PHONE, 4, WALKING, PHONE, effective=other), reasons.REASON_EPOCH_CLOSED
        )
    choice = programme_pb2.Choice(account=account(4))
    choice.recording.overlap_class, choice.recording.enterprise_id = WALKING, PHONE
    forged = programme_pb2.Choice(account=account(4))
    forged.recording.overlap_class, forged.recording.enterprise_id = WALKING, MAP
    mine, theirs = (federation.ticket(PHONE, person, "choose", subject=subject(choice)) for person in (4, 5))

    def log(said: programme_pb2.Choice, ticket: bytes) -> Any:
        built = federation.choice_batch([said], [ticket], FEBRUARY)
        return federation.append(federation.signed(Kind.CHOICE_BATCH, built.message, HUB_ID), built.bodies)

    refused(lambda: log(forged, mine), reasons.REASON_TICKET_INVALID)
    refused(lambda: log(choice, theirs), reasons.REASON_TICKET_INVALID)
    log(choice, mine)
    refused(lambda: log(choice, mine), reasons.REASON_TICKET_USED)


def test_choices_bodies_are_those_committed_to() -> None:
    federation = city()
    choice = programme_pb2.Choice(account=account(4))
    choice.recording.overlap_class, choice.recording.enterprise_id = WALKING, PHONE
    ticket = federation.ticket(PHONE, 4, "choose", subject=subject(choice))
    built = federation.choice_batch([choice], [ticket], FEBRUARY)
    data = federation.signed(Kind.CHOICE_BATCH, built.message, HUB_ID)
    for position, body in enumerate(built.bodies):
        for at in range(0, len(body), 7):
            changed = list(built.bodies)
            changed[position] = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
            with pytest.raises(Problem):
                federation.state.check(data, changed)
    assert not federation.state.check(data, None).bodies_checked


def test_pooled_slots_are_those_of_whoever_consents() -> None:
    federation = city()
    federation.consent(MAP, 2, "city-pool", effective=FEBRUARY)
    federation.consent(MAP, 5, "city-pool", effective=FEBRUARY)
    pooled = {}
    for epoch in (EPOCH, FEBRUARY):
        pooled[epoch] = federation.state.participants.select(MAP, epoch).pooled_slots
    # Whoever reserves has settled the epoch: what is chosen from here on acts from the next.
    federation.reserve(MAP, FEBRUARY)
    federation.consent(PHONE, 5, "city-pool", effective=MARCH, consents=False)
    pooled[MARCH] = federation.state.participants.select(MAP, MARCH).pooled_slots
    assert pooled == {EPOCH: (), FEBRUARY: (2, 5), MARCH: (2,)}


def test_another_selection_than_the_logs_settles_nothing() -> None:
    for lie in (
        Selection({WALKING: (0, 1)}),
        Selection({WALKING: (0, 1, 2, 3)}),
        Selection({"OC-OTHER": (0,)}),
        Selection({WALKING: (0, 1, 2)}, (5,)),
    ):
        federation = city()
        federation.select(PHONE, selection=lie)
        refused(partial(federation.reserve, PHONE), reasons.REASON_SELECTION_WRONG)
    federation = city()
    message = federation.reservation(PHONE)
    refused(
        lambda: federation.append(federation.signed(Kind.RESERVATION, message, PHONE)),
        reasons.REASON_SELECTION_WRONG,
    )


def test_a_selection_stands_once_and_before_the_reservation() -> None:
    federation = city()
    federation.reserve(MAP)
    late = Selection({WALKING: (0,)})
    refused(lambda: federation.select(MAP, selection=late), reasons.REASON_EPOCH_CLOSED)
    federation.select(PHONE)
    refused(lambda: federation.select(PHONE), reasons.REASON_ALREADY_EXISTS)


def test_a_release_names_the_selection_it_obeys() -> None:
    federation = city()
    hashes = {one: federation.reserve(one) for one in (MAP, PHONE)}
    built = federation.release_message(PHONE, hashes[PHONE])
    assert built.message.selection_hash == federation.selection_hash(PHONE, EPOCH) != b""
    right = bytes(built.message.selection_hash)
    for wrong in (b"", bytes(32)):
        built.message.selection_hash = wrong
        refused(
            lambda: federation.append(federation.signed(Kind.RELEASE, built.message, PHONE), built.bodies),
            reasons.REASON_SELECTION_WRONG,
        )
    built.message.selection_hash = right
    federation.append(federation.signed(Kind.RELEASE, built.message, PHONE), built.bodies)
    named = federation.release_message(MAP, hashes[MAP])
    assert named.message.selection_hash == b""


def test_an_enterprise_without_others_bodies_takes_the_same_log() -> None:
    federation = city()
    for one in (MAP, PHONE):
        federation.release(one)
    for with_bodies in (True, False):
        state = LogState(pinned=federation.entries[0].data, replaying=True)
        for entry in federation.entries:
            state.apply(state.check(entry.data, entry.bodies if with_bodies else None))
        assert state.root() == federation.state.root()
        held = state.participants.selection(PHONE, EPOCH)
        assert held is not None
        assert (held.selection is not None) is with_bodies


def test_rows_erased_since_let_as_many_differences_pass() -> None:
    federation = city()
    for one in (MAP, PHONE):
        federation.release(one)
    state = LogState(pinned=federation.entries[0].data, replaying=True)
    for entry in federation.entries:
        bodies = list(entry.bodies)
        if len(bodies) == 2 and b"roster-batch" in entry.data and MAP.encode() in entry.data:
            opening = roster_pb2.RosterOpening.FromString(bodies[1])
            opening.salts = opening.salts[: 4 * 16] + bytes(16) + opening.salts[5 * 16 :]
            opening.pseudonyms = opening.pseudonyms[: 4 * 16] + bytes(16) + opening.pseudonyms[5 * 16 :]
            bodies[1] = codec.encode(opening)
        state.apply(state.check(entry.data, bodies))
    assert state.root() == federation.state.root()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_walk_is_credited_at_most_once_in_any_interleaving(data: st.DataObject) -> None:
    """Enrolment, choices, settling: in any order at most one enterprise records a person's class."""
    federation = begun(
        packs=PACKS, enterprises=ENTERPRISES[:2], policy_changes={"default_recording": "first_enrolled"}
    )
    epochs = (FEBRUARY, Epoch(202103))
    waiting = {MAP: list(range(6)), PHONE: list(range(3, 9))}
    credited: dict[tuple[Epoch, int], list[str]] = {}
    reserved: set[tuple[str, Epoch]] = set()
    slots: dict[str, list[int]] = {MAP: [], PHONE: []}
    federation.link(range(9))
    for _ in range(data.draw(st.integers(1, 12))):
        name = data.draw(st.sampled_from([MAP, PHONE]))
        epoch = data.draw(st.sampled_from(epochs))
        match data.draw(st.sampled_from(["enrol", "choose", "settle"])):
            case "enrol" if waiting[name]:
                person = waiting[name].pop(data.draw(st.integers(0, len(waiting[name]) - 1)))
                try:
                    federation.enrol(name, [person], effective=epoch)
                    slots[name].append(person)
                except Problem:
                    waiting[name].append(person)
            case "choose" if slots[name]:
                person = data.draw(st.sampled_from(slots[name]))
                recorder = data.draw(st.sampled_from([MAP, PHONE]))
                try:
                    federation.choose(name, person, WALKING, recorder, effective=epoch)
                except Problem as problem:
                    assert problem.reason == reasons.REASON_EPOCH_CLOSED
            case "settle" if (name, epoch) not in reserved:
                federation.reserve(name, epoch)
                reserved.add((name, epoch))
                selected = federation.state.participants.selection(name, epoch)
                out = (
                    selected.selection.exclusions.get(WALKING, ()) if selected and selected.selection else ()
                )
                for slot in federation.state.roster(name).active_slots(epoch):
                    if slot not in out:
                        credited.setdefault((epoch, slots[name][slot]), []).append(name)
            case _:
                pass
    assert all(len(names) == 1 for names in credited.values())


def test_selection_reads_no_release() -> None:
    """Choices never depend on amounts: the same log but for its statements selects the same."""
    found = []
    for seed in (1, 2):
        federation = city()
        federation.randomness.seed(seed)
        for one in (MAP, PHONE):
            federation.release(one)
        found.append([federation.state.participants.select(one, Epoch(202101)) for one in (MAP, PHONE, BANK)])
    assert found[0] == found[1]


def test_under_a_retrospective_policy_choices_act_from_the_first_epoch_nobody_has_settled() -> None:
    past = begun(packs=PACKS, enterprises=ENTERPRISES, policy_changes={"retrospective": True})
    participants = past.state.participants
    assert participants.choice_effective(ISSUED_AT) == EPOCH
    for custodian_id in CUSTODIANS[:2]:
        past.count(custodian_id, BANK, 9)
    past.enrol(BANK, range(9))
    past.link(range(9))
    past.reserve(BANK)
    assert participants.choice_effective(ISSUED_AT) == 202101
    assert city().state.participants.choice_effective(ISSUED_AT) == FEBRUARY
