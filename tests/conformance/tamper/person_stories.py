"""Lies about persons: who is enrolled, in which slot, and how many were ever evaluated."""

from __future__ import annotations

import hashlib
from pathlib import Path

from privacy.envelope import Kind
from privacy.standing import Role
from tests.conformance.tamper.liar import (
    BIKES,
    NEXT,
    Liar,
    counted,
    lying,
    message_at,
    story,
)
from tests.simulator import (
    enrolled,
)
from tests.unit.auditor.city import parts


@story
def invented_persons(folder: Path) -> Liar:
    """An enterprise enrols persons whom no custodian ever evaluated."""
    hub = counted()
    hub.enrol(BIKES, [100, 101, 102], effective=NEXT)
    return hub


@story
def duplicate_slot(folder: Path) -> Liar:
    """A roster batch gives a slot number that is taken."""
    hub = counted()
    built = hub.roster(BIKES, [40], effective=NEXT)
    built.message.first_slot -= 1
    hub.lie(Kind.ROSTER_BATCH, built.message, BIKES, bodies=built.bodies)
    return hub


@story
def person_enrolled_twice(folder: Path) -> Liar:
    """A person who is on the roster is put on it again, to be paid twice."""
    hub = counted()
    built = hub.roster(BIKES, [0], effective=NEXT)
    hub.lie(Kind.ROSTER_BATCH, built.message, BIKES, bodies=built.bodies)
    return hub


@story
def roster_root_forged(folder: Path) -> Liar:
    """A roster batch leads to another root than its slots."""
    hub = counted()
    built = hub.roster(BIKES, [40], effective=NEXT)
    built.message.roster_root = bytes(32)
    hub.lie(Kind.ROSTER_BATCH, built.message, BIKES, bodies=built.bodies)
    return hub


@story
def batch_below_the_minimum(folder: Path) -> Liar:
    """A batch of one person tells when that person enrolled."""
    hub = counted(batch_min=5)
    built = hub.roster(BIKES, [40], effective=NEXT)
    hub.lie(Kind.ROSTER_BATCH, built.message, BIKES, bodies=built.bodies)
    return hub


@story
def uncounted_evaluations(folder: Path) -> Liar:
    """A custodian's running total does not follow from its batches."""
    hub = counted()
    hub.is_lying = True
    at = hub.find(Kind.COUNT_REPORT)
    message = message_at(hub, at)
    message.header.CopyFrom(hub.header(Role.CUSTODIAN, message.header.issuer))
    for batch in message.batches:
        batch.batch_hash = hashlib.sha256(batch.batch_hash).digest()
    hub.lie(Kind.COUNT_REPORT, message, message.header.issuer)
    return hub


@story
def custodians_disagree(folder: Path) -> Liar:
    """Two custodians count one batch differently."""
    hub = counted()
    hub.count("regulator", BIKES, 3)
    hub.count("auditor-one", BIKES, 4)
    return hub


@story
def more_evaluated_than_enrolled(folder: Path) -> Liar:
    """Custodians evaluated identifiers that were never enrolled: somebody looks persons up."""
    hub = counted()
    for name in ("regulator", "auditor-one"):
        hub.count(name, BIKES, 500)
    return hub


@story
def quota_exceeded(folder: Path) -> Liar:
    """A custodian evaluated more for an enterprise than the trust root grants."""
    base = parts(quota=20)
    hub = lying(enrolled(**base))
    for name in ("regulator", "auditor-one"):
        message = message_at(hub, hub.find(Kind.COUNT_REPORT))
        del message.batches[:]
        message.header.CopyFrom(hub.header(Role.CUSTODIAN, name))
        message.batches.add(batch_hash=hashlib.sha256(b"beyond").digest(), elements=30)
        message.evaluations_total += 30
        hub.is_lying = True
        hub.append(hub.signed(Kind.COUNT_REPORT, message, name))
    return hub
