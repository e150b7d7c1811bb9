"""Tonnes in a log are reckoned again from cells, rule and earlier batches; one off anywhere is found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor.findings import Check, Results, Verdict
from auditor.issuances import IssuanceLog, IssuedSeen, check_issuances
from privacy.envelope import Kind, open_envelope
from protos.v1 import ledger_pb2, policy_pb2, programme_pb2, release_pb2
from tests.unit.auditor.city import audited
from tests.unit.hub.pool_world import PoolWorld, issue, pool_world
from tests.unit.hub.world import stored


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PoolWorld]:
    with pool_world(tmp_path_factory.mktemp("audited-pool") / "hub") as found:
        issue(found)
        found.follow()
        yield found


@pytest.fixture(scope="module")
def log(world: PoolWorld) -> IssuanceLog:
    found = IssuanceLog([], {}, {})
    for index, logged in enumerate(stored(world.opened.home)):
        opened = open_envelope(logged.data)
        match opened.kind:
            case Kind.RELEASE:
                message = opened.parse(release_pb2.Release)
                found.releases.append((index, world.state.policy_by_hash(message.policy_hash), message))
            case Kind.PACK:
                pack = opened.parse(policy_pb2.PackRecord)
                found.packs[pack.id, pack.version] = logged.bodies[0]
            case Kind.PROGRAMME:
                record = opened.parse(programme_pb2.ProgrammeRecord)
                found.programmes[record.id, record.version] = logged.bodies[0]
            case _:
                pass
    return found


def seen(world: PoolWorld, **changes: int | str) -> IssuedSeen:
    """Give the batch of the log with changes, in entry and operation alike."""
    [(index, batch)] = [
        (at, open_envelope(one.data).parse(ledger_pb2.Issuance).batch)
        for at, one in enumerate(stored(world.opened.home))
        if open_envelope(one.data).kind is Kind.ISSUANCE
    ]
    for name, value in changes.items():
        setattr(batch, name, value)
    return IssuedSeen([(index, batch)], {batch.batch: batch})


def checked(issued: IssuedSeen, log: IssuanceLog) -> Results:
    results = Results()
    check_issuances(issued, log, results)
    return results


def test_an_honest_batch_is_confirmed_by_the_whole_audit(world: PoolWorld, tmp_path: Path) -> None:
    report = audited(world, tmp_path)
    assert report.results[Check.ISSUANCES].examined == 1
    assert report.results[Check.LEDGERS].findings == []
    assert report.verdict is Verdict.PASS


@pytest.mark.parametrize(
    "field",
    [
        "pooled_grams",
        "variance_grams2",
        "deduction_grams",
        "duplicates_grams",
        "issued_before_milligrams",
        "issued_tonnes",
        "buffer_tonnes",
        "first_serial",
    ],
)
def test_one_off_in_what_the_log_decides_is_found(world: PoolWorld, log: IssuanceLog, field: str) -> None:
    assert checked(seen(world), log)[Check.ISSUANCES].findings == []
    value = getattr(seen(world).entries[0][1], field)
    [finding] = checked(seen(world, **{field: value + 1}), log)[Check.ISSUANCES].findings
    assert field in finding.message


def test_entry_and_operation_say_the_same(world: PoolWorld, log: IssuanceLog) -> None:
    alone = seen(world)
    alone.operations.clear()
    assert len(checked(alone, log)[Check.ISSUANCES].findings) == 1
    silent = seen(world)
    silent.entries.clear()
    [finding] = checked(silent, log)[Check.ISSUANCES].findings
    assert "no entry says" in finding.message
    other = seen(world)
    other.operations["city/bikes/2020-12"] = seen(world, pool_milligrams=1).entries[0][1]
    [finding] = checked(other, log)[Check.ISSUANCES].findings
    assert "pool_milligrams" in finding.message


def test_a_batch_of_no_programme_is_found(world: PoolWorld, log: IssuanceLog) -> None:
    assert len(checked(seen(world, rule="trains"), log)[Check.ISSUANCES].findings) == 1
    unread = checked(seen(world, programme="village"), log)[Check.ISSUANCES]
    assert unread.unchecked
    # Bikes' cells under the retailer's rule: another pool, and a pack of illustrative figures.
    meals = checked(seen(world, rule="meals"), log)[Check.ISSUANCES].findings
    assert any("illustrative" in one.message for one in meals)
