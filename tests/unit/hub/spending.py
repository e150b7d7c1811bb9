"""A hub with a programme: points to spend, money in its fund, a reward to ask for."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from typing import Any

from sqlalchemy import Connection

from accounting.programmes.parse import parse_programme
from hub.deciding import Answered
from hub.intake import Own
from privacy.account_changes import build_change
from privacy.claims import ratio
from privacy.envelope import Kind
from protos.epochs import Epoch, next_epoch
from protos.v1 import envelope_pb2, ledger_pb2, programme_pb2
from tests.simulator import EPOCH, pseudonym
from tests.unit.hub.operations import asked
from tests.unit.hub.test_accounts import close, release_all
from tests.unit.hub.world import World, enrol

PROGRAMME = """\
id = "city"
version = 1
first_epoch = 202012
names = { en = "City", zh = "城市" }
cited = { source = "made for tests", illustrative = true }
unit = { code = "COIN", names = { en = "coin", zh = "币" } }

[earn.all]
names = { en = "All", zh = "全部" }
ratio = [1, 1]

[caps]
epoch_points = 9000

[funds.main]
names = { en = "Main", zh = "主" }
sources = ["government"]

[rewards.bus]
names = { en = "Bus", zh = "公交" }
kind = "policy"
cost_points = 20
funds = ["main"]
unit_cost_fen = 500
partner = "transit"
quantity_max = 5
"""
# The epoch that is open once the first is closed.
OPEN = next_epoch(EPOCH)
DEPOSIT_FEN = 10**12


def begin_with_programme(world: World, text: str = PROGRAMME) -> World:
    """Log documents and a programme, under a policy that keeps little of a wallet back."""
    world.policy_changes = {**world.policy_changes, "reserve_z": ratio(Fraction(1, 100))}
    world.publish_trust()
    for pack in world.packs:
        world.publish_pack(pack)
    world.publish_policy()
    world.publish_programme(parse_programme(text.encode()).canonical_bytes())
    return enrol(world)


def settled(world: World, programme: str = PROGRAMME) -> list[bytes]:
    """Close an epoch, prove control of all accounts, fill the fund; give who has points, richest first."""
    release_all(begin_with_programme(world, programme))
    close(world)
    world.follow()
    accounts = sorted({account for account, _ in world.linked.values()})
    prove(world, accounts)
    submit(
        world, deposit=ledger_pb2.Deposit(programme="city", fund="main", source="government", fen=DEPOSIT_FEN)
    )
    with world.hub.parts.readers.begin() as connection:
        books = world.hub.ledger.books(connection)
        found = {account: books.wallet("P:city", account).available for account in accounts}
    return sorted((one for one, points in found.items() if points >= 100), key=lambda one: -found[one])


def prove(world: World, accounts: Sequence[bytes], effective: Epoch = OPEN) -> None:
    """Log that the persons of accounts have proved control."""
    held = {
        world.linked[pseudonym(person)][0]: (one.id, person)
        for one in world.enterprises
        for person in one.persons
    }
    tickets = {account: world.ticket(*held[account], "prove") for account in accounts}

    def change(header: envelope_pb2.Header, account: bytes) -> Own:
        built = build_change(
            header,
            kind=programme_pb2.ACCOUNT_CHANGE_KIND_PROVE,
            effective=effective,
            salt=world.randomness.randbytes(32),
            account=account,
            tickets=[tickets[account]],
        )
        return Own(Kind.ACCOUNT_CHANGE, built.message, built.bodies)

    def append(connection: Connection) -> None:
        for account in accounts:
            world.hub.parts.intake.append_own(connection, partial(change, account=account))

    world.hub.parts.writer.call(append)
    world.follow()


def submit(world: World, key: bytes | None = None, **act: Any) -> Answered:
    """Ask for an operation."""
    operation = ledger_pb2.Operation(key=key or world.randomness.randbytes(16), **act)
    if "reserve" in act:
        asked(world, operation)
    return world.hub.ledger.submit(operation)


def reserve(account: bytes, quantity: int = 1) -> ledger_pb2.Reserve:
    """Ask for the reward."""
    return ledger_pb2.Reserve(
        programme="city",
        programme_version=1,
        reward="bus",
        account=account,
        quantity=quantity,
        channel="portal",
    )
