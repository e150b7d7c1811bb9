"""What an epoch's close does to ledger accounts that are nobody's wallet, and the rows its roots are over."""

from __future__ import annotations

from collections.abc import Mapping

from accounting.ledger import chart, sources
from accounting.ledger.chart import CLAIMS, LedgerAccount
from accounting.ledger.sources import Drawn
from accounting.ledger.transfers import Balance
from accounting.ledger.wallets import Moves, Terms
from accounting.programmes.programme import Programme
from protos.epochs import Epoch, shift_epoch
from protos.problems import InvariantBroken
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN

WALLET_LEAF_BYTES = 48
SYSTEM_LEAF_BYTES = 48
_SIDE_BYTES = 16

System = dict[LedgerAccount, Balance]


def claims_terms(epoch: Epoch) -> Terms:
    """Give the terms of claims: they wait for nobody, never end, and what is owed is owed for good."""
    return Terms(epoch)


def points_terms(programme: Programme, epoch: Epoch) -> Terms:
    """Give a programme's terms for a close."""
    window = programme.claim_window_epochs
    return Terms(
        epoch,
        claims=window > 0,
        expiry_cutoff=programme.expiry.cutoff(epoch),
        claim_cutoff=shift_epoch(epoch, -window) if window else None,
        deficit_cutoff=shift_epoch(epoch, -programme.deficit_epochs_max),
    )


def close_system(
    system: Mapping[LedgerAccount, Balance], ledger: str, moves: Moves, drawn: Drawn | None = None
) -> System:
    """Give the other side of what a close moved in all wallets of a ledger; claims are drawn from sources."""
    changes = {
        chart.expired(ledger): Balance(0, moves.expired),
        chart.written_off(ledger): Balance(moves.written_off, 0),
    }
    if ledger == CLAIMS:
        return added(system, changes | sources.changes(drawn or {}))
    programme = chart.programme_of(ledger)
    changes[chart.mint(programme)] = Balance(moves.credited + moves.capped, moves.clawed_back)
    changes[chart.capped(programme)] = Balance(0, moves.capped)
    return added(system, changes)


def check_balanced(system: Mapping[LedgerAccount, Balance], ledger: str, persons: int) -> None:
    """Hold that what persons have in a ledger, all parts added, others gave; raises InvariantBroken."""
    others = sum(one.credits - one.debits for account, one in system.items() if account.ledger == ledger)
    if persons + others:
        raise InvariantBroken(
            REASON_INVARIANT_BROKEN, f"Ledger {ledger} does not add up to zero: {persons + others}."
        )


def added(system: Mapping[LedgerAccount, Balance], changes: Mapping[LedgerAccount, Balance]) -> System:
    """Add debits and credits to balances; an account comes into being with its first."""
    found = dict(system)
    for account, change in changes.items():
        if change != Balance():
            there = found.get(account, Balance())
            found[account] = Balance(there.debits + change.debits, there.credits + change.credits)
    return found


def system_leaf(account: LedgerAccount, balance: Balance) -> bytes:
    """Encode an account for system_accounts_root: id (16) || debits (i128 be) || credits (i128 be)."""
    sides = (balance.debits, balance.credits)
    return account.id + b"".join(side.to_bytes(_SIDE_BYTES, "big", signed=True) for side in sides)


def system_rows(system: Mapping[LedgerAccount, Balance]) -> bytes:
    """Encode all balances ascending by id, end to end; raises InvariantBroken if a person's part is there."""
    if any(account.person is not None for account in system):
        raise InvariantBroken(REASON_INVARIANT_BROKEN, "A person's wallet is no system account.")
    return b"".join(sorted(system_leaf(account, balance) for account, balance in system.items()))
