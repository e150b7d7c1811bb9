"""Deadlines: until when each enterprise answers for an epoch and each custodian reports, and who has not.

A policy may name the days after an epoch's end. Whoever comes later, party or policy, has as many days from
then. An enterprise answers by a release or a signed silence, a custodian by any count report of its own made
after the epoch's end; an empty one says that there was nothing to count.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

from privacy.standing import Role, Standing
from protos.epochs import Epoch, end_day, epoch_of, next_epoch, previous_epoch

DAY_SECONDS = 86_400
# Days are civil days of UTC+8.
EAST_SECONDS = 8 * 3_600
# How long before a deadline the parties concerned are reminded.
REMINDER_SECONDS = 7 * DAY_SECONDS
EPOCHS_MAX = 1_200
ROLES = (Role.ENTERPRISE, Role.CUSTODIAN)


@dataclass(frozen=True, slots=True)
class Due:
    """What a party owes for an epoch, and until when (seconds since 1970)."""

    role: Role
    party_id: str
    epoch: Epoch
    due_at: int


def moment(seconds: int) -> str:
    """Write a second for people."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def ended_at(epoch: Epoch) -> int:
    """Give the second at which an epoch is over."""
    return end_day(epoch) * DAY_SECONDS - EAST_SECONDS


def last_ended(now: int) -> Epoch:
    """Give the newest epoch that is over."""
    return previous_epoch(epoch_of((now + EAST_SECONDS) // DAY_SECONDS))


def due_at(standing: Standing, role: Role, party_id: str, epoch: Epoch) -> int | None:
    """Give a party's deadline for an epoch; None without a policy that names one, or without the party."""
    known_since = standing.known_since.get((role, party_id))
    fitting = [policy for policy in standing.policies if policy.first_epoch <= epoch]
    if known_since is None or not fitting:
        return None
    days = standing.policy_for(epoch).deadline_days
    if not days:
        return None
    published_at = min(policy.issued_at for policy in fitting if policy.deadline_days)
    return max(ended_at(epoch), published_at, known_since) + days * DAY_SECONDS


def is_answered(standing: Standing, role: Role, party_id: str, epoch: Epoch) -> bool:
    """Say whether the log holds what a party owes for an epoch."""
    if role is Role.ENTERPRISE:
        return epoch in standing.enterprise(party_id).answers
    return standing.reported_at.get(party_id, 0) >= ended_at(epoch)


def open_dues(standing: Standing, now: int, party: tuple[Role, str] | None = None) -> list[Due]:
    """List what is owed (by one party) for epochs that are over, oldest first, passed deadlines among them.

    A closed epoch's books take no answer any more.
    """
    if not standing.trust_roots:
        return []
    parties = [one for one in _parties(standing) if party in (None, one)]
    return [
        Due(role, party_id, epoch, deadline)
        for epoch in _epochs(standing, now)
        for role, party_id in parties
        if not (role is Role.ENTERPRISE and standing.is_closed(epoch))
        if not is_answered(standing, role, party_id, epoch)
        if (deadline := due_at(standing, role, party_id, epoch)) is not None
    ]


def _parties(standing: Standing) -> list[tuple[Role, str]]:
    enterprises = [(Role.ENTERPRISE, one.id) for one in standing.trust.enterprises]
    return [*enterprises, *((Role.CUSTODIAN, one.id) for one in standing.trust.custodians)]


def _epochs(standing: Standing, now: int) -> Iterator[Epoch]:
    first = min((one.first_epoch for one in standing.policies if one.deadline_days), default=None)
    for _ in range(EPOCHS_MAX):
        if first is None or ended_at(first) > now:
            return
        yield first
        first = next_epoch(first)
