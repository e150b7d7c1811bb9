"""A simulated federation whose ledgers were closed once: points, money, an account that may spend."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from engine.duckdb_engine import DuckDbEngine
from privacy.claims import ratio
from protos.epochs import Epoch
from protos.v1.programme_pb2 import ACCOUNT_CHANGE_KIND_PROVE
from tests.simulated_ledgers import SimulatedLedgers
from tests.simulator import EPOCH, Federation, pseudonym
from tests.unit.accounting.programmes.programmes import coupon, programme
from tests.unit.hub.operations import deposit

NEXT = Epoch(202101)
LEDGER = "P:city"
RULES = programme(
    first_epoch=int(EPOCH),
    earn={"base": {"names": {"en": "All", "zh": "全部"}, "ratio": [1, 1]}},
    gifts={"epoch_points_max": 1_000_000},
    rewards={"bus": coupon(cost_points=10, quantity_max=50)},
)


def funded(federation: Federation, engine: DuckDbEngine, folder: Path) -> SimulatedLedgers:
    """Go on from enrolled persons to the point where the richest may spend."""
    federation.publish_policy(federation.policy_message(version=2, reserve_z=ratio(Fraction(1, 1_000))))
    federation.publish_programme(RULES.canonical_bytes())
    for one in federation.enterprises:
        federation.release(one.id)
    made = SimulatedLedgers(federation, engine, folder)
    made.close()
    account = made.richest(LEDGER)
    person = next(one for one in range(20) if federation.linked[pseudonym(one)][0] == account)
    ticket = federation.ticket("bike-share" if person < 12 else "retailer", person, "prove")
    federation.change(ACCOUNT_CHANGE_KIND_PROVE, account, ticket, effective=NEXT)
    made.operate(deposit(1))
    return made


def release_next(federation: Federation) -> None:
    """Have everybody release the epoch that is open."""
    for one in federation.enterprises:
        federation.release(one.id, NEXT)
