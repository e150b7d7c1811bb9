"""Custodians' counts held against enrolments: nobody is enrolled uncounted, nobody is counted for nothing.

A batch yields pseudonyms once `threshold` custodians have evaluated it. A person who comes back is enrolled
again without an evaluation, so what is compared is distinct pseudonyms.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from auditor.findings import Check, Result, Results
from auditor.replay import Replay
from privacy.chunks import HALF_BYTES
from privacy.trust import Enterprise


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Distinct persons on a roster; erased rows may be persons of their own or not."""

    least: int
    most: int


def check_pseudonyms(replayed: Replay, results: Results) -> dict[str, Any]:
    """Compare each enterprise's enrolments with its evaluations; give both."""
    result = results[Check.PSEUDONYMS]
    evaluated = _evaluated(replayed, result)
    figures: dict[str, Any] = {}
    for enterprise in replayed.state.trust.enterprises:
        result.examined += 1
        enrolled = _enrolled(replayed, enterprise.id)
        if enrolled is None:
            result.unchecked.append(f"the openings of {enterprise.id}'s roster are not at hand")
            continue
        count = evaluated[enterprise.id]
        figures[enterprise.id] = {"enrolled": enrolled.most, "evaluated": count}
        _compare(replayed, enterprise, enrolled, count, result)
    _find_disputes(replayed, result)
    return figures


def _find_disputes(replayed: Replay, result: Result) -> None:
    """Name who contradicted what stood in the log about which pseudonym follows which."""
    disputes = Counter(one.claim.enterprise_id for one in replayed.state.successions.disputes)
    for enterprise_id, count in sorted(disputes.items()):
        result.find(
            enterprise_id,
            f"After a rotation of the key it contradicted the log about {count} pseudonyms' successors; "
            "the accounts concerned are frozen.",
        )


def _evaluated(replayed: Replay, result: Result) -> dict[str, int]:
    """Count each enterprise's identifiers evaluated by enough custodians to yield a pseudonym."""
    key = replayed.state.trust.pseudonym_key
    threshold = key.threshold if key is not None else 1
    batches: dict[tuple[str, bytes], dict[str, int]] = defaultdict(dict)
    for report in replayed.counts:
        for batch in report.batches:
            batches[report.enterprise_id, batch.batch_hash][report.header.issuer] = batch.elements
    evaluated: dict[str, int] = defaultdict(int)
    for (enterprise_id, batch_hash), by_custodian in batches.items():
        if len(set(by_custodian.values())) > 1:
            result.find(
                f"batch {batch_hash.hex()}",
                f"Custodians counted different numbers of elements in one batch: {by_custodian}.",
            )
        if len(by_custodian) >= threshold:
            evaluated[enterprise_id] += min(by_custodian.values())
    return evaluated


def _enrolled(replayed: Replay, enterprise_id: str) -> Enrolled | None:
    rows = replayed.pseudonyms.get(enterprise_id, bytearray())
    total = replayed.state.roster(enterprise_id).total
    if len(rows) != total * HALF_BYTES:
        return None
    distinct = {bytes(rows[at : at + HALF_BYTES]) for at in range(0, len(rows), HALF_BYTES)}
    zero = bytes(HALF_BYTES)
    erased = 0
    if zero in distinct:
        distinct.remove(zero)
        erased = sum(rows[at : at + HALF_BYTES] == zero for at in range(0, len(rows), HALF_BYTES))
    return Enrolled(len(distinct), len(distinct) + erased)


def _compare(
    replayed: Replay, enterprise: Enterprise, enrolled: Enrolled, evaluated: int, result: Result
) -> None:
    policies = replayed.state.policies
    per_mille = policies[-1].unmatched_per_mille if policies else 0
    if enrolled.least > evaluated:
        result.find(
            enterprise.id,
            f"{enrolled.least} persons are enrolled; custodians evaluated only {evaluated} identifiers.",
        )
    if evaluated * 1000 > enrolled.most * (1000 + per_mille):
        result.find(
            enterprise.id,
            f"Custodians evaluated {evaluated} identifiers, {enrolled.most} persons are enrolled; "
            f"{per_mille} in a thousand may be unmatched.",
        )
    granted = replayed.state.trust.quota_at_custodian(enterprise.id)
    for custodian_id, counted in sorted(replayed.state.evaluations(enterprise.id).items()):
        if counted > granted:
            result.find(
                enterprise.id,
                f"Custodian {custodian_id} evaluated {counted} identifiers; the trust root grants {granted}.",
            )
