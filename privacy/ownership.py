"""Whose an account is over time: links, merges, splits, shares of a household, states; folded from the log.

A link is never rewritten: what changes is laid over it from an epoch on. Grams of epochs before a split stay
where they were; a merge moves everything; a household's grams go to its persons by parts of 10,000.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
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
    # Places in `moves` of those that name an account or a pseudonym.
    _about: dict[bytes, list[int]] = field(default_factory=dict)

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

    def about(self, names: Iterable[bytes]) -> list[tuple[int, Move]]:
        """List the changes that name accounts or pseudonyms, in log order."""
        places = {place for name in names for place in self._about.get(name, ())}
        return [self.moves[place] for place in sorted(places)]

    def absorbed(self, account: bytes) -> list[bytes]:
        """List the accounts whose place one has taken, ascending; none once it has ended itself."""
        found: set[bytes] = set()
        fresh = set() if account in self._merged_into else {account}
        while fresh:
            ended = {move.ends for _, move in self.about(fresh) if isinstance(move, Merge)}
            fresh = ended - found - {account}
            found |= fresh
        return sorted(found)

    def take(self, move: Move, *, index: int, at: int) -> None:
        """Take a change that was checked, logged at `index`; `at` is when the hub signed it."""
        for name in names_in(move):
            self._about.setdefault(name, []).append(len(self.moves))
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
        """Give the parts in force for a household in an epoch; of two changes the later counts."""
        acting = [
            move
            for _, move in self.about([household])
            if isinstance(move, ShareOut) and move.household == household and move.effective <= epoch
        ]
        return sorted(acting, key=lambda move: move.effective)[-1].parts if acting else ()

    def gets_part(self, account: bytes, epoch: Epoch) -> bool:
        """Say whether some household gives an account a part in an epoch."""
        homes = {move.household for _, move in self.about([account]) if isinstance(move, ShareOut)}
        return any(account == person for home in homes for person, _ in self.shares(home, epoch))


def names_in(move: Move) -> frozenset[bytes]:
    """Give the accounts, and the pseudonym, that a change names."""
    match move:
        case Merge(ends=ends, stays=stays):
            return frozenset((ends, stays))
        case Split(pseudonym=pseudonym, account=account):
            return frozenset((pseudonym, account))
        case Closure(account=account):
            return frozenset((account,))
        case ShareOut(household=household, parts=parts):
            return frozenset((household, *(account for account, _ in parts)))


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
