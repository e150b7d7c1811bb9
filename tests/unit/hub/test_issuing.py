"""Tonnes from a running hub: reckoned from logged cells and claims, issued once, sold, told to everybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from accounting.issuance import MG_PER_TONNE
from hub.cli import hub as program
from hub.issuing import Issuer
from hub.operation_client import OperationClient
from privacy import envelope
from privacy.envelope import Kind
from protos.epochs import Epoch
from protos.problems import Refused
from protos.v1 import ledger_pb2, operations_pb2, operations_pb2_grpc
from protos.v1 import problem_pb2 as reasons
from runtime.identity import Role
from tests.simulator import EPOCH
from tests.unit.hub.pool_world import (
    BIKES,
    NEXT,
    POOLED_GRAMS,
    RETAIL_PACK,
    PoolWorld,
    issue,
    pool_world,
)
from tests.unit.hub.redeeming import call
from tests.unit.hub.world import refused, stored


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PoolWorld]:
    """A hub that has issued the one batch there is."""
    with pool_world(tmp_path_factory.mktemp("pool") / "hub") as found:
        issue(found)
        yield found


def logged(world: PoolWorld, kind: Kind) -> list[Any]:
    found = [envelope.open_envelope(one.data) for one in stored(world.opened.home)]
    return [one for one in found if one.kind is kind]


def test_units_are_sold_and_used_from_the_command_line(world: PoolWorld) -> None:
    batch = issue(world).batch.batch
    home, runner = ["--home", str(world.opened.home.folder)], CliRunner()

    def run(*arguments: str) -> str:
        done = runner.invoke(program, [*arguments, *home, "--json"])
        assert done.exit_code == 0, done.output
        return done.output

    place = ("--programme", "city", "--batch", batch, "--buyer", "works")
    key = "00" * 15 + "77"
    sale = ("units", "sell", *place, "--tonnes", "3", "--fen", "1001", "--key", key)
    assert run(*sale) == run(*sale)
    run("units", "retire", *place, "--tonnes", "2", "--purpose", "voluntary")
    run("units", "cancel", *place[:4], "--tonnes", "1", "--reason", "a meter ran backwards")
    with OperationClient(world.opened) as client:
        owners = {one["owner"]: (one["first"], one["last"]) for one in client.serials(batch)}
        money, claims = client.balances("M"), client.balances("R")
    assert owners["retired:works"] == (1, 2)
    assert owners["sold:works"] == (3, 3)
    assert "cancelled" in owners
    assert (money["fund:city:city"], money["fee:operator"], money["fund:city:participants"]) == (
        300,
        100,
        601,
    )
    assert claims["retired:cancelled"] == MG_PER_TONNE
    assert "fund:city:city" in run("fund", "show")
    home = ["--home", str(world.opened.home.folder)]
    told = CliRunner().invoke(program, ["units", "serials", "--batch", batch, *home], standalone_mode=False)
    assert re.search(r"^ +1 to +2  retired:works$", told.stdout, re.M)


class Refusing:
    """An intake that takes no entry."""

    def check_own(self, build: Any) -> None:
        raise Refused(reasons.REASON_EPOCH_NOT_READY, "Not now.")


def test_a_batch_is_previewed_issued_once_and_told_in_the_log(tmp_path: Path) -> None:
    with pool_world(tmp_path / "hub") as world:
        preview = issue(world, preview=True)
        refuse_entry(world)
        assert logged(world, Kind.ISSUANCE) == []
        answer = issue(world)
        assert answer.batch == preview.batch
        assert issue(world) == answer
        batch = answer.batch
        assert (batch.pooled_grams, batch.pool_milligrams) == (POOLED_GRAMS, 8 * MG_PER_TONNE)
        assert batch.deduction_grams > 0
        whole = min(POOLED_GRAMS - batch.deduction_grams, 8_000_000) // 1_000_000
        assert batch.issued_tonnes + batch.buffer_tonnes == whole
        [entry] = logged(world, Kind.ISSUANCE)
        assert entry.parse(ledger_pb2.Issuance).batch == batch
        world.follow()
        with OperationClient(world.opened) as client:
            assert client.balances("U")[f"hold:{batch.batch}"] == batch.issued_tonnes


def refuse_entry(world: PoolWorld) -> None:
    """An entry that is not taken leaves nothing issued."""
    hub = world.hub
    with OperationClient(world.opened) as client:
        before = client.balances("R"), client.balances("U")
        intake: Any = Refusing()
        issuer = Issuer(hub.parts.state, intake, hub.parts.ledger, hub.parts.writer, hub.parts.readers)
        assert refused(lambda: issuer.issue("city", "bikes", EPOCH)).reason == reasons.REASON_EPOCH_NOT_READY
        assert (client.balances("R"), client.balances("U")) == before


def test_illustrative_figures_issue_nothing(world: PoolWorld) -> None:
    problem = refused(lambda: issue(world, "meals", preview=True))
    assert problem.reason == reasons.REASON_NOTHING_TO_ISSUE
    assert RETAIL_PACK in problem.message


@pytest.mark.parametrize(
    ("rule", "last", "reason"),
    [
        ("trains", EPOCH, reasons.REASON_PROGRAMME_UNKNOWN),
        ("bikes", NEXT, reasons.REASON_EPOCH_NOT_READY),
    ],
)
def test_what_cannot_be_issued_is_refused(world: PoolWorld, rule: str, last: Epoch, reason: int) -> None:
    assert refused(lambda: issue(world, rule, last)).reason == reason


def test_operators_alone_act_and_only_as_operators_do(world: PoolWorld) -> None:
    operation = ledger_pb2.Operation(key=world.fresh_key())
    operation.reserve.programme = "city"
    with OperationClient(world.opened) as client:
        problem = refused(lambda: client.operate(operation))
    assert isinstance(problem, Refused)
    assert problem.reason == reasons.REASON_ROLE_NOT_ALLOWED
    with world.channel(world.identity(Role.NODE, BIKES)) as channel:
        stub = operations_pb2_grpc.OperationServiceStub(channel)
        request = operations_pb2.ListBalancesRequest(ledger="M")
        assert refused(lambda: call(stub.ListBalances, request)).reason == reasons.REASON_ROLE_NOT_ALLOWED
