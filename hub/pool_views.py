"""What a person gave to programmes' pools, which batches took it, and what their sales owe, to the fen."""

from __future__ import annotations

from accounting.ledger import stakes
from accounting.ledger.stakes import Stake
from accounting.programmes.programme import Programme
from accounting.programmes.words import WHOLE_BASIS_POINTS
from engine.log_facts import LogFacts
from hub.stored_books import StoredBooks


def stakes_in(books: StoredBooks, facts: LogFacts, account: bytes) -> list[tuple[Programme, Stake]]:
    """Give the pools an account has given to, each under its programme's last version."""
    begun = [spans[-1].programme for spans in facts.begun(facts.epoch).values()]
    found = [(one, stakes.stake_of(books, one.id, account)) for one in begun]
    return [(one, stake) for one, stake in found if stake.given_mg]


def share_of_waiting(books: StoredBooks, programme: Programme, stake: Stake) -> int:
    """Give a stake's share of all that waits in the pool, in basis points rounded down."""
    return stake.waiting_mg * WHOLE_BASIS_POINTS // (stakes.whole_waiting_mg(books, programme.id) or 1)
