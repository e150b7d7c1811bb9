"""Lies about documents: packs, policies and trust roots replaced, weakened, backdated or rolled back."""

from __future__ import annotations

import dataclasses
import hashlib
from fractions import Fraction
from pathlib import Path

from privacy.claims import ratio
from privacy.envelope import Kind
from privacy.standing import HUB_ID
from tests.conformance.tamper.liar import (
    NEXT,
    Liar,
    counted,
    lying,
    message_at,
    settled,
    story,
)
from tests.simulator import (
    begun,
    key,
)
from tests.unit.auditor.city import parts


@story
def pack_replaced(folder: Path) -> Liar:
    """A methodology's content changes under its version after the policy had named it."""
    hub = lying(begun(**parts()))
    old = hub.packs[0]
    forged = dataclasses.replace(old, body=old.body.replace(b"east", b"west") + b" ")
    record = message_at(hub, hub.find(Kind.PACK))
    record.sha256, record.size = hashlib.sha256(forged.body).digest(), len(forged.body)
    hub.replace(hub.find(Kind.PACK), hub.signed(Kind.PACK, record, hub.root_names[0]), [forged.body])
    return hub


@story
def pack_published_twice(folder: Path) -> Liar:
    """A version of a methodology is published a second time with another content."""
    hub = counted()
    record = message_at(hub, hub.find(Kind.PACK))
    record.sha256, record.size = hashlib.sha256(b"{}").digest(), 2
    hub.lie(Kind.PACK, record, hub.root_names[0], bodies=[b"{}"])
    return hub


@story
def weakened_policy(folder: Path) -> Liar:
    """The policy claims that a person-day moves less than the methodologies prove."""
    return lying(begun(**parts(reach_grams=1)))


@story
def allowance_raised_by_the_hub(folder: Path) -> Liar:
    """The hub signs a policy that allows itself more of everybody's privacy."""
    hub = counted()
    message = hub.policy_message(version=2, first_epoch=NEXT, person_day_allowance=ratio(Fraction(9)))
    hub.lie(Kind.POLICY, message, HUB_ID)
    return hub


@story
def policy_backdated(folder: Path) -> Liar:
    """A policy is put in force for an epoch that is closed."""
    hub = settled()
    hub.lie(Kind.POLICY, hub.policy_message(version=2), hub.root_names[0])
    return hub


@story
def sham_enterprise(folder: Path) -> Liar:
    """The hub adds an enterprise of its own with one signature where two are needed."""
    hub = counted()
    root = hub.trust_root(version=2, previous=hub.state.trust.envelope_hash)
    root.enterprises.add(id="sham", name="Sham", key=key("sham").verify_key.to_wire(), evaluation_quota=9)
    hub.lie(Kind.TRUST_ROOT, root, "operator")
    return hub


@story
def trust_root_signed_by_strangers(folder: Path) -> Liar:
    """A trust root names new signers, who sign it themselves; those before do not."""
    hub = counted()
    root = hub.trust_root(version=2, previous=hub.state.trust.envelope_hash)
    del root.root_keys[:]
    root.root_keys.extend(key(name).verify_key.to_wire() for name in ("one", "two", "three"))
    hub.lie(Kind.TRUST_ROOT, root, "one", "two")
    return hub


@story
def trust_root_rolled_back(folder: Path) -> Liar:
    """An older version of the trust root is put in force again, with the keys it still named."""
    hub = counted()
    hub.publish_trust(hub.trust_root(version=2, previous=hub.state.trust.envelope_hash))
    hub.is_lying = True
    hub.append(*hub.entries[0])
    return hub


@story
def another_first_trust_root(folder: Path) -> Liar:
    """The log begins with a trust root that is not the one handed over."""
    hub = counted()
    hub.pinned = hub.entries[0].data
    root = message_at(hub, 0)
    root.issued_at += 1
    hub.replace(0, hub.signed(Kind.TRUST_ROOT, root, "operator", "regulator"))
    return hub
