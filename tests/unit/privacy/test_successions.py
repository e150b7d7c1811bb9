"""Successions: enterprises that agree pass an account on; two that disagree freeze all it concerns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy import rosters
from privacy.acceptance import LogState
from privacy.envelope import Kind
from privacy.links import build_links
from privacy.rosters import NOBODY
from privacy.standing import HUB_ID, Role
from privacy.successions import Claim, Successions
from protos.epochs import Epoch
from protos.problems import Conflict, Malformed, Refused
from tests.simulator import EPOCH, Federation, enrolled, pseudonym

BIKES, UTILITY = "bike-share", "utility"
JANUARY = Epoch(202101)
NEW_KEY = b"another key"


def name(text: str) -> bytes:
    return text.encode().ljust(16, b".")


def taken(*claims: tuple[str, str, str]) -> Successions:
    found = Successions()
    found.take(Claim(enterprise, name(before), name(after)) for enterprise, before, after in claims)
    return found


def test_agreement_passes_the_account_on() -> None:
    found = taken(("bikes", "a", "A"), ("utility", "a", "A"), ("utility", "b", "B"))
    assert found.disputes == []
    assert found.predecessor(name("A")) == name("a")
    assert found.predecessor(name("B")) == name("b")
    assert found.predecessor(name("newcomer")) is None
    assert not found.is_frozen(name("a"))


def test_two_successors_of_one_pseudonym_freeze_all_three() -> None:
    found = taken(("bikes", "a", "A"), ("utility", "a", "X"), ("bikes", "b", "B"))
    assert [one.claim.enterprise_id for one in found.disputes] == ["utility"]
    assert all(found.is_frozen(name(one)) for one in ("a", "A", "X"))
    assert found.predecessor(name("A")) is None
    assert found.predecessor(name("X")) is None
    assert found.predecessor(name("B")) == name("b")


def test_two_predecessors_of_one_pseudonym_freeze_all_three() -> None:
    found = taken(("bikes", "a", "A"), ("utility", "b", "A"))
    assert all(found.is_frozen(name(one)) for one in ("a", "A", "b"))
    assert found.predecessor(name("A")) is None


def test_later_agreement_thaws_nothing() -> None:
    found = taken(("bikes", "a", "A"), ("utility", "a", "X"), ("parcels", "a", "A"))
    assert found.is_frozen(name("a"))


def test_dispute_freezes_the_whole_line_over_rotations() -> None:
    found = taken(("bikes", "a", "A"), ("bikes", "A", "AA"), ("utility", "a", "X"))
    assert found.is_frozen(name("AA"))
    assert found.predecessor(name("AA")) is None


@given(
    st.permutations([("bikes", "a", "A"), ("utility", "a", "X"), ("bikes", "b", "B"), ("parcels", "c", "B")])
)
def test_what_is_frozen_does_not_depend_on_the_order(claims: Sequence[tuple[str, str, str]]) -> None:
    found = taken(*claims)
    assert {one for one in "aAXbBc" if found.is_frozen(name(one))} == set("aAXbBc")


# In the log.


def rotated(federation: Federation) -> None:
    """Put another pseudonym key in force."""
    root = federation.state.trust
    change = federation.trust_root(version=root.version + 1, previous=root.envelope_hash)
    change.pseudonym_key.key_id = NEW_KEY
    change.pseudonym_key.commitments[:] = [bytes([8] * 32), bytes([9] * 32)]
    federation.publish_trust(change)


def succession(
    federation: Federation,
    enterprise: str,
    pairs: Sequence[tuple[int, int]],
    *,
    withdrawn: Sequence[int] | None = None,
    key_id: bytes = NEW_KEY,
) -> rosters.BuiltBatch:
    """Build a batch in which persons succeed slots; pairs of slot and person."""
    standing = federation.state.roster(enterprise)
    assert standing.tree is not None
    salts = b"".join(federation.randomness.randbytes(16) for _ in pairs)
    return rosters.build_batch(
        federation.header(Role.ENTERPRISE, enterprise),
        effective=JANUARY,
        key_id=key_id,
        first_slot=standing.total,
        salts=salts,
        pseudonyms=b"".join(pseudonym(person) for _, person in pairs),
        consents=bytes(32 * len(pairs)),
        withdrawn=sorted(slot for slot, _ in pairs if slot != NOBODY) if withdrawn is None else withdrawn,
        tree=standing.tree,
        predecessors=[slot for slot, _ in pairs],
    )


def append(
    federation: Federation, enterprise: str, built: Any, bodies: Sequence[bytes] | None = None
) -> None:
    data = federation.signed(Kind.ROSTER_BATCH, built.message, enterprise)
    federation.append(data, built.bodies if bodies is None else bodies)


def slots(federation: Federation, enterprise: str) -> list[int]:
    return list(federation.state.roster(enterprise).active_slots(EPOCH))


def person_of(federation: Federation, enterprise: str, slot: int) -> bytes:
    held = federation.state._standing.enterprise(enterprise).pseudonyms
    return bytes(held[slot * 16 : slot * 16 + 16])


@pytest.fixture
def federation() -> Federation:
    made = enrolled()
    rotated(made)
    return made


def test_rotation_in_one_batch_links_old_to_new_and_replays(federation: Federation) -> None:
    mine = slots(federation, BIKES)
    pairs = [*((slot, 1000 + slot) for slot in mine), (NOBODY, 5000)]
    append(federation, BIKES, succession(federation, BIKES, pairs))
    found = federation.state.successions
    for slot in mine:
        assert found.predecessor(pseudonym(1000 + slot)) == person_of(federation, BIKES, slot)
    assert found.predecessor(pseudonym(5000)) is None
    roster = federation.state.roster(BIKES)
    assert roster.active_count(EPOCH) == len(mine)
    assert list(roster.active_slots(JANUARY)) == list(range(len(mine), 2 * len(mine) + 1))
    again = LogState(pinned=federation.entries[0].data, replaying=True)
    for entry in federation.entries:
        again.apply(again.check(entry.data, entry.bodies))
    assert again.successions.predecessor(pseudonym(1000 + mine[0])) == person_of(federation, BIKES, mine[0])


def test_two_enterprises_that_disagree_freeze_the_person(federation: Federation) -> None:
    bikes, utility = slots(federation, BIKES), slots(federation, UTILITY)
    shared = {person_of(federation, BIKES, slot): slot for slot in bikes}
    slot = next(one for one in utility if person_of(federation, UTILITY, one) in shared)
    before = person_of(federation, UTILITY, slot)
    append(federation, BIKES, succession(federation, BIKES, [(one, 1000 + one) for one in bikes]))
    honest = 1000 + shared[before]
    assert federation.state.successions.predecessor(pseudonym(honest)) == before
    others = [(one, 2000 + one) for one in utility]
    append(federation, UTILITY, succession(federation, UTILITY, others))
    found = federation.state.successions
    assert found.is_frozen(before)
    assert found.predecessor(pseudonym(honest)) is None
    assert found.predecessor(pseudonym(2000 + slot)) is None
    assert {one.claim.enterprise_id for one in found.disputes} == {UTILITY}


def test_successions_are_of_withdrawn_slots_of_another_key_each_once(federation: Federation) -> None:
    mine = slots(federation, BIKES)
    pairs = [(slot, 1000 + slot) for slot in mine]
    for built in (
        succession(federation, BIKES, pairs, withdrawn=mine[1:]),
        succession(federation, BIKES, [(mine[0], 1000 + slot) for slot in mine]),
        succession(federation, BIKES, [(99_999, 1000 + slot) for slot in mine]),
    ):
        with pytest.raises(Refused):
            append(federation, BIKES, built)
    append(federation, BIKES, succession(federation, BIKES, pairs))
    fresh = list(federation.state.roster(BIKES).active_slots(JANUARY))
    again = succession(federation, BIKES, [(slot, 3000 + slot) for slot in fresh])
    with pytest.raises(Refused, match="key was replaced"):
        append(federation, BIKES, again)


def test_predecessor_the_chunk_does_not_commit_to_is_refused(federation: Federation) -> None:
    mine = slots(federation, BIKES)
    built = succession(federation, BIKES, [(slot, 1000 + slot) for slot in mine])
    opening = rosters.parse_opening(built.bodies[1])
    swapped = (opening.predecessors[1], opening.predecessors[0], *opening.predecessors[2:])
    for predecessors in (swapped, (), swapped[:1]):
        body = rosters.encode_opening(opening.first_slot, opening.salts, opening.pseudonyms, predecessors)
        with pytest.raises(Malformed):
            append(federation, BIKES, built, [built.bodies[0], body])
    erased = rosters.erase(built.bodies[1], opening.first_slot)
    replaying = LogState(pinned=federation.entries[0].data, replaying=True)
    for entry in federation.entries:
        replaying.apply(replaying.check(entry.data, entry.bodies))
    data = federation.signed(Kind.ROSTER_BATCH, built.message, BIKES)
    replaying.apply(replaying.check(data, [built.bodies[0], erased]))
    assert replaying.successions.predecessor(pseudonym(1000 + mine[0])) is None
    assert replaying.successions.predecessor(pseudonym(1000 + mine[1])) is not None


# Links.


def link(federation: Federation, pairs: Sequence[tuple[bytes, bytes]]) -> None:
    built = build_links(
        federation.header(Role.HUB, HUB_ID),
        effective=JANUARY,
        salts=federation.randomness.randbytes(16 * len(pairs)),
        pseudonyms=b"".join(before for before, _ in pairs),
        accounts=b"".join(held for _, held in pairs),
    )
    federation.append(federation.signed(Kind.LINK_BATCH, built.message, HUB_ID), built.bodies)


def test_heir_is_linked_to_the_account_it_inherits_and_no_other(federation: Federation) -> None:
    mine = slots(federation, BIKES)
    append(federation, BIKES, succession(federation, BIKES, [(slot, 1000 + slot) for slot in mine]))
    heirs = {
        pseudonym(1000 + slot): federation.linked[person_of(federation, BIKES, slot)][0] for slot in mine
    }
    first, *others = heirs
    assert federation.state.inherited(first) == heirs[first]
    for wrong in (bytes([7] * 16), heirs[others[0]]):
        with pytest.raises(Conflict, match="inherits"):
            link(federation, [(first, wrong)])
    link(federation, [*heirs.items(), (pseudonym(5000), bytes([7] * 16))])
    assert federation.state.is_linked(first)


def test_the_disputed_are_linked_to_none_of_the_old_accounts(federation: Federation) -> None:
    bikes, utility = slots(federation, BIKES), slots(federation, UTILITY)
    append(federation, BIKES, succession(federation, BIKES, [(slot, 1000 + slot) for slot in bikes]))
    append(federation, UTILITY, succession(federation, UTILITY, [(slot, 2000 + slot) for slot in utility]))
    shared = {person_of(federation, BIKES, slot): slot for slot in bikes}
    slot = next(one for one in utility if person_of(federation, UTILITY, one) in shared)
    before = person_of(federation, UTILITY, slot)
    old = federation.linked[before][0]
    assert old in federation.state.frozen_accounts()
    for name in (pseudonym(2000 + slot), pseudonym(1000 + shared[before])):
        assert federation.state.inherited(name) is None
        with pytest.raises(Conflict, match="none"):
            link(federation, [(name, old)])
        link(federation, [(name, name[::-1])])


def test_account_is_inherited_over_a_rotation_in_which_nothing_was_linked() -> None:
    found = taken(("bikes", "a", "A"), ("bikes", "A", "AA"))
    assert found.inherited(name("AA"), {name("a"): b"account"}) == b"account"
    assert found.inherited(name("AA"), {name("a"): b"account", name("A"): b"newer"}) == b"newer"
    assert found.inherited(name("AA"), {}) is None
