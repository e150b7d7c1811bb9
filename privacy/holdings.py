"""Which account a pseudonym's statements go to, epoch by epoch, after all changes that act so far."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from privacy.ownership import BASIS_POINTS, Closure, Merge, Move, ShareOut, Split
from protos.epochs import Epoch

FOREVER = Epoch(999_999)
ALWAYS = Epoch(0)


@dataclass(frozen=True, slots=True)
class Holding:
    """Who gets a pseudonym's statements of since ≤ epoch < until: accounts and parts of 10,000, or nobody."""

    pseudonym: bytes
    since: Epoch
    until: Epoch
    parts: tuple[tuple[bytes, int], ...]


@dataclass(frozen=True, slots=True)
class Holdings:
    """The pseudonyms that are not simply their link's, and accounts that others stand for."""

    holdings: tuple[Holding, ...] = ()
    merged_into: Mapping[bytes, bytes] | None = None

    def current(self, account: bytes) -> bytes:
        """Give the account that stands for one that was merged."""
        return (self.merged_into or {}).get(account, account)


def holdings(moves: Sequence[Move], linked: Mapping[bytes, bytes]) -> Holdings:
    """Fold acting changes; `linked` gives the link of every pseudonym named by `touched`."""
    changes = _Changes.of(moves)
    found = [
        one
        for pseudonym, account in sorted(linked.items())
        if changes.concern(pseudonym, account)
        for one in _holdings_of(pseudonym, account, changes)
    ]
    return Holdings(tuple(found), changes.merged)


def touched(moves: Sequence[Move]) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Give the pseudonyms, and the accounts whose pseudonyms, `holdings` needs the links of."""
    merged = _merged(moves)
    changed = _changed_accounts(moves, merged)
    accounts = changed | {ended for ended, stays in merged.items() if stays in changed}
    return frozenset(move.pseudonym for move in moves if isinstance(move, Split)), frozenset(accounts)


def _merged(moves: Sequence[Move]) -> dict[bytes, bytes]:
    """Give the account that stands for each merged one, over any number of merges."""
    into = {move.ends: move.stays for move in moves if isinstance(move, Merge)}
    found = {}
    for ended in into:
        stays = into[ended]
        while stays in into:
            stays = into[stays]
        found[ended] = stays
    return found


def _changed_accounts(moves: Sequence[Move], merged: Mapping[bytes, bytes]) -> set[bytes]:
    closed = {move.account for move in moves if isinstance(move, Closure)}
    shared = {move.household for move in moves if isinstance(move, ShareOut)}
    return {merged.get(account, account) for account in closed | shared}


@dataclass(frozen=True, slots=True)
class _Changes:
    """Changes by whom they concern, each list in the order in which they act."""

    merged: Mapping[bytes, bytes]
    splits: Mapping[bytes, Sequence[Split]]
    closed: Mapping[bytes, Epoch]
    shared: Mapping[bytes, Sequence[ShareOut]]

    @classmethod
    def of(cls, moves: Sequence[Move]) -> Self:
        """Lay out changes; accounts are named by those that stand for them."""
        merged = _merged(moves)
        splits: dict[bytes, list[Split]] = defaultdict(list)
        shared: dict[bytes, list[ShareOut]] = defaultdict(list)
        closed: dict[bytes, Epoch] = {}
        for move in sorted(moves, key=lambda one: one.effective):
            match move:
                case Split():
                    splits[move.pseudonym].append(move)
                case ShareOut():
                    shared[merged.get(move.household, move.household)].append(move)
                case Closure():
                    closed.setdefault(merged.get(move.account, move.account), move.effective)
                case Merge():
                    pass
        return cls(merged, splits, closed, shared)

    def current(self, account: bytes) -> bytes:
        """Give the account that stands for one that was merged."""
        return self.merged.get(account, account)

    def concern(self, pseudonym: bytes, account: bytes) -> bool:
        """Say whether a pseudonym's statements may go elsewhere than to its link's account."""
        current = self.current(account)
        return pseudonym in self.splits or current in self.closed or current in self.shared


def _holdings_of(pseudonym: bytes, account: bytes, changes: _Changes) -> Iterator[Holding]:
    """Cut a pseudonym's epochs where its account, or what becomes of that, changes."""
    splits = changes.splits.get(pseudonym, ())
    cuts = {ALWAYS, FOREVER, *(move.effective for move in splits)}
    for holder in {changes.current(one) for one in (account, *(move.account for move in splits))}:
        cuts.update(move.effective for move in changes.shared.get(holder, ()))
        cuts.add(changes.closed.get(holder, FOREVER))
    before: Holding | None = None
    for since, until in pairwise(sorted(cuts)):
        holder = account
        for move in splits:
            holder = move.account if move.effective <= since else holder
        parts = _parts(changes.current(holder), since, changes)
        if before is not None and before.parts == parts:
            before = Holding(pseudonym, before.since, until, parts)
            continue
        if before is not None:
            yield before
        before = Holding(pseudonym, since, until, parts)
    if before is not None:
        yield before


def _parts(holder: bytes, epoch: Epoch, changes: _Changes) -> tuple[tuple[bytes, int], ...]:
    """Give who gets an account's statements of an epoch."""
    if changes.closed.get(holder, FOREVER) <= epoch:
        return ()
    acting = [move for move in changes.shared.get(holder, ()) if move.effective <= epoch]
    together: dict[bytes, int] = {}
    for account, points in acting[-1].parts if acting else ():
        current = changes.current(account)
        together[current] = together.get(current, 0) + points
    return tuple(sorted(together.items())) or ((holder, BASIS_POINTS),)
