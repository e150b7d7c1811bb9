"""Tickets the hub has taken: found again by hash or nonce, listed by account for its person to see."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Self

from sqlalchemy import Connection, delete, select

from hub.store.account_schema import ticket
from hub.store.dialects import insert_or_skip
from privacy.opened_tickets import Ticket


@dataclass(frozen=True, slots=True)
class TakenTicket:
    """A ticket taken `at` (seconds since 1970); `index` is the entry that rests on it, None of a look."""

    hash: bytes
    enterprise: str
    nonce: bytes
    pseudonym: bytes
    purpose: str
    account: bytes
    at: int
    index: int | None = None

    @classmethod
    def of(cls, ticket: Ticket, account: bytes, *, at: int, index: int | None = None) -> Self:
        """Describe a ticket that was checked."""
        enterprise, nonce = ticket.use
        return cls(ticket.hash, enterprise, nonce, ticket.pseudonym, ticket.purpose, account, at, index)


def add_tickets(connection: Connection, taken: Iterable[TakenTicket]) -> None:
    """Note tickets taken; one noted before stays as it is."""
    rows = [
        {
            "hash": one.hash,
            "enterprise": one.enterprise,
            "nonce": one.nonce,
            "pseudonym": one.pseudonym,
            "purpose": one.purpose,
            "account": one.account,
            "at": one.at,
            "idx": one.index,
        }
        for one in taken
    ]
    if rows:
        connection.execute(insert_or_skip(connection, ticket), rows)


def is_taken(connection: Connection, enterprise: str, nonce: bytes) -> bool:
    """Say whether a ticket with an enterprise's nonce was taken."""
    query = select(ticket.c.hash).where(ticket.c.enterprise == enterprise, ticket.c.nonce == nonce)
    return connection.scalar(query) is not None


def find_index(connection: Connection, ticket_hash: bytes) -> int | None:
    """Give the entry that rests on a ticket, by its hash."""
    return connection.scalar(select(ticket.c.idx).where(ticket.c.hash == ticket_hash))


def read_tickets(connection: Connection, accounts: Collection[bytes], limit: int) -> list[TakenTicket]:
    """List the tickets last taken for accounts, the newest first."""
    query = select(ticket).where(ticket.c.account.in_(accounts))
    rows = connection.execute(query.order_by(ticket.c.at.desc(), ticket.c.hash).limit(limit))
    return [TakenTicket(*row) for row in rows]


def forget_looks(connection: Connection, before: int) -> None:
    """Forget looks taken before a time; what entries rest on stays."""
    connection.execute(delete(ticket).where(ticket.c.idx.is_(None), ticket.c.at < before))


def remove_tickets(connection: Connection, pseudonyms: Collection[bytes]) -> None:
    """Forget that tickets of these pseudonyms were taken."""
    for pseudonym in pseudonyms:
        connection.execute(delete(ticket).where(ticket.c.pseudonym == pseudonym))
