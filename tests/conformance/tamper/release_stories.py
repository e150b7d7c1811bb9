"""Lies about charges and releases: paid too little, drawn twice, over other persons, or shown otherwise."""

from __future__ import annotations

import hashlib
from pathlib import Path

from privacy.envelope import Kind
from tests.conformance.tamper.liar import (
    BIKES,
    NEXT,
    Liar,
    counted,
    released,
    settled,
    story,
)
from tests.simulator import (
    EPOCH,
)


@story
def budget_off_by_one(folder: Path) -> Liar:
    """A reservation charges one unit less than its scale and reach cost."""
    hub = counted()
    message = hub.reservation(BIKES)
    epsilon = message.charges[0].claim.epsilon
    epsilon.numerator, epsilon.denominator = epsilon.numerator * 1000 - 1, epsilon.denominator * 1000
    hub.lie(Kind.RESERVATION, message, BIKES)
    return hub


@story
def noise_scale_off_by_one(folder: Path) -> Liar:
    """A release claims a noise one gram narrower than the policy asks."""
    hub = counted()
    built = hub.release_message(BIKES, hub.reserve(BIKES))
    built.message.statements[0].claim.scale -= 1
    hub.lie(Kind.RELEASE, built.message, BIKES, bodies=built.bodies)
    return hub


@story
def reservation_for_half_the_series(folder: Path) -> Liar:
    """A reservation leaves a series out, which would be released for nothing."""
    hub = counted()
    message = hub.reservation(BIKES)
    del message.charges[-1]
    hub.lie(Kind.RESERVATION, message, BIKES)
    return hub


@story
def reservation_paid_twice(folder: Path) -> Liar:
    """Two releases are paid by one reservation."""
    hub = counted()
    reservation = hub.reserve(BIKES)
    for epoch in (EPOCH, NEXT):
        built = hub.release_message(BIKES, reservation, epoch)
        if epoch == EPOCH:
            hub.append(hub.signed(Kind.RELEASE, built.message, BIKES), built.bodies)
        else:
            hub.lie(Kind.RELEASE, built.message, BIKES, bodies=built.bodies)
    return hub


@story
def release_without_reservation(folder: Path) -> Liar:
    """A release was drawn before its charge was logged."""
    hub = counted()
    built = hub.release_message(BIKES, hashlib.sha256(b"no reservation").digest())
    hub.lie(Kind.RELEASE, built.message, BIKES, bodies=built.bodies)
    return hub


@story
def replayed_release(folder: Path) -> Liar:
    """The hub logs one release a second time, to pay it twice."""
    hub = settled()
    hub.is_lying = True
    hub.append(*hub.entries[hub.find(Kind.RELEASE)])
    return hub


@story
def second_release_of_an_epoch(folder: Path) -> Liar:
    """An enterprise releases an epoch again, with fresh noise."""
    hub = released()
    message = hub.reservation(BIKES)
    hub.lie(Kind.RESERVATION, message, BIKES)
    return hub


@story
def statement_for_fewer_slots(folder: Path) -> Liar:
    """A release leaves out one person of the roster: idle persons must not be told by their absence."""
    hub = counted()
    built = hub.release_message(BIKES, hub.reserve(BIKES))
    built.message.active_slots -= 1
    for statement in built.message.statements:
        statement.rows -= 1
    hub.lie(Kind.RELEASE, built.message, BIKES, bodies=built.bodies)
    return hub


@story
def release_over_another_roster(folder: Path) -> Liar:
    """A release names the root of a roster that is not the logged one."""
    hub = counted()
    built = hub.release_message(BIKES, hub.reserve(BIKES))
    built.message.roster_root = hashlib.sha256(b"another roster").digest()
    hub.lie(Kind.RELEASE, built.message, BIKES, bodies=built.bodies)
    return hub


@story
def unlogged_body(folder: Path) -> Liar:
    """Statements beside the log are not those the enterprise signed: one account gets one gram more."""
    hub = settled()
    at = hub.find(Kind.RELEASE)
    body = bytearray(hub.entries[at].bodies[0])
    body[-8] ^= 1
    hub.replace(at, hub.entries[at].data, [bytes(body), *hub.entries[at].bodies[1:]])
    return hub


@story
def surplus_body(folder: Path) -> Liar:
    """A body lies beside a release that its envelope does not bind."""
    hub = settled()
    at = hub.find(Kind.RELEASE)
    hub.replace(at, hub.entries[at].data, [*hub.entries[at].bodies, hub.entries[at].bodies[0]])
    return hub


@story
def reordered_chunks(folder: Path) -> Liar:
    """A roster's chunk and its opening have changed places."""
    hub = settled()
    at = hub.find(Kind.ROSTER_BATCH)
    hub.replace(at, hub.entries[at].data, hub.entries[at].bodies[::-1])
    return hub


@story
def statements_of_another_epoch(folder: Path) -> Liar:
    """The statements of two epochs have changed places."""
    hub = settled()
    first, second = hub.find(Kind.RELEASE, 0), hub.find(Kind.RELEASE, 2)
    bodies = hub.entries[first].bodies
    hub.replace(first, hub.entries[first].data, hub.entries[second].bodies)
    hub.replace(second, hub.entries[second].data, bodies)
    return hub
