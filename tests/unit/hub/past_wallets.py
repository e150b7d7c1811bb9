"""A wallet as a past close left it, from the journal alone: closes' credits and operations' transfers."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select

from accounting.ledger import chart
from accounting.ledger.wallets import Credit, Recent, Wallet, step
from engine.closing import terms_of
from engine.log_facts import LogFacts
from hub.store.ledger_schema import transfer
from hub.store.wallets import read_credits, read_received
from protos.epochs import Epoch


def wallet_at(connection: Connection, facts: LogFacts, ledger: str, account: bytes, epoch: Epoch) -> Wallet:
    """Give a wallet right after an epoch's close; an account that was merged has its own rows only."""
    closes = [one for one in facts.closed_epochs() if one <= epoch]
    key = (ledger, account)
    credits = {one.epoch: one for one in read_credits(connection, [key], closes).get(key, ())}
    gifts = read_received(connection, [key]).get(key, ())
    parts = {
        chart.available(ledger, account).id: "available",
        chart.LedgerAccount(ledger, f"claimable:{account.hex()}").id: "claimable",
        chart.pending(ledger, account).id: "pending",
        chart.deficit(ledger, account).id: "deficit",
    }
    moves = _transfers(connection, list(parts))
    wallet = Wallet()
    for close in closes:
        wallet = _moved(wallet, parts, [(a, b, amount) for at, a, b, amount in moves if at == close])
        terms = terms_of(facts, ledger, close)
        if terms is None:
            continue
        expiry, claim = terms.expiry_cutoff or 0, terms.claim_cutoff or 0
        gained = [(one.epoch, max(one.delta, 0)) for one in credits.values() if one.epoch <= close]
        given = [(one.epoch, one.points) for one in gifts if one.epoch <= close]
        recent = Recent(
            sum(points for at, points in (*gained, *given) if at > expiry),
            sum(points for at, points in gained if at > claim),
        )
        credit = credits.get(close)
        wallet, _ = step(wallet, Credit(credit.delta, credit.capped) if credit else Credit(), recent, terms)
    return wallet


def _moved(wallet: Wallet, parts: dict[bytes, str], moves: list[tuple[bytes, bytes, int]]) -> Wallet:
    """Apply the transfers of an epoch: credits add, debits take; a deficit grows by its debits."""
    amounts = {name: getattr(wallet, name) for name in parts.values()}
    for debit, credit, amount in moves:
        for side, sign in ((debit, -1), (credit, 1)):
            part = parts.get(side)
            if part is not None:
                amounts[part] += -sign * amount if part == "deficit" else sign * amount
    return Wallet(**amounts, deficit_since=wallet.deficit_since if amounts["deficit"] else 0)


def _transfers(connection: Connection, accounts: Collection[bytes]) -> list[tuple[int, bytes, bytes, int]]:
    """Give (epoch, debit, credit, amount) of the transfers of some ledger accounts, in order."""
    columns = (transfer.c.epoch, transfer.c.debit, transfer.c.credit, transfer.c.amount)
    chosen = transfer.c.debit.in_(accounts) | transfer.c.credit.in_(accounts)
    query = select(*columns).where(chosen).order_by(transfer.c.operation, transfer.c.position)
    return [tuple(row) for row in connection.execute(query)]
