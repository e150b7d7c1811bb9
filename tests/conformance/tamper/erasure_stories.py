"""Lies about erasure: rows emptied without an order, orders not carried out, orders nobody may give."""

from __future__ import annotations

from pathlib import Path

from privacy import links
from privacy.envelope import Kind
from privacy.standing import HUB_ID, Role
from tests.conformance.tamper.liar import (
    BIKES,
    NEXT,
    RETAILER,
    Liar,
    released,
    story,
)
from tests.simulator import (
    pseudonym,
)


def _withdrawn() -> Liar:
    """The first epoch is closed; slots 0 and 1 of the bikes have been withdrawn since."""
    hub = released()
    hub.close()
    hub.enrol(BIKES, [], effective=NEXT, withdrawn=[0, 1])
    return hub


def erased() -> Liar:
    """A person was erased between two closes, another by the hub after them."""
    hub = _withdrawn()
    hub.erase(BIKES, [0])
    for one in hub.enterprises:
        hub.release(one.id, NEXT)
    hub.close(NEXT)
    hub.erase(BIKES, [1], by_hub=True)
    return hub


@story
def person_emptied_without_an_order(folder: Path) -> Liar:
    """A person's salt, pseudonym and link are gone from the bodies, and nobody ordered it."""
    hub = _withdrawn()
    hub.empty(BIKES, [0])
    return hub


@story
def order_not_carried_out(folder: Path) -> Liar:
    """An enterprise ordered an erasure; the hub logged the order and kept the rows."""
    hub = _withdrawn()
    hub.append(hub.signed(Kind.ERASURE_ORDER, hub.erasure(BIKES, [0]), BIKES))
    return hub


@story
def more_erased_than_ordered(folder: Path) -> Liar:
    """The order names one slot; two are emptied."""
    hub = _withdrawn()
    hub.erase(BIKES, [0])
    hub.empty(BIKES, [1])
    return hub


@story
def link_of_a_living_person_erased(folder: Path) -> Liar:
    """Under cover of an order the hub also empties the link of a person who stays."""
    hub = _withdrawn()
    hub.erase(BIKES, [0])
    at = hub.find(Kind.LINK_BATCH)
    bodies = list(hub.entries[at].bodies)
    bodies[1] = links.erase(bodies[1], [pseudonym(19)])
    hub.replace(at, hub.entries[at].data, bodies)
    return hub


@story
def link_kept_after_erasure(folder: Path) -> Liar:
    """The roster's row is emptied as ordered; the link still says whose account the person had."""
    hub = _withdrawn()
    at = hub.find(Kind.LINK_BATCH)
    kept = list(hub.entries[at].bodies)
    hub.erase(BIKES, [0])
    hub.replace(at, hub.entries[at].data, kept)
    return hub


@story
def erasure_ordered_by_another_enterprise(folder: Path) -> Liar:
    """An enterprise orders the erasure of a rival's persons."""
    hub = _withdrawn()
    message = hub.erasure(BIKES, [0])
    message.header.CopyFrom(hub.header(Role.ENTERPRISE, RETAILER))
    hub.lie(Kind.ERASURE_ORDER, message, RETAILER)
    return hub


@story
def erasure_of_an_enrolled_person(folder: Path) -> Liar:
    """The hub orders the erasure of somebody who has not withdrawn, to be rid of the account."""
    hub = _withdrawn()
    hub.lie(Kind.HUB_ERASURE_ORDER, hub.erasure(BIKES, [5], by_hub=True), HUB_ID)
    return hub
