"""A person's part of a ledger, and its step through an epoch's close, for one wallet and for all by SQL.

A close credits the difference of two positions, which noise makes negative at times. Nothing is clipped at
zero: a negative difference is clawed back from what is there, and what is not there becomes a deficit that
later credits repay first. A deficit that has stood for the programme's number of epochs is written off.

Expiry needs no lots. What leaves a wallet leaves its oldest part, so of available + claimable all that is
above what was credited after the cutoff is older than it: the same as first-in-first-out lots.
"""

# ruff: noqa: S608  (SQL is what this module makes; the names in it are the caller's own tables)

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from accounting.ledger.chart import WALLET_PARTS
from accounting.ledger.transfers import Transfer
from protos.epochs import Epoch
from protos.problems import InvariantBroken
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN


@dataclass(frozen=True, slots=True)
class Wallet:
    """What a person has in one ledger; none is ever below zero.

    While there is a deficit nothing is available or claimable. `deficit_since` is the epoch whose close made
    the deficit, 0 without one.
    """

    available: int = 0
    claimable: int = 0
    pending: int = 0
    deficit: int = 0
    deficit_since: int = 0


class Credit(NamedTuple):
    """What a close gives a wallet: the difference of positions, without what was above the cap."""

    delta: int = 0
    capped: int = 0


class Recent(NamedTuple):
    """What was credited after the expiry's cutoff, and within the claim window, this close's included."""

    unexpired: int = 0
    unclaimed: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """How one close steps a ledger's wallets.

    `claims`: credits wait to be collected. `expiry_cutoff`: the last epoch whose credits end with this close.
    `claim_cutoff`: the same for what was not collected. `deficit_cutoff`: deficits as old are written off.
    None ends nothing.
    """

    epoch: Epoch
    claims: bool = False
    expiry_cutoff: Epoch | None = None
    claim_cutoff: Epoch | None = None
    deficit_cutoff: Epoch | None = None


class Moves(NamedTuple):
    """What a close moved: credited and clawed back with what deficits took, above the cap, ended."""

    credited: int = 0
    clawed_back: int = 0
    capped: int = 0
    expired: int = 0
    written_off: int = 0


STEP_COLUMNS = (
    "account",
    "available",
    "claimable",
    "pending",
    "deficit",
    "deficit_since",
    "credited",
    "clawed_back",
    "capped",
    "expired",
    "written_off",
)


def step(wallet: Wallet, credit: Credit, recent: Recent, terms: Terms) -> tuple[Wallet, Moves]:
    """Step one wallet through a close."""
    gained, lost = max(credit.delta, 0), max(-credit.delta, 0)
    repaid = min(gained, wallet.deficit)
    fresh = gained - repaid
    from_available = min(lost, wallet.available)
    from_claimable = min(lost - from_available, wallet.claimable)
    available = wallet.available - from_available + (0 if terms.claims else fresh)
    claimable = wallet.claimable - from_claimable + (fresh if terms.claims else 0)
    deficit = wallet.deficit - repaid + lost - from_available - from_claimable
    since = (wallet.deficit_since if wallet.deficit else terms.epoch) if deficit else 0

    uncollected = 0 if terms.claim_cutoff is None else max(0, claimable - recent.unclaimed)
    claimable -= uncollected
    old = 0 if terms.expiry_cutoff is None else max(0, available + claimable - recent.unexpired)
    expired = min(old, available)
    written_off = deficit if deficit and since <= (terms.deficit_cutoff or 0) else 0
    stepped = Wallet(
        available - expired,
        claimable,
        wallet.pending,
        deficit - written_off,
        0 if written_off else since,
    )
    return stepped, Moves(gained, lost, credit.capped, uncollected + expired, written_off)


def credit_sql(position: str, before: str, *, epoch_points: int = 0) -> str:
    """Give (account, delta, capped, variance) of a close, one row an account of either relation.

    `position` has (account, position, variance) now, `before` (account, position) as the closes before have
    credited and capped it.
    """
    rows = (
        "SELECT coalesce(p.account, b.account) AS account, "
        "coalesce(p.position, 0) - coalesce(b.position, 0) AS moved, "
        "coalesce(p.variance, 0) AS variance "
        f"FROM {position} AS p FULL OUTER JOIN {before} AS b ON p.account = b.account"
    )
    above = (
        f"CASE WHEN moved > {epoch_points} THEN moved - {epoch_points} ELSE 0 END" if epoch_points else "0"
    )
    return (
        "SELECT account, CAST(moved - capped AS BIGINT) AS delta, CAST(capped AS BIGINT) AS capped, "
        f"CAST(variance AS BIGINT) AS variance FROM (SELECT account, moved, variance, {above} AS capped "
        f"FROM ({rows}) AS m) AS c"
    )


def recent_sql(credit: str, received: str, terms: Terms) -> str:
    """Give (account, unexpired, unclaimed): what counts as recent in a close, see Recent.

    `credit` has (account, epoch, delta) of all closes up to this one, `received` (account, epoch, points).
    """
    expiry, claim = terms.expiry_cutoff or 0, terms.claim_cutoff or 0
    return (
        "SELECT account, "
        f"CAST(SUM(CASE WHEN epoch > {expiry} THEN gained ELSE 0 END) AS BIGINT) AS unexpired, "
        f"CAST(SUM(CASE WHEN epoch > {claim} THEN credited ELSE 0 END) AS BIGINT) AS unclaimed "
        f"FROM (SELECT account, epoch, delta AS gained, delta AS credited FROM {credit} WHERE delta > 0 "
        f"UNION ALL SELECT account, epoch, points AS gained, 0 AS credited FROM {received}) AS g "
        "GROUP BY account"
    )


def merged_sql(wallet: str, merged: str) -> str:
    """Add up the wallets of accounts that became one; what one of them has repays what another owes.

    `merged` has (account, target), each account's last target.
    """
    sums = ", ".join(f"SUM({name}) AS {name}" for name in ("available", "claimable", "pending", "deficit"))
    joined = (
        f"SELECT coalesce(m.target, w.account) AS account, {sums}, "
        "coalesce(MIN(CASE WHEN deficit_since > 0 THEN deficit_since END), 0) AS since "
        f"FROM {wallet} AS w LEFT JOIN {merged} AS m ON m.account = w.account "
        "GROUP BY coalesce(m.target, w.account)"
    )
    repaid = (
        "SELECT *, least(deficit, available) AS from_available, "
        f"least(deficit - least(deficit, available), claimable) AS from_claimable FROM ({joined}) AS j"
    )
    columns = {
        "available": "available - from_available",
        "claimable": "claimable - from_claimable",
        "pending": "pending",
        "deficit": "deficit - from_available - from_claimable",
        "deficit_since": "CASE WHEN deficit > from_available + from_claimable THEN since ELSE 0 END",
    }
    chosen = ", ".join(f"CAST({text} AS BIGINT) AS {name}" for name, text in columns.items())
    return f"SELECT account, {chosen} FROM ({repaid}) AS r"


def step_sql(wallet: str, credit: str, recent: str, terms: Terms) -> str:
    """Step all wallets of a ledger through a close: STEP_COLUMNS, ascending by account.

    `wallet` has a column for each field of Wallet; `credit` is this close's. The same arithmetic as `step`.
    """
    joined = (
        "SELECT coalesce(w.account, c.account) AS account, coalesce(w.available, 0) AS available, "
        "coalesce(w.claimable, 0) AS claimable, coalesce(w.pending, 0) AS pending, "
        "coalesce(w.deficit, 0) AS deficit, coalesce(w.deficit_since, 0) AS deficit_since, "
        "greatest(coalesce(c.delta, 0), 0) AS credited, greatest(-coalesce(c.delta, 0), 0) AS clawed_back, "
        f"coalesce(c.capped, 0) AS capped FROM {wallet} AS w FULL OUTER JOIN {credit} AS c "
        "ON w.account = c.account"
    )
    taken = (
        "SELECT *, least(credited, deficit) AS repaid, least(clawed_back, available) AS from_available, "
        "least(clawed_back - least(clawed_back, available), claimable) AS from_claimable "
        f"FROM ({joined}) AS j"
    )
    fresh = "credited - repaid"
    moved = (
        "SELECT account, pending, credited, clawed_back, capped, deficit AS deficit_before, deficit_since, "
        f"available - from_available + {'0' if terms.claims else fresh} AS available, "
        f"claimable - from_claimable + {fresh if terms.claims else '0'} AS claimable, "
        "deficit - repaid + clawed_back - from_available - from_claimable AS deficit "
        f"FROM ({taken}) AS t"
    )
    uncollected = "0" if terms.claim_cutoff is None else "greatest(claimable - coalesce(r.unclaimed, 0), 0)"
    dated = (
        "SELECT m.*, coalesce(r.unexpired, 0) AS unexpired, "
        f"CASE WHEN deficit = 0 THEN 0 WHEN deficit_before = 0 THEN {terms.epoch} ELSE deficit_since END "
        f"AS since, {uncollected} AS uncollected "
        f"FROM ({moved}) AS m LEFT JOIN ({recent}) AS r ON m.account = r.account"
    )
    old = "greatest(available + claimable - uncollected - unexpired, 0)"
    expired = "0" if terms.expiry_cutoff is None else f"least({old}, available)"
    ended = (
        f"SELECT *, {expired} AS ended, "
        f"CASE WHEN deficit > 0 AND since <= {terms.deficit_cutoff or 0} THEN deficit ELSE 0 END "
        "AS written_off "
        f"FROM ({dated}) AS d"
    )
    columns = {
        "available": "available - ended",
        "claimable": "claimable - uncollected",
        "pending": "pending",
        "deficit": "deficit - written_off",
        "deficit_since": "CASE WHEN written_off > 0 THEN 0 ELSE since END",
        "credited": "credited",
        "clawed_back": "clawed_back",
        "capped": "capped",
        "expired": "uncollected + ended",
        "written_off": "written_off",
    }
    chosen = ", ".join(f"CAST({text} AS BIGINT) AS {name}" for name, text in columns.items())
    return f"SELECT account, {chosen} FROM ({ended}) AS e ORDER BY account"


def apply_transfers(wallet: Wallet, ledger: str, account: bytes, transfers: Iterable[Transfer]) -> Wallet:
    """Give the wallet after transfers; raises InvariantBroken where a part would go below zero."""
    parts = {name: getattr(wallet, name) for name in ("available", "claimable", "pending", "deficit")}
    for one in transfers:
        for side, sign in ((one.debit, -1), (one.credit, 1)):
            if side.ledger == ledger and side.person == account:
                part = WALLET_PARTS[side.kind]
                parts[part] += -sign * one.amount if part == "deficit" else sign * one.amount
    if min(parts.values()) < 0:
        raise InvariantBroken(REASON_INVARIANT_BROKEN, f"A wallet of {ledger} would go below zero.")
    return Wallet(**parts, deficit_since=wallet.deficit_since if parts["deficit"] else 0)
