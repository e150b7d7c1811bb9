"""A hub whose bikes release a pooled cell of nine tonnes, and two of whose persons gave eight to the pool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.operation_client import OperationClient
from privacy import policy
from privacy.policy import DOMAIN_METHODOLOGY_POOLED, POOLED, Policy, table_keys
from protos.epochs import Epoch, next_epoch
from protos.v1 import ledger_pb2, reward_pb2
from runtime.identity import Role
from tests.simulator import EPOCH
from tests.unit.accounting.programmes.programmes import NAMES, programme
from tests.unit.auditor.city import PACK_IDS, parts
from tests.unit.hub.redeeming import RewardWorld, call, world_of

BIKES, BIKE_PACK, RETAIL_PACK = "bike-share", PACK_IDS[0], PACK_IDS[1]
NEXT = next_epoch(EPOCH)
POOLED_GRAMS = 9_000_000
RULE = {
    "names": NAMES,
    "registry": "phcer",
    "packs": [BIKE_PACK],
    "enterprises": [BIKES],
    "buffer_bp": 1_000,
    "proceeds_fund": "city",
    "proceeds_split_bp": {"fund": 3_000, "operator": 1_000, "participants": 6_000},
}


@dataclass
class PoolWorld(RewardWorld):
    """A world whose bikes release a pooled cell of nine tonnes."""

    def _tables(self, rules: Policy, enterprise_id: str) -> Mapping[str, Sequence[int]]:
        tables = {name: list(values) for name, values in super()._tables(rules, enterprise_id).items()}
        cell = table_keys(rules, DOMAIN_METHODOLOGY_POOLED).index((BIKE_PACK, POOLED))
        [name] = [
            one.name
            for one in policy.series(rules, enterprise_id)
            if one.name == f"histogram/{DOMAIN_METHODOLOGY_POOLED}/sum"
        ]
        tables[name][cell] = POOLED_GRAMS
        return tables


@contextmanager
def pool_world(folder: Path, givers: Sequence[int] = (0, 1)) -> Iterator[PoolWorld]:
    """Run the hub up to the point where it may issue."""
    with world_of(PoolWorld, folder, **parts()) as found:
        # Segments sealed by the clock would make the numbers of entries a matter of the machine's speed.
        found.hub.ledger.stop()
        made = programme(
            first_epoch=EPOCH,
            earn={"all": {"names": NAMES, "ratio": [1, 10]}},
            funds={"city": {"names": NAMES, "sources": ["government", "sale"]}},
            rewards={
                "pool": {
                    "names": NAMES,
                    "kind": "trading",
                    "claim": "to_pool",
                    "claim_grams": 1_000_000,
                    "quantity_max": 1_000,
                },
                "share": {"names": NAMES, "kind": "trading", "partner": "bank", "payout": {"fen_min": 10}},
            },
            issue={"bikes": RULE, "meals": {**RULE, "packs": [RETAIL_PACK], "enterprises": ["retailer"]}},
        )
        found.publish_programme(made.canonical_bytes())
        found.figures[BIKES, EPOCH] = [5_000_000] * 12
        found.close_epoch()
        contribute(found, givers)
        yield found


def contribute(world: PoolWorld, givers: Sequence[int]) -> None:
    """Let persons give four tonnes each."""
    for person in givers:
        world.prove(person, BIKES, NEXT)
        order = world.order("city", "pool", quantity=4)
        with world.rewards(Role.NODE, BIKES) as stub:
            ticket = world.order_ticket(order, person, BIKES)
            call(stub.Reserve, reward_pb2.ReserveRequest(order=order, ticket=ticket))
            call(stub.Confirm, reward_pb2.ConfirmRequest(key=world.fresh_key(), order_key=order.key))


def sell(world: PoolWorld, batch: str, fen: int, tonnes: int = 1) -> None:
    """Sell units as the operator."""
    operation = ledger_pb2.Operation(key=world.fresh_key())
    sale = operation.sell
    sale.programme, sale.batch, sale.buyer, sale.tonnes, sale.fen = "city", batch, "works", tonnes, fen
    with OperationClient(world.opened) as client:
        client.operate(operation)


def draw(world: PoolWorld, person: int) -> tuple[Any, Any]:
    """Ask what sales owe a person, and reserve it; gives quote and order."""
    order = world.order("city", "share")
    ticket = world.order_ticket(order, person, BIKES)
    with world.rewards(Role.NODE, BIKES) as stub:
        quote = call(stub.Quote, reward_pb2.QuoteRequest(order=order, ticket=ticket))
        made = call(stub.Reserve, reward_pb2.ReserveRequest(order=order, ticket=ticket)).redemption
    return quote, made


def confirm(world: PoolWorld, order_key: bytes) -> Any:
    """Say that the partner paid."""
    with world.rewards(Role.NODE, BIKES) as stub:
        request = reward_pb2.ConfirmRequest(key=world.fresh_key(), order_key=order_key)
        return call(stub.Confirm, request).redemption


def follow_all(world: PoolWorld) -> None:
    """Have all operations sealed, and take the entries."""
    world.hub.parts.writer.call(world.hub.ledger.seal)
    world.follow()


def close_next(world: PoolWorld) -> None:
    """Close the epoch after the first, with all operations sealed before it."""
    follow_all(world)
    world.close_epoch(NEXT)


def issue(world: PoolWorld, rule: str = "bikes", last: Epoch = EPOCH, *, preview: bool = False) -> Any:
    """Ask the hub as its operator."""
    with OperationClient(world.opened) as client:
        return client.issue("city", rule, last, preview=preview)
