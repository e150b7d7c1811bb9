"""Lies about deadlines: who is missing, since when, and who was called so although it answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from privacy import checkpoint, envelope
from privacy.deposits import Deposit, sign_deposit
from privacy.envelope import Kind
from privacy.standing import HUB_ID, Role
from protos.epochs import Epoch
from tests.conformance.tamper.liar import (
    BIKES,
    RETAILER,
    WITNESS,
    Liar,
    counted,
    lying,
    story,
    witnessed,
)
from tests.simulator import (
    ISSUED_AT,
    ORIGIN,
    Federation,
    key,
)
from tests.unit.auditor.city import parts

DEADLINE_DAYS = 20
# The documents are younger than the first epoch's end: its deadline runs from them.
DUE_AT = ISSUED_AT + DEADLINE_DAYS * 86_400


def awaited(**changes: Any) -> Liar:
    """The bikes have released the first epoch, the retailer has until the deadline; custodians reported."""
    hub = counted(policy_changes={"deadline_days": DEADLINE_DAYS}, **changes)
    hub.release(BIKES)
    hub.count("operator-share", BIKES)
    return hub


@story
def missed_deadline(folder: Path) -> Liar:
    """An enterprise let its deadline pass, and the hub logged that it is missing."""
    hub = awaited()
    hub.miss(RETAILER, issued_at=DUE_AT)
    hub.close()
    return hub


@story
def custodian_silent(folder: Path) -> Liar:
    """A custodian made no report since the epoch's end, and the hub logged that it is missing."""
    hub = counted(policy_changes={"deadline_days": DEADLINE_DAYS})
    for one in hub.enterprises:
        hub.release(one.id)
    hub.miss("operator-share", role=Role.CUSTODIAN, issued_at=DUE_AT)
    return hub


@story
def missing_before_the_deadline(folder: Path) -> Liar:
    """The hub declares an enterprise missing a second before its deadline passes."""
    hub = awaited()
    hub.lie(Kind.MISSING, hub.missing_message(RETAILER, issued_at=DUE_AT - 1), HUB_ID)
    return hub


@story
def missing_although_answered(folder: Path) -> Liar:
    """The hub declares an enterprise missing whose release stands in the log."""
    hub = awaited()
    hub.lie(Kind.MISSING, hub.missing_message(BIKES, issued_at=DUE_AT), HUB_ID)
    return hub


@story
def missing_by_a_stranger(folder: Path) -> Liar:
    """An enterprise declares its rival missing."""
    hub = awaited()
    message = hub.missing_message(RETAILER, issued_at=DUE_AT)
    message.header.CopyFrom(hub.header(Role.ENTERPRISE, BIKES, issued_at=DUE_AT))
    hub.lie(Kind.MISSING, message, BIKES)
    return hub


@story
def missing_dated_ahead(folder: Path) -> Liar:
    """The hub dates a missing entry behind the deadline; a witness saw it days before."""
    hub = lying(Federation(**parts(), policy_changes={"deadline_days": DEADLINE_DAYS}))
    root = hub.trust_root()
    root.witness_vkeys.append(str(WITNESS))
    root.witness_quorum = 1
    hub.publish_trust(root)
    for pack in hub.packs:
        hub.publish_pack(pack)
    hub.publish_policy()
    hub.miss(RETAILER, issued_at=DUE_AT)
    seen_at = DUE_AT - 5 * 86_400
    note = checkpoint.cosign(hub.signed_head(hub.entries), WITNESS, key("witness"), time=seen_at)
    hub.checkpoint = lambda: note  # type: ignore[method-assign]
    return hub


@story
def missing_although_deposited(folder: Path) -> Liar:
    """The hub takes nothing from an enterprise and calls it missing; a witness had dated its answer."""
    hub = witnessed(quorum=0, policy_changes={"deadline_days": DEADLINE_DAYS})
    for pack in hub.packs:
        hub.publish_pack(pack)
    hub.publish_policy()
    data = hub.signed(Kind.RESERVATION, hub.reservation(RETAILER), RETAILER)
    seen = Deposit(ORIGIN, envelope.envelope_hash(data), DUE_AT - 60, WITNESS.name)
    (folder / "deposits").mkdir()
    (folder / "deposits" / "000001-reservation.envelope").write_bytes(data)
    (folder / "deposits" / "000001-reservation.deposit").write_bytes(sign_deposit(seen, key("witness")))
    hub.miss(RETAILER, issued_at=DUE_AT)
    return hub


@story
def silence_covered_up(folder: Path) -> Liar:
    """Weeks behind a deadline the hub goes on without a word about the enterprise that missed it."""
    hub = awaited()
    hub.miss("operator-share", Epoch(202101), role=Role.CUSTODIAN, issued_at=DUE_AT + 30 * 86_400)
    return hub


@story
def closed_before_the_deadline(folder: Path) -> Liar:
    """The hub closes the books without an enterprise that still had time to answer."""
    hub = awaited()
    hub.lie(Kind.EPOCH_CLOSE, hub.close_message(), HUB_ID)
    return hub
