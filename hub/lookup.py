"""Looks the operator's commands take into the database of a home, beside the running hub and without it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection

from accounting.packs import Pack, parse_canonical
from accounting.programmes.parse import parse_canonical as parse_programme
from accounting.programmes.programme import Programme
from accounting.programmes.versions import in_force, spans_of
from hub.book_health import BookHealth, book_health
from hub.settlement import Settlement, settle_partner
from hub.setup import Opened
from hub.store import books, entries
from hub.store.database import readers_of
from hub.views import noise_halfwidth, points_view, root_up
from privacy import envelope
from privacy import policy as policies
from privacy.envelope import Kind
from privacy.policy import Policy
from privacy.policy_reading import read_policy
from protos.epochs import Epoch, checked_epoch, format_epoch, next_epoch
from protos.problems import Malformed, Unavailable
from protos.v1 import policy_pb2, programme_pb2
from protos.v1.problem_pb2 import REASON_NOT_FOUND, REASON_UNKNOWN_FIELD_VALUE

ACCOUNTS_LISTED_MAX = 20

Result = TypeVar("Result")


def first_trust_root(opened: Opened) -> bytes | None:
    """Give the first trust root's envelope, None before it is published."""
    found = _read(opened, lambda connection: entries.find_entries(connection, Kind.TRUST_ROOT.value))
    return found[0].envelope if found else None


def latest_trust_root(opened: Opened) -> bytes | None:
    """Give the envelope of the trust root in force, None before the first is published."""
    found = _read(opened, lambda connection: entries.find_entries(connection, Kind.TRUST_ROOT.value))
    return found[-1].envelope if found else None


def trust_roots(opened: Opened) -> list[bytes]:
    """Give the envelopes of all versions of the trust root, in order."""
    found = _read(opened, lambda connection: entries.find_entries(connection, Kind.TRUST_ROOT.value))
    return [one.envelope for one in found]


def logged_packs(opened: Opened) -> list[Pack]:
    """Give the packs in the log, in its order."""

    def read(connection: Connection) -> list[bytes]:
        found = entries.find_entries(connection, Kind.PACK.value)
        return [entries.read_bodies(connection, one.index)[0] for one in found]

    return [parse_canonical(body) for body in _read(opened, read)]


def logged_programmes(opened: Opened) -> list[Programme]:
    """Give the versions of programmes in the log, in its order; withdrawals aside."""

    def read(connection: Connection) -> list[list[bytes]]:
        found = entries.find_entries(connection, Kind.PROGRAMME.value)
        return [entries.read_bodies(connection, one.index) for one in found]

    return [parse_programme(bodies[0]) for bodies in _read(opened, read) if bodies]


def settlement_of(opened: Opened, partner: str, first: int, end: int | None, *, now: int) -> Settlement:
    """State what a partner delivered, signed with the hub's key."""
    programmes, origin = logged_programmes(opened), opened.settings.origin

    def read(connection: Connection) -> Settlement:
        key = opened.hub_key
        return settle_partner(
            connection, programmes, partner, first=first, end=end, origin=origin, key=key, now=now
        )

    return _read(opened, read)


def policy_for(opened: Opened, epoch: Epoch) -> Policy:
    """Give the policy in the log that is in force for an epoch; raises Refused POLICY_NOT_IN_FORCE."""
    found = _read(opened, lambda connection: entries.find_entries(connection, Kind.POLICY.value))
    messages = [
        (envelope.open_envelope(one.envelope).parse(policy_pb2.Policy), one.envelope) for one in found
    ]
    return policies.in_force(
        [read_policy(message, envelope.envelope_hash(data)) for message, data in messages], epoch
    )


def health_of(opened: Opened, now: int) -> BookHealth:
    """Look at the books of a home for what an operator must see to."""

    def read(connection: Connection) -> BookHealth:
        epoch = _open_epoch(connection)
        return book_health(connection, _in_force(connection, epoch), epoch, now=now)

    return _read(opened, read)


def _open_epoch(connection: Connection) -> Epoch:
    """Give the epoch after the last close, else the first policy's first, else that of no programme."""
    closed = books.closed_epochs(connection)
    if closed:
        return next_epoch(checked_epoch(closed[-1].epoch))
    logged = entries.find_entries(connection, Kind.POLICY.value)
    first = (envelope.open_envelope(one.envelope).parse(policy_pb2.Policy).first_epoch for one in logged)
    return Epoch(min(first, default=0))


def _in_force(connection: Connection, epoch: Epoch) -> list[Programme]:
    """Give the programmes the log has in force for an epoch."""
    versions = defaultdict[str, list[Programme]](list)
    ended: dict[str, Epoch] = {}
    for one in entries.find_entries(connection, Kind.PROGRAMME.value):
        record = envelope.open_envelope(one.envelope).parse(programme_pb2.ProgrammeRecord)
        if record.withdrawn:
            ended[record.id] = checked_epoch(record.first_epoch)
        else:
            versions[record.id].append(parse_programme(entries.read_bodies(connection, one.index)[0]))
    spans = (spans_of(found, ended.get(name)) for name, found in sorted(versions.items()))
    return [found for one in spans if (found := in_force(one, epoch)) is not None]


def look_up(opened: Opened, account_id: str) -> dict[str, Any]:
    """Show one account by its id; by a beginning of it, list the accounts that fit."""
    if not re.fullmatch(r"([0-9a-f]{2}){1,16}", account_id):
        raise Malformed(
            REASON_UNKNOWN_FIELD_VALUE,
            "An account id is up to 32 hex digits, an even number.",
            remedy="Give the id, or its beginning.",
        )
    prefix = bytes.fromhex(account_id)
    fitting = _read(opened, lambda connection: books.find_accounts(connection, prefix, ACCOUNTS_LISTED_MAX))
    if not fitting:
        raise Unavailable(
            REASON_NOT_FOUND,
            f"No account begins with {account_id}.",
            remedy="Check the id; accounts begin with a first release, or a proof of control.",
        )
    if len(fitting) > 1:
        return {"accounts": [account.hex() for account in fitting]}
    found = _read(opened, lambda connection: books.read_balance(connection, fitting[0]))
    points = _read(opened, lambda connection: books.read_points(connection, fitting[0]))
    linked = _read(opened, lambda connection: books.account_pseudonyms(connection, fitting[0]))
    if found is None:
        assert points is not None
        found = books.Balance(points.account, 0, 0, 0, points.epoch)
    half = noise_halfwidth(found.variance_mg2)
    return {
        "account": found.account.hex(),
        "balance_mg": found.balance_mg,
        "variance_mg2": found.variance_mg2,
        "sigma_mg": root_up(found.variance_mg2),
        "low_mg": found.balance_mg - half,
        "high_mg": found.balance_mg + half,
        "enterprises": found.enterprises,
        "pseudonyms": linked,
        "epoch": format_epoch(checked_epoch(found.epoch)),
        "points": None if points is None else points_view(points).model_dump(),
    }


def _read(opened: Opened, read: Callable[[Connection], Result]) -> Result:
    with readers_of(opened.home.database) as readers, readers.begin() as connection:
        return read(connection)
