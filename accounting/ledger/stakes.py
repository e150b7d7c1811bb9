"""Stakes in a programme's pool, and what sales of its batches owe to those whose grams are in them.

What somebody gives to a pool is a stake in it. A batch takes the same fraction of every stake that lies in
the pool, and what its units bring is owed by the milligram. Nobody is written to when a batch is issued or
sold: a stake is counters by how many batches there were before, and what is owed follows from them when
somebody asks. All of it is floored, so never more is owed than came in; what is nobody's goes into the fund.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accounting.ledger import chart
from accounting.ledger.books import Batch, Books
from accounting.ledger.chart import LedgerAccount
from accounting.programmes.issue_rules import PARTICIPANTS


@dataclass(frozen=True, slots=True)
class Part:
    """What of a stake a batch took, in mg, and the fen that its sales owe for it so far."""

    batch: str
    milligrams: int
    fen: int


@dataclass(frozen=True, slots=True)
class Stake:
    """One person's stake: all given, the parts that batches took, what waits for the next, what was drawn."""

    given_mg: int
    parts: tuple[Part, ...]
    waiting_mg: int
    drawn_fen: int

    @property
    def owed_fen(self) -> int:
        """Give all that sales have owed."""
        return sum(one.fen for one in self.parts)

    @property
    def due_fen(self) -> int:
        """Give what is owed and was not drawn yet."""
        return self.owed_fen - self.drawn_fen


def taken_parts(given: Sequence[int], batches: Sequence[Batch]) -> tuple[list[int], int]:
    """Say what each batch took of a stake, and what waits; `given[n]` came after n batches."""
    waiting, parts = given[0], []
    for batch, later in zip(batches, given[1:], strict=True):
        parts.append(waiting * batch.milligrams // batch.pool_mg)
        waiting = waiting * (batch.pool_mg - batch.milligrams) // batch.pool_mg + later
    return parts, waiting


def stake_of(books: Books, programme: str, account: bytes) -> Stake:
    """Read the stake of an account, of which others may be a part."""
    batches, accounts = _batches(books, programme), books.parts(account)
    given = [sum(books.count(_given(programme, at, one)) for one in accounts) for at in _places(batches)]
    mine, waiting = taken_parts(given, batches)
    whole, _ = _whole(books, programme, batches)
    parts = tuple(
        Part(batch.name, part, part * books.count(_proceeds(batch)) // all_parts if part else 0)
        for batch, part, all_parts in zip(batches, mine, whole, strict=True)
    )
    return Stake(sum(given), parts, waiting, sum(books.count(drawn(programme, one)) for one in accounts))


def whole_waiting_mg(books: Books, programme: str) -> int:
    """Give what of all stakes together waits in the pool."""
    return _whole(books, programme, _batches(books, programme))[1]


def gave(books: Books, programme: str, account: bytes, milligrams: int) -> Mapping[str, int]:
    """Count what is given to a pool now: the giver's, and everybody's."""
    at = len(_batches(books, programme))
    return {_given(programme, at, account): milligrams, _given(programme, at): milligrams}


def sold(books: Books, batch: Batch, fen: int) -> tuple[int, Mapping[str, int]]:
    """Say what of the participants' share of a sale their grams brought, and count it."""
    batches = _batches(books, batch.programme)
    whole, _ = _whole(books, batch.programme, batches)
    theirs = fen * whole[[one.name for one in batches].index(batch.name)] // batch.milligrams
    return theirs, {_proceeds(batch): theirs} if theirs else {}


def account_of(programme: str) -> LedgerAccount:
    """Name the money that waits for participants, what floors leave to nobody with it."""
    return chart.fund(programme, PARTICIPANTS)


def drawn(programme: str, account: bytes) -> str:
    """Name the counter of what an account has drawn or reserved of what sales owe it."""
    return f"drawn:{programme}:{account.hex()}"


def _whole(books: Books, programme: str, batches: Sequence[Batch]) -> tuple[list[int], int]:
    """Reckon all stakes as if one person's: never less than the persons' parts added up."""
    return taken_parts([books.count(_given(programme, at)) for at in _places(batches)], batches)


def _batches(books: Books, programme: str) -> list[Batch]:
    return [one for one in books.batches() if one.programme == programme]


def _places(batches: Sequence[Batch]) -> range:
    return range(len(batches) + 1)


def _given(programme: str, batches: int, account: bytes | None = None) -> str:
    """Name the counter of mg given after so many batches: an account's, or everybody's."""
    whose = f":{account.hex()}" if account is not None else ""
    return f"staked:{programme}:{batches}{whose}"


def _proceeds(batch: Batch) -> str:
    return f"proceeds:{batch.name}"
