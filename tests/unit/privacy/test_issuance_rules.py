"""An issuance is taken over closed epochs, with whole tonnes, once a batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from privacy.envelope import Kind
from privacy.standing import HUB_ID, Role
from protos.problems import Conflict, Malformed, Problem, Refused
from protos.v1 import ledger_pb2
from tests import simulator
from tests.simulator import EPOCH, Federation


def batch(**changes: int | str) -> ledger_pb2.IssuedBatch:
    made = ledger_pb2.IssuedBatch(
        programme="city",
        programme_version=1,
        rule="credits",
        batch="city/credits/2020-12",
        pool_epoch=EPOCH,
        first_epoch=EPOCH,
        last_epoch=EPOCH,
        issued_tonnes=1,
        first_serial=1,
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def issue(federation: Federation, made: ledger_pb2.IssuedBatch) -> None:
    header = federation.header(Role.HUB, HUB_ID)
    federation.append(
        federation.signed(Kind.ISSUANCE, ledger_pb2.Issuance(header=header, batch=made), HUB_ID)
    )


def test_a_batch_over_a_closed_epoch_stands_once() -> None:
    federation = simulator.closed()
    issue(federation, batch())
    with pytest.raises(Conflict):
        issue(federation, batch())


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        (lambda: batch(issued_tonnes=0), Malformed),
        (lambda: batch(first_serial=0), Malformed),
        (lambda: batch(batch=""), Malformed),
        (lambda: batch(pool_epoch=202101), Malformed),
        (lambda: batch(first_epoch=202101), Malformed),
        (lambda: batch(last_epoch=13), Malformed),
        (lambda: batch(last_epoch=202101), Refused),
    ],
)
def test_what_is_no_batch_is_not_taken(
    changed: Callable[[], ledger_pb2.IssuedBatch], kind: type[Problem]
) -> None:
    federation = simulator.closed()
    before = federation.state.size
    with pytest.raises(kind):
        issue(federation, changed())
    assert federation.state.size == before
