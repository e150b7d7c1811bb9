"""Which account a pseudonym's statements go to, epoch by epoch, after all changes that act so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

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
    merged = _merged(moves)
    split = {move.pseudonym for move in moves if isinstance(move, Split)}
    changed = _changed_accounts(moves, merged)
    found = [
        one
        for pseudonym, account in sorted(linked.items())
        if pseudonym in split or merged.get(account, account) in changed
        for one in _holdings_of(pseudonym, account, moves, merged)
    ]
    return Holdings(tuple(found), merged)


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


def _holdings_of(
    pseudonym: bytes, account: bytes, moves: Sequence[Move], merged: Mapping[bytes, bytes]
) -> Iterator[Holding]:
    """Cut a pseudonym's epochs where its account, or what becomes of that, changes."""
    splits = [move for move in moves if isinstance(move, Split) and move.pseudonym == pseudonym]
    splits.sort(key=lambda move: move.effective)
    cuts = {ALWAYS, FOREVER, *(move.effective for move in moves)}
    before: Holding | None = None
    for since, until in pairwise(sorted(cuts)):
        holder = account
        for move in splits:
            holder = move.account if move.effective <= since else holder
        parts = _parts(merged.get(holder, holder), since, moves, merged)
        if before is not None and before.parts == parts:
            before = Holding(pseudonym, before.since, until, parts)
            continue
        if before is not None:
            yield before
        before = Holding(pseudonym, since, until, parts)
    if before is not None:
        yield before


def _parts(
    holder: bytes, epoch: Epoch, moves: Sequence[Move], merged: Mapping[bytes, bytes]
) -> tuple[tuple[bytes, int], ...]:
    """Give who gets an account's statements of an epoch."""
    parts: tuple[tuple[bytes, int], ...] = ((holder, BASIS_POINTS),)
    for move in sorted(moves, key=lambda one: one.effective):
        if move.effective > epoch:
            break
        if isinstance(move, Closure) and merged.get(move.account, move.account) == holder:
            return ()
        if isinstance(move, ShareOut) and merged.get(move.household, move.household) == holder:
            together: dict[bytes, int] = {}
            for account, points in move.parts:
                current = merged.get(account, account)
                together[current] = together.get(current, 0) + points
            parts = tuple(sorted(together.items())) or ((holder, BASIS_POINTS),)
    return parts
