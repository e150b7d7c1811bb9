"""Lies about who speaks: keys revoked, replaced, foreign or unknown, chains with a gap."""

from __future__ import annotations

from pathlib import Path

from privacy.envelope import Kind
from privacy.standing import HUB_ID, Role
from protos.v1 import release_pb2, trust_pb2
from tests.conformance.tamper.liar import (
    BIKES,
    RETAILER,
    Liar,
    counted,
    story,
)
from tests.simulator import (
    EPOCH,
    key,
)


def _without(hub: Liar, enterprise_id: str, *, replaced_by: str = "") -> None:
    """Publish a trust root that leaves an enterprise out, or gives it a new key."""
    root = hub.trust_root(version=2, previous=hub.state.trust.envelope_hash)
    kept: list[trust_pb2.Enterprise] = []
    for one in root.enterprises:
        if one.id == enterprise_id and replaced_by:
            one.key.CopyFrom(key(replaced_by).verify_key.to_wire())
        if one.id != enterprise_id or replaced_by:
            kept.append(one)
    del root.enterprises[:]
    root.enterprises.extend(kept)
    hub.publish_trust(root)


@story
def revoked_enterprise(folder: Path) -> Liar:
    """An enterprise that the trust root no longer names goes on releasing."""
    hub = counted()
    message = hub.reservation(BIKES)
    _without(hub, BIKES)
    hub.lie(Kind.RESERVATION, message, BIKES)
    return hub


@story
def expired_key(folder: Path) -> Liar:
    """An enterprise signs with the key it had before its key was replaced."""
    hub = counted()
    _without(hub, BIKES, replaced_by="bikes-new")
    hub.lie(Kind.RESERVATION, hub.reservation(BIKES), BIKES)
    return hub


@story
def wrong_key(folder: Path) -> Liar:
    """A message in one enterprise's name is signed by another's key."""
    hub = counted()
    hub.lie(Kind.RESERVATION, hub.reservation(BIKES), RETAILER)
    return hub


@story
def unknown_key(folder: Path) -> Liar:
    """A message is signed by a key that nobody registered."""
    hub = counted()
    hub.lie(Kind.RESERVATION, hub.reservation(BIKES), "stranger")
    return hub


@story
def hub_speaks_for_an_enterprise(folder: Path) -> Liar:
    """The hub signs a release in an enterprise's name."""
    hub = counted()
    built = hub.release_message(BIKES, hub.reserve(BIKES))
    hub.lie(Kind.RELEASE, built.message, HUB_ID, bodies=built.bodies)
    return hub


@story
def suspended_enterprise(folder: Path) -> Liar:
    """An enterprise releases while it is suspended."""
    hub = counted()
    root = hub.trust_root(version=2, previous=hub.state.trust.envelope_hash)
    root.enterprises[0].suspended = True
    hub.publish_trust(root)
    hub.lie(Kind.RESERVATION, hub.reservation(BIKES), BIKES)
    return hub


@story
def message_of_another_log(folder: Path) -> Liar:
    """A message that was signed for another log is put into this one."""
    hub = counted()
    message = hub.reservation(BIKES)
    message.header.origin = "other.example/log"
    hub.lie(Kind.RESERVATION, message, BIKES)
    return hub


@story
def sequence_skipped(folder: Path) -> Liar:
    """The hub keeps one of an enterprise's messages back."""
    hub = counted()
    at = hub.state.size
    hub.release(BIKES)
    del hub.entries[at]
    return hub


@story
def chain_broken(folder: Path) -> Liar:
    """A message does not follow the one before it in its sender's chain."""
    hub = counted()
    message = hub.reservation(BIKES)
    message.header.previous = bytes(32)
    hub.lie(Kind.RESERVATION, message, BIKES)
    return hub


@story
def false_silence(folder: Path) -> Liar:
    """An enterprise says its roster is empty, which it is not."""
    hub = counted()
    message = release_pb2.NothingToReport(
        header=hub.header(Role.ENTERPRISE, BIKES),
        epoch=EPOCH,
        reason=release_pb2.NOTHING_REASON_EMPTY_ROSTER,
    )
    hub.lie(Kind.NOTHING_TO_REPORT, message, BIKES)
    return hub
