"""Whose an account is over time: links, merges, splits, shares of a household, states; folded from the log.

A link is never rewritten: what changes is laid over it from an epoch on. Grams of epochs before a split stay
where they were; a merge moves everything; a household's grams go to its persons by parts of 10,000.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from protos.epochs import Epoch
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_ACCOUNT_CLOSED

BASIS_POINTS = 10_000
MERGE_SECONDS_MIN = 30 * 86_400


class AccountState(enum.Enum):
    """What an account may do."""

    OPEN = "open"
    # Nothing is spent.
    FROZEN = "frozen"
    # Nothing is earned or spent any longer.
    CLOSED = "closed"
    # Another account took its place.
    MERGED = "merged"


@dataclass(frozen=True, slots=True)
class Holder:
    """What changes have said of an account; one nobody has changed is open and not proved."""

    state: AccountState = AccountState.OPEN
    is_proved: bool = False
    merged_at: int | None = None


@dataclass(frozen=True, slots=True)
class Merge:
    """Everything of one account becomes another's, from an epoch's close on."""

    effective: Epoch
    ends: bytes
    stays: bytes


@dataclass(frozen=True, slots=True)
class Split:
    """A pseudonym's statements go to another account from an epoch on."""

    effective: Epoch
    pseudonym: bytes
    account: bytes


@dataclass(frozen=True, slots=True)
class Closure:
    """An account earns nothing from an epoch on."""

    effective: Epoch
    account: bytes


@dataclass(frozen=True, slots=True)
class ShareOut:
    """A household's grams go to these accounts by parts of 10,000 from an epoch on; without any, none do."""

    effective: Epoch
    household: bytes
    parts: tuple[tuple[bytes, int], ...]


Move = Merge | Split | Closure | ShareOut


_NEW = Holder()


@dataclass(slots=True)
class Ownership:
    """All changes so far, in log order; accounts are named by the ids they had when they were linked."""

    # Each with its entry.
    moves: list[tuple[int, Move]] = field(default_factory=list)
    _holders: dict[bytes, Holder] = field(default_factory=dict)
    _merged_into: dict[bytes, bytes] = field(default_factory=dict)

    def holder(self, account: bytes) -> Holder:
        """Say what an account may do."""
        return self._holders.get(account, _NEW)

    def current(self, account: bytes) -> bytes:
        """Give the account that stands for one that was merged, over any number of merges."""
        while account in self._merged_into:
            account = self._merged_into[account]
        return account

    @property
    def merged(self) -> dict[bytes, bytes]:
        """Give the account that stands for each merged one now."""
        return {ended: self.current(ended) for ended in self._merged_into}

    def take(self, move: Move, *, index: int, at: int) -> None:
        """Take a change that was checked, logged at `index`; `at` is when the hub signed it."""
        self.moves.append((index, move))
        match move:
            case Merge(ends=ends, stays=stays):
                self._merged_into[ends] = stays
                was, kept = self.holder(ends), self.holder(stays)
                self._holders[ends] = replace(was, state=AccountState.MERGED, merged_at=at)
                is_proved = kept.is_proved or was.is_proved
                self._holders[stays] = replace(kept, is_proved=is_proved, merged_at=at)
            case Closure(account=account):
                self.set_state(account, AccountState.CLOSED)
            case _:
                pass

    def set_state(self, account: bytes, state: AccountState) -> None:
        """Freeze, open or close an account."""
        self._holders[account] = replace(self.holder(account), state=state)

    def prove(self, account: bytes) -> None:
        """Note that the account's person has shown control of it."""
        self._holders[account] = replace(self.holder(account), is_proved=True)

    def shares(self, household: bytes, epoch: Epoch) -> tuple[tuple[bytes, int], ...]:
        """Give the parts in force for a household in an epoch."""
        return self._sharing(epoch).get(household, ())

    def gets_part(self, account: bytes, epoch: Epoch) -> bool:
        """Say whether some household gives an account a part in an epoch."""
        return any(account == person for parts in self._sharing(epoch).values() for person, _ in parts)

    def _sharing(self, epoch: Epoch) -> dict[bytes, tuple[tuple[bytes, int], ...]]:
        """Give every household's parts in an epoch; of two changes the later counts."""
        acting = [one for _, one in self.moves if isinstance(one, ShareOut) and one.effective <= epoch]
        return {one.household: one.parts for one in sorted(acting, key=lambda one: one.effective)}


def owner(ownership: Ownership, linked: Mapping[bytes, bytes], pseudonym: bytes) -> bytes | None:
    """Give the account of a pseudonym as the log stands; None for one without a link."""
    account = linked.get(pseudonym)
    return None if account is None else ownership.current(account)


def ended(state: AccountState) -> Refused:
    """Give the refusal of an act on an account that has ended."""
    return Refused(
        REASON_ACCOUNT_CLOSED,
        f"The account is {state.value}.",
        remedy="Nothing is earned or spent there any longer; a split gives its number a new account.",
    )
