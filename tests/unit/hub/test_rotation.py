"""Accounts over a rotation of the pseudonym key: heirs keep them, nobody inherits what is disputed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from privacy import rosters
from privacy.envelope import Kind
from privacy.standing import Role
from runtime.identity import Role as PeerRole
from tests.simulator import CUSTODIANS, SimulatedEnterprise, pseudonym
from tests.unit.hub.test_accounts import NEXT, check_books, close, message_of, release_all
from tests.unit.hub.world import World

NEW_KEY = b"another key"
MOVED = 1000


def rotate_key(world: World) -> None:
    root = world.state.trust
    change = world.trust_root(version=root.version + 1, previous=root.envelope_hash)
    change.pseudonym_key.key_id = NEW_KEY
    change.pseudonym_key.commitments[:] = [bytes([8] * 32), bytes([9] * 32)]
    world.publish_trust(change)


def move(world: World, one: SimulatedEnterprise, name: Callable[[int], int]) -> None:
    """Have all of an enterprise's persons counted again and moved to new slots in one batch."""
    for custodian_id in CUSTODIANS[:2]:
        world.count(custodian_id, one.id, len(one.persons))
    before = world.state.roster(one.id)
    assert before.tree is not None
    persons = [name(person) for person in one.persons]
    slots = list(range(len(one.persons)))
    built = rosters.build_batch(
        world.header(Role.ENTERPRISE, one.id),
        effective=NEXT,
        key_id=NEW_KEY,
        first_slot=before.total,
        salts=world.randomness.randbytes(16 * len(persons)),
        pseudonyms=b"".join(map(pseudonym, persons)),
        consents=bytes(32 * len(persons)),
        withdrawn=slots,
        tree=before.tree,
        predecessors=slots,
    )
    world.append(world.signed(Kind.ROSTER_BATCH, built.message, one.id), built.bodies)
    world.rows[one.id].extend(map(pseudonym, persons))


def shown(world: World, account: bytes) -> Any:
    """Look an account up as the operator does."""
    operator = world.identity(PeerRole.OPERATOR, "operator")
    return json.loads(world.get(f"/v1/accounts/{account.hex()}", operator))


def test_heirs_keep_their_accounts(enrolled: World) -> None:
    first = message_of(close(release_all(enrolled)))
    enrolled.follow()
    before = {name: account for name, (account, _) in enrolled.linked.items()}
    rotate_key(enrolled)
    for one in enrolled.enterprises:
        move(enrolled, one, lambda person: person + MOVED)
    response = close(release_all(enrolled, NEXT), NEXT)
    check_books(enrolled, response, NEXT)
    assert message_of(response).accounts == first.accounts
    persons = {person for one in enrolled.enterprises for person in one.persons}
    for person in persons:
        assert enrolled.linked[pseudonym(person + MOVED)][0] == before[pseudonym(person)]


def test_disputed_person_gets_new_accounts_and_the_old_one_is_frozen(enrolled: World) -> None:
    first = message_of(close(release_all(enrolled)))
    enrolled.follow()
    bikes, other = enrolled.enterprises[:2]
    shared = sorted(set(bikes.persons) & set(other.persons))
    assert shared
    rotate_key(enrolled)
    victim = shared[0]
    move(enrolled, bikes, lambda person: person + MOVED)
    move(enrolled, other, lambda person: person + (2 * MOVED if person == victim else MOVED))
    for one in enrolled.enterprises[2:]:
        move(enrolled, one, lambda person: person + MOVED)
    response = close(release_all(enrolled, NEXT), NEXT)
    check_books(enrolled, response, NEXT)
    old = enrolled.linked[pseudonym(victim)][0]
    names = {pseudonym(victim + MOVED), pseudonym(victim + 2 * MOVED)}
    assert old not in {enrolled.linked[name][0] for name in names}
    assert len({enrolled.linked[name][0] for name in names}) == 2
    assert old in enrolled.state.frozen_accounts()
    assert shown(enrolled, old)["is_frozen"]
    assert not shown(enrolled, enrolled.linked[pseudonym(shared[1])][0])["is_frozen"]
    assert message_of(response).accounts == first.accounts + 2
    for person in shared[1:]:
        assert enrolled.linked[pseudonym(person + MOVED)][0] == enrolled.linked[pseudonym(person)][0]


def test_without_a_rotation_nobody_inherits(enrolled: World) -> None:
    close(release_all(enrolled))
    enrolled.follow()
    assert all(enrolled.state.inherited(name) is None for name in enrolled.linked)
    assert enrolled.state.frozen_accounts() == frozenset()
