"""A hub that closes on a cluster: what it signed and stored is what DuckDB makes of the log alone."""

from __future__ import annotations

import hashlib
import shutil
import time
from pathlib import Path

from hub.rebuild import rebuild
from hub.setup import Opened
from privacy import account_changes as changes
from protos.v1 import account_pb2
from runtime.configuration import format_toml, write_private
from tests.simulator import EPOCH
from tests.spark.cluster import Cluster
from tests.unit.accounting.programmes.programmes import programme
from tests.unit.hub.test_participation import BIKES, POWER, ask, change, holder
from tests.unit.hub.test_process import Address, process
from tests.unit.hub.world import World, begin, enrol, make_home


def test_a_hub_closes_on_a_cluster_and_duckdb_makes_the_same_books(cluster: Cluster, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    opened = closing_on(cluster, make_home(tmp_path / "hub"), shared)
    world = World(opened=opened, hub=Address(opened))  # type: ignore[arg-type]
    with process(opened):
        enrol(begin(world))
        world.publish_programme(programme(first_epoch=EPOCH).canonical_bytes())
        change_accounts(world)
        for one in world.enterprises:
            world.release(one.id)
        with world.operator() as client:
            client.close(EPOCH, allow_missing=False)
    assert list(shared.glob("ledgers/*/P-city-*-wallets.parquet"))
    assert not list(opened.home.work.rglob("*.parquet"))
    # Nothing that Spark wrote is read again.
    shutil.rmtree(shared)
    made = rebuild(opened, write=False)
    assert (made.differences, len(made.closes)) == ([], 1)
    assert made.last is not None
    assert made.last.total.accounts > 10


def closing_on(cluster: Cluster, opened: Opened, shared: Path) -> Opened:
    """Let hub.toml name the cluster, and a folder that its workers see."""
    settings = {"folder": str(shared), "engine": {"at": cluster.master, "spark": cluster.settings}}
    text = opened.home.configuration.read_text() + format_toml({"close": settings})
    write_private(opened.home.configuration, text.encode())
    return Opened.load(opened.home)


def change_accounts(world: World) -> None:
    """Merge two persons' accounts, split one and share a household out, before the first release."""
    now = int(time.time())

    def ticket(enterprise: str, person: int, purpose: str, subject: bytes = b"") -> bytes:
        return world.ticket(enterprise, person, purpose, subject=subject, issued_at=now)

    first = ticket(BIKES, 3, "merge")
    change(world, changes.MERGE, first, ticket(POWER, 15, "merge", hashlib.sha256(first).digest()))
    change(world, changes.SPLIT, ticket(POWER, 8, "split"), enterprise=POWER)
    home = {16: POWER, 4: BIKES, 5: BIKES}
    for person, enterprise in home.items():
        change(world, changes.PROVE, ticket(enterprise, person, "prove"), enterprise=enterprise)
    household, one, other = (holder(world, person) for person in home)
    person_of, parts = {one: 4, other: 5}, sorted([(one, 3_333), (other, 6_667)])
    terms = changes.share_terms(household, parts)
    tickets = [ticket(POWER, 16, "share", terms)]
    tickets += [ticket(BIKES, person_of[account], "share", terms) for account, _ in parts]
    asked = account_pb2.ChangeAccountRequest(
        kind=changes.SHARE_OUT,
        tickets=tickets,
        shares_accounts=[account for account, _ in parts],
        shares_basis_points=[points for _, points in parts],
    )
    ask(world, lambda stub: stub.ChangeAccount(asked))
