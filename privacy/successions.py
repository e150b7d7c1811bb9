"""Which pseudonym follows which after a rotation of the key, as enterprises say and hub and auditor fold it.

A pseudonym is a function of the person and the key alone, so all enterprises that know a person must name the
same successor. Where two disagree one of them lies, nobody here can say which, and the accounts of all the
pseudonyms named are frozen: they keep what they have, nothing is spent, and no successor inherits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Claim:
    """One enterprise says that the person behind one pseudonym now has another."""

    enterprise_id: str
    before: bytes
    after: bytes
    # The enterprise's slots of the two.
    slots: tuple[int, int] = (-1, -1)


@dataclass(frozen=True, slots=True)
class Dispute:
    """A claim that contradicts what stood before it."""

    claim: Claim
    before: bytes
    after: bytes


@dataclass(slots=True)
class Successions:
    """All claims so far, and what is frozen by those that contradict each other."""

    disputes: list[Dispute] = field(default_factory=list)
    # Claims were erased: what they once decided cannot be held against links any more.
    is_partial: bool = False
    _claims: list[Claim] = field(default_factory=list)
    _after: dict[bytes, bytes] = field(default_factory=dict)
    _before: dict[bytes, bytes] = field(default_factory=dict)
    _frozen: set[bytes] = field(default_factory=set)

    def take(self, claims: Iterable[Claim]) -> None:
        """Take claims in log order; one repeated changes nothing, one that contradicts freezes."""
        for claim in claims:
            self._claims.append(claim)
            after = self._after.setdefault(claim.before, claim.after)
            before = self._before.setdefault(claim.after, claim.before)
            if (before, after) != (claim.before, claim.after):
                self.disputes.append(Dispute(claim, before, after))
                self._frozen |= {claim.before, claim.after, before, after}

    def forget(self, enterprise_id: str, slots: frozenset[int]) -> None:
        """Drop what an enterprise claimed of erased slots, and fold the rest anew."""
        left = [
            one for one in self._claims if one.enterprise_id != enterprise_id or slots.isdisjoint(one.slots)
        ]
        if len(left) == len(self._claims):
            return
        for kept in (self.disputes, self._claims, self._after, self._before, self._frozen):
            kept.clear()
        self.is_partial = True
        self.take(left)

    def is_frozen(self, pseudonym: bytes) -> bool:
        """Say whether a pseudonym, or one that it follows or that follows it, is disputed."""
        return bool(self._frozen) and not self._frozen.isdisjoint(self._line(pseudonym))

    @property
    def frozen(self) -> frozenset[bytes]:
        """List the pseudonyms that stand in contradicting claims."""
        return frozenset(self._frozen)

    def predecessor(self, pseudonym: bytes) -> bytes | None:
        """Give the pseudonym that another follows; None for a newcomer and in a dispute."""
        return None if self.is_frozen(pseudonym) else self._before.get(pseudonym)

    @property
    def is_empty(self) -> bool:
        """Say whether no enterprise ever said that one pseudonym follows another."""
        return not self._before

    def first(self, pseudonym: bytes) -> bytes:
        """Give the first of those a pseudonym follows; itself for a newcomer and in a dispute."""
        passed = {pseudonym}
        before = self.predecessor(pseudonym)
        while before is not None and before not in passed:
            passed.add(before)
            pseudonym, before = before, self._before.get(before)
        return pseudonym

    def inherited(self, pseudonym: bytes, linked: Mapping[bytes, bytes]) -> bytes | None:
        """Give the account of the nearest pseudonym before that has one; None in a dispute."""
        before = self.predecessor(pseudonym)
        passed = {pseudonym}
        while before is not None and before not in linked and before not in passed:
            passed.add(before)
            before = self._before.get(before)
        return None if before is None else linked.get(before)

    def may_join(self, pseudonym: bytes, account: bytes, linked: Mapping[bytes, bytes]) -> bool:
        """Say whether a new link is right: heirs get what they inherit, the disputed nothing old."""
        if self.is_partial:
            return True
        if self.is_frozen(pseudonym):
            return account not in {linked.get(one) for one in self._line(pseudonym)}
        inherited = self.inherited(pseudonym, linked)
        return inherited is None or inherited == account

    def _line(self, pseudonym: bytes) -> set[bytes]:
        """Give the pseudonyms before and after, over all rotations."""
        line = {pseudonym}
        for step in (self._before, self._after):
            one = step.get(pseudonym)
            while one is not None and one not in line:
                line.add(one)
                one = step.get(one)
        return line
