"""Five programmes from behaviour through node and hub to a reward, against the rules that were published."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from accounting.compiler import compile_pack
from accounting.ledger import chart
from accounting.ledger.chart import CLAIMS, LedgerAccount
from accounting.programmes.programme import Programme
from accounting.programmes.rewards import RewardKind
from accounting.tariffs import plan_points
from hub.stored_books import StoredBooks
from privacy.series import MeasureKind
from protos.epochs import next_epoch
from protos.v1 import ledger_pb2, policy_pb2, reward_pb2
from runtime.identity import Role
from runtime.pack_files import load_pack
from runtime.programme_files import installed_programmes, load_programme
from tests.conformance.programmes.stories import CASES, DAY_CLAMP_GRAMS, PACKS, Case, load, node_statements
from tests.simulator import SimulatedEnterprise, SimulatedPack
from tests.unit.hub.redeeming import EPSILON, RewardWorld, call, world_of

MG_PER_GRAM = 1_000
MONEY_FEN = 1_000_000


@pytest.fixture(params=CASES, ids=lambda folder: folder.name)
def case(request: pytest.FixtureRequest) -> Case:
    return load(request.param)


@dataclass
class CaseWorld(RewardWorld):
    """A federation of the case's one enterprise, which may release points."""

    measure_kind: MeasureKind = MeasureKind.DAY

    def policy_message(self, **changes: Any) -> policy_pb2.Policy:
        """Give a policy over the case's measure."""
        message = super().policy_message(**changes)
        if self.measure_kind is MeasureKind.POINTS:
            message.points_epsilon.CopyFrom(EPSILON)
            for enterprise in message.enterprises:
                enterprise.measures[0].kind = policy_pb2.MEASURE_KIND_POINTS
        return message


def parts_of(case: Case) -> dict[str, Any]:
    """Give packs and enterprise, with the reach the real pack proves."""
    pack = load_pack(PACKS / case.data["pack"] / "1")
    clamp, reach = DAY_CLAMP_GRAMS, DAY_CLAMP_GRAMS
    if case.kind is MeasureKind.POINTS:
        clamp, reach = 0, plan_points("main", [compile_pack(pack)]).reach.points
    body, domain = pack.canonical_bytes(), pack.domain.value
    logged = SimulatedPack(pack.id, pack.version, body, domain, pack.overlap_class)
    persons = range(len(case.persons))
    recorder = SimulatedEnterprise(
        case.enterprise, persons, (pack.id,), day_clamp_grams=clamp, reach_grams=reach
    )
    return {
        "packs": [logged],
        "enterprises": [recorder],
        "domains": [domain],
        "first_epoch": case.epochs[0],
        "measure_kind": case.kind,
    }


@contextmanager
def closed_world(case: Case, folder: Path, programme: Programme) -> Iterator[RewardWorld]:
    """Run a hub over what the case's node says, every epoch closed, what is claimable collected."""
    statements = node_statements(case, folder / "node")
    said = [[person["statements"][at] for person in case.persons] for at in range(len(case.epochs))]
    assert statements == said
    with world_of(CaseWorld, folder / "hub", **parts_of(case)) as world:
        world.publish_programme(programme.canonical_bytes())
        for epoch, grams in zip(case.epochs, statements, strict=True):
            world.figures[case.enterprise, epoch] = grams
            world.close_epoch(epoch)
            if epoch == case.epochs[0]:
                world.prove(0, case.enterprise, next_epoch(epoch))
            if programme.claim_window_epochs:
                for person in range(len(case.persons)):
                    collect(world, programme, world.account_of(person))
        yield world


def collect(world: RewardWorld, programme: Programme, account: bytes) -> None:
    operation = ledger_pb2.Operation(key=world.fresh_key())
    operation.collect.programme, operation.collect.account = programme.id, account
    world.hub.ledger.submit(operation)


@contextmanager
def books_of(world: RewardWorld) -> Iterator[StoredBooks]:
    with world.hub.parts.readers.begin() as connection:
        yield world.hub.ledger.books(connection)


def redeem(world: RewardWorld, case: Case, programme: Programme) -> None:
    """Reserve and confirm the case's reward as the enterprise's app does."""
    reward = programme.rewards[case.data["spent_in"]]
    for fund in reward.funds:
        world.deposit(programme.id, fund, MONEY_FEN, programme.funds[fund].sources[0].value)
    order = world.order(programme.id, case.data["spent_in"])
    with world.rewards(Role.NODE, case.enterprise) as stub:
        ticket = world.order_ticket(order, 0, case.enterprise)
        made = call(stub.Reserve, reward_pb2.ReserveRequest(order=order, ticket=ticket)).redemption
        assert made.state == "reserved"
        request = reward_pb2.ConfirmRequest(key=world.fresh_key(), order_key=order.key)
        assert call(stub.Confirm, request).redemption.state == "confirmed"


def test_behaviour_becomes_points_and_a_reward(case: Case, tmp_path: Path) -> None:
    programme = load_programme(installed_programmes()[case.data["programme"]])
    with closed_world(case, tmp_path, programme) as world:
        with books_of(world) as books:
            points = [
                books.wallet(programme.ledger, world.account_of(person)).available
                for person in range(len(case.persons))
            ]
        assert points == [person["points"] for person in case.persons]
        redeem(world, case, programme)
        check_after(world, case, programme)


def check_after(world: RewardWorld, case: Case, programme: Programme) -> None:
    """Compare every ledger with what the case says is left."""
    after, name = case.data["after"], case.data["spent_in"]
    reward, account = programme.rewards[name], world.account_of(0)
    with books_of(world) as books:

        def held(one: LedgerAccount) -> int:
            return books.balance(one).of(one)

        assert books.wallet(programme.ledger, account).available == after["points"]
        if "claim_grams" in after:
            assert books.wallet(CLAIMS, account).available == after["claim_grams"] * MG_PER_GRAM
        if "sponsor_grams" in after:
            assert held(chart.sponsor(reward.sponsor or "")) == after["sponsor_grams"] * MG_PER_GRAM
        if "pool_grams" in after:
            assert held(chart.pool(programme.id)) == after["pool_grams"] * MG_PER_GRAM
        if "retired_grams" in after:
            assert held(chart.retired(RewardKind.CHARITY.value)) == after["retired_grams"] * MG_PER_GRAM
        if reward.unit_cost_fen:
            assert held(chart.payable(reward.partner or "")) == after.get("payable_fen", reward.unit_cost_fen)


def test_every_case_says_why() -> None:
    assert len(CASES) == 5
    assert all((folder / "README.md").read_text(encoding="utf-8").strip() for folder in CASES)
