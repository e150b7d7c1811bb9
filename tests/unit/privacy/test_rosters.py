"""Rosters and links: openings open their slots, batches cut in one way, slots of an epoch are a prefix."""

from __future__ import annotations

import hashlib
from array import array

import pytest

from privacy import links, merkle, rosters
from privacy.chunks import ROSTER_ROWS_MAX
from privacy.rosters import BuiltBatch, RosterState
from protos.epochs import Epoch
from protos.problems import Malformed, Problem, Refused
from protos.v1 import envelope_pb2, roster_pb2
from tests.simulator import account, pseudonym

DECEMBER, JANUARY, FEBRUARY = Epoch(202012), Epoch(202101), Epoch(202102)


def built(
    rows: int, state: RosterState | None = None, effective: Epoch = DECEMBER, withdrawn: tuple[int, ...] = ()
) -> BuiltBatch:
    state = state or RosterState()
    assert state.tree is not None
    first = state.total
    salts = b"".join(hashlib.sha256(b"salt %d" % (first + row)).digest()[:16] for row in range(rows))
    return rosters.build_batch(
        envelope_pb2.Header(issuer="bikes"),
        effective=effective,
        key_id=b"key",
        first_slot=first,
        salts=salts,
        pseudonyms=b"".join(pseudonym(first + row) for row in range(rows)),
        consents=bytes(32 * rows),
        withdrawn=withdrawn,
        tree=state.tree,
    )


def added(state: RosterState, batch: BuiltBatch) -> None:
    rows = rosters.check_bodies(batch.message, batch.bodies, erasure_allowed=False)
    state.add(batch.message, state.grown(rows.slots))


def test_slot_and_consent_are_salted_hashes() -> None:
    assert rosters.slot(b"s" * 16, b"p" * 16) == hashlib.sha256(b"s" * 16 + b"p" * 16).digest()
    assert rosters.consent(b"s" * 16, b"receipt") == hashlib.sha256(b"s" * 16 + b"receipt").digest()


@pytest.mark.parametrize("rows", [1, 2, 255, ROSTER_ROWS_MAX, ROSTER_ROWS_MAX + 1, 2 * ROSTER_ROWS_MAX])
def test_a_batch_comes_back(rows: int) -> None:
    batch = built(rows)
    assert len(batch.bodies) == 2 * -(-rows // ROSTER_ROWS_MAX)
    found = rosters.check_bodies(batch.message, batch.bodies, erasure_allowed=False)
    assert found.pseudonyms == b"".join(pseudonym(row) for row in range(rows))
    leaves = [found.slots[at : at + 32] for at in range(0, len(found.slots), 32)]
    assert merkle.root(leaves) == batch.message.roster_root


def test_any_byte_of_a_body_changed_fails() -> None:
    batch = built(3)
    for number, body in enumerate(batch.bodies):
        for position in range(len(body)):
            changed = list(batch.bodies)
            changed[number] = body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :]
            with pytest.raises(Malformed):
                rosters.check_bodies(batch.message, changed, erasure_allowed=True)


def test_bodies_missing_added_or_exchanged_fail() -> None:
    batch = built(ROSTER_ROWS_MAX + 1)
    first, opening, second, last = batch.bodies
    for bodies in ([], batch.bodies[:-1], [*batch.bodies, last], [second, last, first, opening]):
        with pytest.raises(Malformed):
            rosters.check_bodies(batch.message, bodies, erasure_allowed=False)


def test_chunks_cut_otherwise_fail() -> None:
    batch = built(4)
    chunk = rosters.parse_chunk(batch.bodies[0])
    halves = [
        rosters.encode_chunk(0, chunk.slots[:64], chunk.consents[:64]),
        batch.bodies[1],
        rosters.encode_chunk(2, chunk.slots[64:], chunk.consents[64:]),
        batch.bodies[1],
    ]
    with pytest.raises(Malformed):
        rosters.check_bodies(batch.message, halves, erasure_allowed=False)


def test_erased_rows_hold_in_a_replay_only() -> None:
    batch = built(5)
    erased = [batch.bodies[0], rosters.erase(batch.bodies[1], 3)]
    found = rosters.check_bodies(batch.message, erased, erasure_allowed=True)
    assert found.erased == 1
    assert found.pseudonyms is not None
    assert found.pseudonyms[48:64] == bytes(16)
    assert pseudonym(3) not in erased[1]
    with pytest.raises(Malformed):
        rosters.check_bodies(batch.message, erased, erasure_allowed=False)


def test_slots_of_an_epoch_are_a_prefix_without_the_withdrawn() -> None:
    state = RosterState()
    added(state, built(4, state))
    added(state, built(2, state, JANUARY, withdrawn=(1, 3)))
    added(state, built(0, state, FEBRUARY, withdrawn=(0,)))
    assert state.active_slots(Epoch(202011)) == array("I")
    assert list(state.active_slots(DECEMBER)) == [0, 1, 2, 3]
    assert list(state.active_slots(JANUARY)) == [0, 2, 4, 5]
    assert list(state.active_slots(FEBRUARY)) == [2, 4, 5]
    for epoch in (DECEMBER, JANUARY, FEBRUARY):
        assert state.active_count(epoch) == len(state.active_slots(epoch))
    assert state.total_at(DECEMBER) == 4
    assert state.root_at(JANUARY) == state.root_at(FEBRUARY) != state.root_at(DECEMBER)
    assert state.root_at(Epoch(202001)) == merkle.EMPTY_ROOT


def test_a_slot_has_the_row_that_a_count_of_the_active_gives() -> None:
    state = RosterState()
    added(state, built(5, state))
    added(state, built(2, state, JANUARY, withdrawn=(1, 3)))
    added(state, built(0, state, FEBRUARY, withdrawn=(0, 5)))
    for epoch in (Epoch(202011), DECEMBER, JANUARY, FEBRUARY):
        active = list(state.active_slots(epoch))
        for number in range(9):
            expected = active.index(number) if number in active else None
            assert state.row_of(number, epoch) == expected


@pytest.mark.parametrize("withdrawn", [(1, 1), (2, 1), (4,), (0, 9)])
def test_false_withdrawals_are_refused(withdrawn: tuple[int, ...]) -> None:
    state = RosterState()
    added(state, built(4, state))
    with pytest.raises(Refused):
        rosters.check_withdrawn(state, roster_pb2.RosterBatch(withdrawn_slots=withdrawn))


def test_a_slot_is_withdrawn_once() -> None:
    state = RosterState()
    added(state, built(4, state))
    added(state, built(0, state, JANUARY, withdrawn=(2,)))
    with pytest.raises(Refused):
        rosters.check_withdrawn(state, roster_pb2.RosterBatch(withdrawn_slots=(2,)))


def test_a_roster_known_only_by_its_batches_still_counts() -> None:
    state = RosterState()
    state.add(built(4).message, None)
    assert state.grown(b"") is None
    assert state.active_count(DECEMBER) == 4


@pytest.mark.parametrize("rows", [1, 3, ROSTER_ROWS_MAX + 1])
def test_links_come_back(rows: int) -> None:
    batch = link_batch(rows)
    found = links.check_bodies(batch.message, batch.bodies)
    assert found.pseudonyms[:16] == pseudonym(0)
    assert found.accounts[-16:] == account(rows - 1)
    assert batch.message.count == rows


def link_batch(rows: int) -> links.BuiltLinks:
    return links.build_links(
        envelope_pb2.Header(issuer="hub"),
        effective=DECEMBER,
        salts=b"".join(hashlib.sha256(b"%d" % row).digest()[:16] for row in range(rows)),
        pseudonyms=b"".join(map(pseudonym, range(rows))),
        accounts=b"".join(map(account, range(rows))),
    )


def test_any_byte_of_a_link_changed_fails() -> None:
    batch = link_batch(2)
    for number, body in enumerate(batch.bodies):
        for position in range(len(body)):
            changed = list(batch.bodies)
            changed[number] = body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :]
            with pytest.raises(Problem):
                links.check_bodies(batch.message, changed)


def test_links_missing_or_added_fail() -> None:
    batch = link_batch(2)
    for bodies in ([], batch.bodies[:1], [*batch.bodies, batch.bodies[1]]):
        with pytest.raises(Malformed):
            links.check_bodies(batch.message, bodies)
