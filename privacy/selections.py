"""Source selection: of the enterprises that know a person, one records an overlap class in an epoch.

It depends on who is enrolled since when, on what the person chose and on who has settled the epoch already,
never on amounts. The logged Selection names only how many; its body, for the enterprise addressed, the slots.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from privacy import chunks, codec
from privacy.chunks import BODY_BYTES_MAX, HALF_BYTES, HASH_BYTES
from privacy.policy import EnterprisePolicy, Policy
from privacy.standing import EnterpriseStanding, Selection, Standing
from protos.epochs import Epoch
from protos.problems import InvariantBroken, Malformed
from protos.v1 import envelope_pb2, programme_pb2
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN, REASON_WRONG_SHAPE

SALT_BYTES = 32
_NOBODY = bytes(HALF_BYTES)


@dataclass(frozen=True, slots=True)
class BuiltSelection:
    """A selection ready to be signed, with its body."""

    message: programme_pb2.Selection
    bodies: list[bytes]


@dataclass(frozen=True, slots=True)
class _Present:
    """The persons on one enterprise's roster in an epoch, by account (or pseudonym before the first link)."""

    enterprise_id: str
    mine: EnterpriseStanding
    classes: frozenset[str]
    slots: Mapping[bytes, int]
    # All slots of those who have several, after a merge.
    several: Mapping[bytes, tuple[int, ...]]
    # What it left out when it settled the epoch, by class; None before it has reserved.
    settled: Mapping[str, frozenset[int]] | None

    def has_settled(self, person: bytes, overlap_class: str) -> bool:
        """Say whether it has reserved the epoch and records the class for the person in it."""
        if self.settled is None:
            return False
        return not self.settled.get(overlap_class, frozenset()).issuperset(self.slots_of(person))

    def slots_of(self, person: bytes) -> tuple[int, ...]:
        """Give a person's slots."""
        return self.several.get(person) or (self.slots[person],)


def select(standing: Standing, enterprise_id: str, epoch: Epoch) -> Selection:
    """Give what an enterprise leaves out of an epoch as the log stands, reckoned once while it does."""
    # A selection itself changes nothing until its enterprise reserves.
    key = (enterprise_id, epoch, standing.tree.size - len(standing.selections))
    if standing.selected_last is None or standing.selected_last[0] != key:
        standing.selected_last = (key, _select(standing, enterprise_id, epoch))
    return standing.selected_last[1]


def _select(standing: Standing, enterprise_id: str, epoch: Epoch) -> Selection:
    policy = standing.policy_for(epoch)
    here = _present(standing, policy, enterprise_id, epoch)
    pooled: list[int] = []
    if standing.choices.has_pooling:
        for person in here.slots:
            pooled += here.slots_of(person) if standing.choices.pools(person, epoch) else ()
    return Selection(_exclusions(standing, policy, here, epoch), tuple(sorted(pooled)))


def _exclusions(
    standing: Standing, policy: Policy, here: _Present, epoch: Epoch
) -> dict[str, tuple[int, ...]]:
    if not policy.default_recording:
        return {}
    others = [
        _present(standing, policy, one.enterprise_id, epoch)
        for one in policy.enterprises
        if one.enterprise_id != here.enterprise_id
        and one.overlap_classes(policy.packs) & here.classes
        and _takes_part(standing, one.enterprise_id)
    ]
    found: dict[str, tuple[int, ...]] = {}
    for overlap_class in sorted(here.classes):
        sharing = [one for one in others if overlap_class in one.classes]
        known = here.slots.keys() & set().union(*(one.slots.keys() for one in sharing))
        left_out = [
            slot
            for person in known
            if _recorder(standing, person, overlap_class, [here, *sharing], epoch) != here.enterprise_id
            for slot in here.slots_of(person)
        ]
        if left_out:
            found[overlap_class] = tuple(sorted(left_out))
    return found


def _takes_part(standing: Standing, enterprise_id: str) -> bool:
    """Say whether an enterprise may release: one that is suspended or has left records nothing for others."""
    return any(one.id == enterprise_id and not one.suspended for one in standing.trust.enterprises)


def _recorder(
    standing: Standing, person: bytes, overlap_class: str, candidates: Sequence[_Present], epoch: Epoch
) -> str:
    """Name who records: who has settled the epoch with it, else who was chosen, else who was joined first."""
    knowing = [one for one in candidates if person in one.slots]
    for one in knowing[1:]:
        if one.has_settled(person, overlap_class):
            return one.enterprise_id
    chosen = standing.choices.recorder(person, overlap_class, epoch)
    if any(one.enterprise_id == chosen for one in knowing):
        return chosen
    return min(knowing, key=lambda one: min(map(one.mine.roster.since, one.slots_of(person)))).enterprise_id


def _present(standing: Standing, policy: Policy, enterprise_id: str, epoch: Epoch) -> _Present:
    mine = standing.enterprise(enterprise_id)
    terms: EnterprisePolicy = policy.enterprise(enterprise_id)
    if len(mine.pseudonyms) != mine.roster.total * HALF_BYTES:
        raise InvariantBroken(REASON_INVARIANT_BROKEN, "Roster openings do not cover the roster's slots.")
    active = mine.roster.active_slots(epoch)
    persons = _persons(standing, mine, active)
    slots = dict(zip(persons, active, strict=True))
    earlier: dict[bytes, tuple[int, ...]] = {}
    if len(slots) < len(active):
        for person, slot in zip(persons, active, strict=True):
            if slots[person] != slot and person != _NOBODY:
                earlier[person] = (*earlier.get(person, ()), slot)
    several = {person: (*found, slots[person]) for person, found in earlier.items()}
    slots.pop(_NOBODY, None)
    settled = _settled(standing, enterprise_id, epoch)
    return _Present(enterprise_id, mine, terms.overlap_classes(policy.packs), slots, several, settled)


def _settled(standing: Standing, enterprise_id: str, epoch: Epoch) -> dict[str, frozenset[int]] | None:
    if not standing.enterprise(enterprise_id).has_reserved(epoch):
        return None
    selected = standing.selections.get((enterprise_id, epoch))
    selection = selected.selection if selected is not None else None
    return {} if selection is None else {name: frozenset(one) for name, one in selection.exclusions.items()}


def _persons(standing: Standing, mine: EnterpriseStanding, active: Sequence[int]) -> list[bytes]:
    """Give who stands in each active slot, by account where there is one."""
    rows, linked = bytes(mine.pseudonyms), standing.linked
    names = [rows[slot * HALF_BYTES : (slot + 1) * HALF_BYTES] for slot in active]
    persons = [linked.get(name, name) for name in names]
    if not standing.successions.is_empty:
        # While the key is being replaced, a person may stand under either pseudonym.
        persons = [_inheriting(standing, name, person) for name, person in zip(names, persons, strict=True)]
    merged = standing.ownership.merged
    return [merged.get(person, person) for person in persons] if merged else persons


def _inheriting(standing: Standing, name: bytes, person: bytes) -> bytes:
    """Give the person of a pseudonym that has no link yet by those it follows."""
    if person != name:
        return person
    return standing.successions.inherited(name, standing.linked) or standing.successions.first(name)


def commitment(body: programme_pb2.SelectionBody) -> bytes:
    """Give SHA-256(salt || the body without its salt)."""
    bare = programme_pb2.SelectionBody()
    bare.CopyFrom(body)
    bare.ClearField("salt")
    return hashlib.sha256(body.salt + codec.encode(bare)).digest()


def build_selection(
    header: envelope_pb2.Header, *, enterprise_id: str, epoch: Epoch, salt: bytes, selection: Selection
) -> BuiltSelection:
    """Build the message and its body; `salt` is 32 fresh random bytes."""
    body = programme_pb2.SelectionBody(salt=salt, pooled_slots=selection.pooled_slots)
    for overlap_class, slots in sorted(selection.exclusions.items()):
        body.exclusions.add(overlap_class=overlap_class, slots=slots)
    message = programme_pb2.Selection(
        header=header,
        enterprise_id=enterprise_id,
        epoch=epoch,
        excluded=selection.excluded,
        pooled=len(selection.pooled_slots),
        commitment=commitment(body),
    )
    return BuiltSelection(message, [codec.encode(body)])


def check_body(message: programme_pb2.Selection, bodies: Sequence[bytes]) -> Selection:
    """Check that a body is the one signed and give what it selects; raises Malformed."""
    chunks.check_count(bodies, 1, "Selection")
    body = codec.parse(programme_pb2.SelectionBody, bodies[0], maximum_bytes=BODY_BYTES_MAX)
    if len(body.salt) != SALT_BYTES or len(message.commitment) != HASH_BYTES:
        raise _misshapen("salt and commitment have 32 bytes")
    if commitment(body) != message.commitment:
        raise chunks.mismatch("The selection's body is not the one it signs.")
    _check_ascending([one.overlap_class for one in body.exclusions])
    for one in body.exclusions:
        _check_ascending(one.slots)
    _check_ascending(body.pooled_slots)
    selection = Selection(
        {one.overlap_class: tuple(one.slots) for one in body.exclusions}, tuple(body.pooled_slots)
    )
    if (selection.excluded, len(selection.pooled_slots)) != (message.excluded, message.pooled):
        raise _misshapen("its body holds another number of slots than it says")
    return selection


def _check_ascending(values: Sequence[int] | Sequence[str]) -> None:
    if any(later <= earlier for earlier, later in pairwise(values)):  # type: ignore[operator]
        raise _misshapen("classes and slots stand ascending, each once")


def _misshapen(what: str) -> Malformed:
    return Malformed(REASON_WRONG_SHAPE, f"The selection does not hold: {what}.")
