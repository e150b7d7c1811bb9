"""Lies about closes: books off by a gram, answers overlooked, silence hidden."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from privacy import merkle
from privacy.envelope import Kind
from privacy.standing import HUB_ID
from tests.conformance.tamper.liar import (
    NEXT,
    RETAILER,
    Liar,
    counted,
    released,
    settled,
    story,
)
from tests.simulator import (
    EPOCH,
)


def _closing(change: Callable[[Any], None]) -> Liar:
    """Close with a change that the hub signs."""
    hub = released()
    message = hub.close_message()
    change(message)
    data = hub.signed(Kind.EPOCH_CLOSE, message, HUB_ID)
    hub.is_lying = True
    hub.append(data)
    return hub


def _books(hub: Liar) -> dict[bytes, tuple[int, int]]:
    """Give the milligrams and the variance of each account at the first close."""
    return {name: (mg, variance) for name, (mg, variance, _) in hub.accounts(EPOCH).items()}


def _root(books: dict[bytes, tuple[int, int]]) -> bytes:
    """Give the root over false books, as an honest close would reckon it."""
    return merkle.root(
        name + mg.to_bytes(8, "big", signed=True) + variance.to_bytes(16, "big")
        for name, (mg, variance) in sorted(books.items())
    )


@story
def account_off_by_one_gram(folder: Path) -> Liar:
    """One account has one gram more than its statements give; total and root are those of the false books."""
    hub = released()
    books = _books(hub)
    favoured = min(books)
    books[favoured] = (books[favoured][0] + 1000, books[favoured][1])
    message = hub.close_message()
    message.total_mg += 1000
    message.accounts_root = _root(books)
    hub.append(hub.signed(Kind.EPOCH_CLOSE, message, HUB_ID))
    return hub


@story
def grams_moved_between_accounts(folder: Path) -> Liar:
    """One gram moves from one account to another: the total holds, the root does not."""
    hub = released()
    books = _books(hub)
    giver, taker = min(books), max(books)
    books[giver] = (books[giver][0] - 1000, books[giver][1])
    books[taker] = (books[taker][0] + 1000, books[taker][1])
    message = hub.close_message()
    message.accounts_root = _root(books)
    hub.append(hub.signed(Kind.EPOCH_CLOSE, message, HUB_ID))
    return hub


@story
def sham_account(folder: Path) -> Liar:
    """The close counts an account that no statement feeds."""
    return _closing(lambda message: setattr(message, "accounts", message.accounts + 1))


@story
def shared_accounts_inflated(folder: Path) -> Liar:
    """The close says more accounts are fed by two enterprises than are."""
    return _closing(
        lambda message: setattr(message, "accounts_in_two_or_more", message.accounts_in_two_or_more + 1)
    )


@story
def close_over_another_log(folder: Path) -> Liar:
    """The close stands on a root that the log never had."""
    return _closing(lambda message: setattr(message, "log_root", bytes(32)))


@story
def close_that_overlooks_an_answer(folder: Path) -> Liar:
    """The close stands on a beginning of the log without the last release."""
    hub = released()
    message = hub.close_message()
    message.log_size = hub.state.size - 1
    message.log_root = hub.state.root(message.log_size)
    hub.lie(Kind.EPOCH_CLOSE, message, HUB_ID)
    return hub


@story
def silence_hidden_by_the_close(folder: Path) -> Liar:
    """An enterprise said nothing, and the close does not say so."""
    hub = counted()
    hub.release(RETAILER)
    message = hub.close_message()
    del message.missing[:]
    hub.lie(Kind.EPOCH_CLOSE, message, HUB_ID)
    return hub


@story
def dropped_epoch(folder: Path) -> Liar:
    """Nobody released the second epoch, and it is closed as if nothing were amiss."""
    hub = released()
    hub.close()
    hub.close(NEXT)
    return hub


@story
def closed_twice(folder: Path) -> Liar:
    """An epoch is closed a second time, with other books."""
    hub = settled()
    hub.lie(Kind.EPOCH_CLOSE, hub.close_message(NEXT), HUB_ID)
    return hub


@story
def link_moved_to_another_account(folder: Path) -> Liar:
    """A person's pseudonym is linked a second time, to somebody else's account."""
    hub = counted()
    built = hub.link_batch([0])
    hub.lie(Kind.LINK_BATCH, built.message, HUB_ID, bodies=built.bodies)
    return hub
