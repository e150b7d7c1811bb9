"""Issued tonnes reckoned again: cells from the releases before the entry, the logged rule, nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from accounting import issuance
from accounting.issuance import MG_PER_TONNE, Claims, Pooled
from accounting.ledger.units import batch_of
from accounting.packs import parse_canonical as parse_pack
from accounting.programmes.issue_rules import IssueRule
from accounting.programmes.parse import parse_canonical as parse_programme
from auditor.findings import Check, Result, Results
from privacy.acceptance import Admission
from privacy.envelope import Kind
from privacy.journal import JournalRows
from privacy.laplace import variance_upper
from privacy.policy import Policy
from privacy.populations import pooled
from protos.problems import Problem
from protos.v1 import ledger_pb2, release_pb2


@dataclass(slots=True)
class IssuedSeen:
    """The batches the log names, by entry, and those its operations made."""

    entries: list[tuple[int, ledger_pb2.IssuedBatch]] = field(default_factory=list)
    operations: dict[str, ledger_pb2.IssuedBatch] = field(default_factory=dict)

    def take(self, admission: Admission) -> None:
        """Note what an entry says of units."""
        if admission.kind is Kind.ISSUANCE:
            self.entries.append((admission.index, admission.message.batch))
        elif admission.kind is Kind.JOURNAL_SEGMENT and isinstance(admission.rows, JournalRows):
            for data in admission.rows.operations:
                operation = ledger_pb2.Operation.FromString(data)
                if operation.HasField("issue"):
                    self.operations[operation.issue.batch] = operation.issue


@dataclass(frozen=True, slots=True)
class IssuanceLog:
    """What batches are reckoned from: releases by entry, their policies, bodies of packs and programmes."""

    releases: list[tuple[int, Policy, release_pb2.Release]]
    packs: dict[tuple[str, int], bytes]
    programmes: dict[tuple[str, int], bytes]


def check_issuances(seen: IssuedSeen, log: IssuanceLog, results: Results) -> list[dict[str, Any]]:
    """Reckon every batch again; give what the report shows of each."""
    result = results[Check.ISSUANCES]
    before: list[tuple[ledger_pb2.IssuedBatch, IssueRule]] = []
    for index, batch in seen.entries:
        result.examined += 1
        place = f"entry {index}"
        _compare_operation(seen, batch, place, results)
        rule = _rule(log, batch, place, result)
        if rule is not None:
            _check_batch(log, index, batch, rule, before, result)
            before.append((batch, rule))
    for name in sorted(seen.operations.keys() - {batch.batch for _, batch in seen.entries}):
        result.find("journal", f"An operation issued {name}, which no entry says.")
    return [_figures(batch) for _, batch in seen.entries]


def _compare_operation(seen: IssuedSeen, batch: ledger_pb2.IssuedBatch, place: str, results: Results) -> None:
    operation = seen.operations.get(batch.batch)
    result = results[Check.ISSUANCES]
    if operation is None:
        if not results[Check.LEDGERS].unchecked:
            result.find(place, "No operation before it issued this batch.")
        return
    for name in _differences(operation, batch):
        result.find(place, f"Its {name} is not the one its operation moved claims and units by.")


def _rule(log: IssuanceLog, batch: ledger_pb2.IssuedBatch, place: str, result: Result) -> IssueRule | None:
    body = log.programmes.get((batch.programme, batch.programme_version))
    if body is None:
        result.unchecked.append(f"the body of programme {batch.programme} is not at hand")
        return None
    try:
        rule = parse_programme(body).issue.get(batch.rule)
    except Problem as problem:
        result.find_problem(place, problem)
        return None
    if rule is None:
        result.find(place, f"Programme {batch.programme} issues nothing as {batch.rule}.")
    return rule


def _check_batch(
    log: IssuanceLog,
    index: int,
    batch: ledger_pb2.IssuedBatch,
    rule: IssueRule,
    before: list[tuple[ledger_pb2.IssuedBatch, IssueRule]],
    result: Result,
) -> None:
    place = f"entry {index}"
    releases = list(_releases(log, index, batch))
    for pack in _illustrative(log, rule, [policy for policy, _ in releases]):
        result.find(place, f"Pack {pack} rests on illustrative figures; it may not issue units.")
    expected = ledger_pb2.IssuedBatch()
    expected.CopyFrom(batch)
    _reckon(expected, rule, releases, before)
    for name in _differences(expected, batch):
        result.find(
            place, f"It says {name} {getattr(batch, name)}; reckoned again it is {getattr(expected, name)}."
        )


def _reckon(
    batch: ledger_pb2.IssuedBatch,
    rule: IssueRule,
    releases: list[tuple[Policy, release_pb2.Release]],
    before: list[tuple[ledger_pb2.IssuedBatch, IssueRule]],
) -> None:
    """Put into a batch what follows from the log; claims pooled and passed on are the ledgers' to hold."""
    cells = pooled(releases, enterprises=rule.enterprises, pack_ids=rule.packs)
    total = Pooled(cells.value, sum(map(variance_upper, cells.scales)))
    deducted = issuance.deduct(total, rule)
    mine = batch_of(batch, rule).cells
    earlier = [batch_of(one, of) for one, of in before]
    batch.pooled_grams, batch.variance_grams2 = total.grams, total.variance_grams2
    batch.deduction_grams, batch.duplicates_grams = deducted.deduction_grams, deducted.duplicates_grams
    batch.issued_before_milligrams = sum(one.tonnes for one in earlier if one.cells & mine) * MG_PER_TONNE
    serials = [one for one, of in before if of.registry == rule.registry]
    batch.first_serial = 1 + sum(one.issued_tonnes + one.buffer_tonnes for one in serials)
    claims = Claims(batch.pool_milligrams, batch.passed_milligrams, batch.issued_before_milligrams)
    supported = issuance.supported_mg(total, deducted, claims)
    try:
        made = issuance.issue(supported, buffer_basis_points=rule.buffer_bp, tonnes_min=rule.min_tonnes)
    except Problem:
        batch.issued_tonnes = batch.buffer_tonnes = 0
    else:
        batch.issued_tonnes, batch.buffer_tonnes = made.issued_tonnes, made.buffer_tonnes


def _releases(
    log: IssuanceLog, index: int, batch: ledger_pb2.IssuedBatch
) -> Iterator[tuple[Policy, release_pb2.Release]]:
    for at, policy, release in log.releases:
        if at < index and batch.pool_epoch <= release.epoch <= batch.last_epoch:
            yield policy, release


def _illustrative(log: IssuanceLog, rule: IssueRule, policies: list[Policy]) -> list[str]:
    named = {(one.id, one.version) for policy in policies for one in policy.packs if one.id in rule.packs}
    bodies = {key: log.packs[key] for key in sorted(named & log.packs.keys())}
    return [f"{name}@{version}" for (name, version), body in bodies.items() if parse_pack(body).illustrative]


def _differences(one: ledger_pb2.IssuedBatch, other: ledger_pb2.IssuedBatch) -> list[str]:
    names = [field.name for field in one.DESCRIPTOR.fields]
    return [name for name in names if getattr(one, name) != getattr(other, name)]


def _figures(batch: ledger_pb2.IssuedBatch) -> dict[str, Any]:
    names = ("pooled_grams", "deduction_grams", "duplicates_grams", "issued_tonnes", "buffer_tonnes")
    return {"batch": batch.batch, **{name: getattr(batch, name) for name in names}}
