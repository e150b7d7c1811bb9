"""Lies about participants: who records what of whom, whose account is whose, and on whose word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from privacy import account_changes as changes
from privacy.choices import subject
from privacy.envelope import Kind
from privacy.selections import build_selection
from privacy.standing import HUB_ID, Role, Selection
from protos.epochs import Epoch
from protos.v1 import programme_pb2
from tests.conformance.tamper.liar import BIKES, RETAILER, Liar, counted, story
from tests.simulator import EPOCH, account
from tests.unit.auditor.city import PACK_IDS, enterprise, parts, real_packs

FEBRUARY = Epoch(202102)


def overlapping() -> Liar:
    """Both enterprises record bicycle trips; persons 6 to 11 are on both rosters."""
    packs = real_packs()
    bikes = packs[PACK_IDS[0]]
    both = [enterprise(BIKES, range(12), bikes, packs), enterprise(RETAILER, range(6, 20), bikes, packs)]
    changed = {"enterprises": both, "policy_changes": {"default_recording": "first_enrolled"}}
    return counted(**{**parts(), **changed})


def _change(hub: Liar, kind: Any, person: int, *tickets: bytes, **rest: Any) -> None:
    built = changes.build_change(
        hub.header(Role.HUB, HUB_ID),
        kind=kind,
        effective=EPOCH,
        salt=bytes(32),
        account=account(person),
        tickets=tickets,
        **rest,
    )
    hub.lie(Kind.ACCOUNT_CHANGE, built.message, HUB_ID, bodies=built.bodies)


@story
def selection_not_obeyed(folder: Path) -> Liar:
    """An enterprise releases as if nothing had been selected for it."""
    hub = overlapping()
    built = hub.release_message(RETAILER, hub.reserve(RETAILER))
    built.message.selection_hash = b""
    hub.lie(Kind.RELEASE, built.message, RETAILER, bodies=built.bodies)
    return hub


@story
def selection_withheld(folder: Path) -> Liar:
    """The hub lets an enterprise settle an epoch without the selection it needs: walks are paid twice."""
    hub = overlapping()
    hub.lie(Kind.RESERVATION, hub.reservation(RETAILER), RETAILER)
    return hub


@story
def selection_favours_an_enterprise(folder: Path) -> Liar:
    """The hub takes one person away from the enterprise that records first."""
    hub = overlapping()
    [overlap_class] = hub.state.participants.select(RETAILER, EPOCH).exclusions
    built = build_selection(
        hub.header(Role.HUB, HUB_ID),
        enterprise_id=BIKES,
        epoch=EPOCH,
        salt=bytes(32),
        selection=Selection({overlap_class: (7,)}),
    )
    hub.append(hub.signed(Kind.SELECTION, built.message, HUB_ID), built.bodies)
    hub.lie(Kind.RESERVATION, hub.reservation(BIKES), BIKES)
    return hub


@story
def choice_forged(folder: Path) -> Liar:
    """The hub logs a choice that its ticket's person did not make."""
    hub = overlapping()
    made = programme_pb2.Choice(account=account(7))
    made.recording.overlap_class, made.recording.enterprise_id = "OC-TRIP", RETAILER
    forged = programme_pb2.Choice(account=account(7))
    forged.recording.overlap_class, forged.recording.enterprise_id = "OC-TRIP", BIKES
    built = hub.choice_batch([forged], [hub.ticket(BIKES, 7, "choose", subject=subject(made))], FEBRUARY)
    hub.lie(Kind.CHOICE_BATCH, built.message, HUB_ID, bodies=built.bodies)
    return hub


@story
def merge_without_the_second_ticket(folder: Path) -> Liar:
    """The hub merges two accounts on the word of one person."""
    hub = overlapping()
    _change(hub, changes.MERGE, 3, hub.ticket(BIKES, 3, "merge"), other_account=account(15))
    return hub


@story
def merge_with_a_ticket_of_another_merge(folder: Path) -> Liar:
    """The hub pairs two persons' tickets that were not made for each other."""
    hub = overlapping()
    tickets = (hub.ticket(BIKES, 3, "merge"), hub.ticket(RETAILER, 15, "merge"))
    _change(hub, changes.MERGE, 3, *tickets, other_account=account(15))
    return hub


@story
def ticket_used_twice(folder: Path) -> Liar:
    """A ticket that proved control closes the account as well: its nonce comes again."""
    hub = overlapping()
    nonce = bytes(range(16))
    hub.change(changes.PROVE, account(3), hub.ticket(BIKES, 3, "prove", nonce=nonce))
    _change(hub, changes.CLOSE, 3, hub.ticket(BIKES, 3, "close", nonce=nonce))
    return hub


@story
def ticket_of_a_stranger(folder: Path) -> Liar:
    """An enterprise vouches for a person it has not enrolled."""
    hub = overlapping()
    _change(hub, changes.PROVE, 3, hub.ticket(RETAILER, 3, "prove"))
    return hub
