"""Lies about what samples stand on: commitments left out or backdated, beacons of choice."""

from __future__ import annotations

from pathlib import Path

from privacy.envelope import Kind
from privacy.standing import HUB_ID
from tests.conformance.tamper.liar import (
    BIKES,
    NEXT,
    RETAILER,
    Liar,
    counted,
    story,
)

ASKED = {"commitment_required": True, "commitment_deadline_days": 20, "issued_at": 1_600_000_000}
# The deadline of January's commitments, 2021-02-21 00:00 in UTC+8.
DUE = 1_613_836_800


def _committed() -> Liar:
    """The first epoch is released and closed under a policy that asks for commitments."""
    hub = counted(policy_changes=ASKED)
    for one in hub.enterprises:
        hub.commit(one.id)
        hub.release(one.id)
    return hub


def _closed_at(hub: Liar, issued_at: int) -> None:
    message = hub.close_message()
    message.header.issued_at = issued_at
    hub.append(hub.signed(Kind.EPOCH_CLOSE, message, HUB_ID))


def sampled() -> Liar:
    """The beacon over the first epoch's commitments is drawn."""
    hub = _committed()
    hub.close()
    hub.draw_beacon()
    return hub


@story
def commitment_backdated(folder: Path) -> Liar:
    """A commitment says it was made before its deadline; the hub's close before it in the log is later."""
    hub = _committed()
    _closed_at(hub, DUE + 86_400)
    hub.commit(BIKES, NEXT, issued_at=DUE - 86_400)
    return hub


@story
def beacon_never_drawn(folder: Path) -> Liar:
    """The hub has no beacon drawn, so that no leaf of an epoch must ever be shown."""
    hub = _committed()
    # December's commitments were due by 2021-01-21, its beacon twenty days later.
    _closed_at(hub, DUE - 31 * 86_400 + 20 * 86_400)
    return hub


@story
def commitment_left_out(folder: Path) -> Liar:
    """A release stands in the log without the commitment its policy asks for."""
    hub = counted(policy_changes=ASKED)
    built = hub.release_message(BIKES, hub.reserve(BIKES))
    hub.lie(Kind.RELEASE, built.message, BIKES, bodies=built.bodies)
    return hub


@story
def commitment_to_a_closed_epoch(folder: Path) -> Liar:
    """An enterprise that is missing at the close commits once it knows which leaves will be drawn."""
    hub = counted(policy_changes=ASKED)
    hub.commit(BIKES)
    hub.release(BIKES)
    hub.close()
    hub.draw_beacon()
    hub.lie(Kind.COMMITMENT, hub.commitment(RETAILER), RETAILER)
    return hub


@story
def beacon_of_one_custodians_choice(folder: Path) -> Liar:
    """One custodian answers with what it likes instead of its share's evaluation."""
    hub = _committed()
    hub.close()
    message = hub.beacon_message()
    message.parts[1].evaluated = message.parts[0].evaluated
    hub.lie(Kind.BEACON, message, HUB_ID)
    return hub


@story
def second_beacon(folder: Path) -> Liar:
    """The hub has an epoch's beacon drawn again, over a checkpoint whose draws it may like better."""
    hub = sampled()
    hub.lie(Kind.BEACON, hub.beacon_message(), HUB_ID)
    return hub


@story
def beacon_before_the_commitment(folder: Path) -> Liar:
    """The beacon is over a checkpoint that an enterprise's commitment stands behind."""
    hub = counted(policy_changes=ASKED)
    note = hub.checkpoint()
    for one in hub.enterprises:
        hub.commit(one.id)
        hub.release(one.id)
    hub.close()
    hub.lie(Kind.BEACON, hub.beacon_message(note=note), HUB_ID)
    return hub
