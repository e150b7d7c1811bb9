"""What must hold over the whole log besides each entry's own rules."""

from __future__ import annotations

import hashlib
from typing import Any

from accounting.compiler import CompiledPack, compile_pack
from accounting.contributions import plan_histogram, plan_measure
from accounting.packs import parse_canonical
from accounting.periods import plan_period
from accounting.tariffs import plan_points
from auditor.findings import Check, Result, Results
from auditor.replay import Replay
from privacy.charges import ALL_ENTERPRISES, allowance, cost_table
from privacy.policy import EnterprisePolicy, Policy
from privacy.series import MeasureKind, ReachParts, reach_parts
from protos.epochs import Epoch, days_in, format_epoch
from protos.problems import Problem
from protos.v1.release_pb2 import PRIVACY_UNIT_PERSON_DAY, PRIVACY_UNIT_PERSON_MONTH

_UNITS = {"person_day": PRIVACY_UNIT_PERSON_DAY, "person_month": PRIVACY_UNIT_PERSON_MONTH}


def check_packs(replayed: Replay, results: Results) -> None:
    """Compile every policy's packs again: a policy may not claim a smaller reach than they prove."""
    result = results[Check.PACKS]
    for policy in replayed.state.policies:
        compiled = _compiled(replayed, policy, result)
        if compiled is None:
            continue
        for enterprise in policy.enterprises:
            result.examined += 1
            place = f"policy {policy.version}, {enterprise.enterprise_id}"
            try:
                _compare_reach(policy, enterprise, compiled, place, result)
            except Problem as problem:
                result.find_problem(place, problem)


def _compiled(replayed: Replay, policy: Policy, result: Result) -> dict[str, CompiledPack] | None:
    compiled: dict[str, CompiledPack] = {}
    for reference in policy.packs:
        place = f"pack {reference.id}@{reference.version}"
        body = replayed.packs.get((reference.id, reference.version))
        if body is None:
            result.unchecked.append(f"the body of {place} is not at hand")
            return None
        if hashlib.sha256(body).digest() != reference.sha256:
            result.find(place, f"Policy {policy.version} names another content than the log holds.")
            return None
        try:
            pack = parse_canonical(body)
            compiled[reference.id] = compile_pack(pack)
        except Problem as problem:
            result.find_problem(place, problem)
            return None
        if (pack.domain.value, pack.overlap_class) != (reference.domain, reference.overlap_class):
            result.find(
                place,
                f"Policy {policy.version} puts it in {reference.domain} and {reference.overlap_class}, not "
                f"{pack.domain.value} and {pack.overlap_class}.",
            )
    return compiled


def _compare_reach(
    policy: Policy,
    enterprise: EnterprisePolicy,
    compiled: dict[str, CompiledPack],
    place: str,
    result: Result,
) -> None:
    proved: dict[str, tuple[ReachParts, ReachParts]] = {}
    for measure in enterprise.measures:
        packs = [compiled[pack_id] for pack_id in measure.pack_ids]
        match measure.kind:
            case MeasureKind.POINTS:
                least = plan_points(measure.id, packs).reach.parts
            case MeasureKind.PERIOD:
                least = plan_period(measure.id, packs, measure.day_clamp_grams).reach.parts
            case MeasureKind.DAY:
                least = plan_measure(measure.id, packs, measure.day_clamp_grams).reach.parts
        proved[f"measure {measure.id}"] = (reach_parts(measure.reach_grams, measure.later), least)
    histogram = plan_histogram(
        [compiled[pack_id] for pack_id in enterprise.credited_pack_ids],
        pack_order=[reference.id for reference in policy.packs],
        regions=policy.regions,
        domains=policy.domains,
        month_clamp_grams=enterprise.month_clamp_grams,
    )
    proved["histogram sums"] = (
        reach_parts(enterprise.sum_reach_grams, enterprise.sum_later),
        reach_parts(histogram.sum_reach_grams, histogram.sum_later),
    )
    proved["histogram counts"] = (((0, enterprise.count_reach),), ((0, histogram.count_reach),))
    for what, (claimed, least) in proved.items():
        for months, proof in least:
            if (claim := dict(claimed).get(months, 0)) < proof:
                when = f" {months} months later" if months else ""
                result.find(
                    place, f"The policy claims a reach of {claim} for {what}{when}; the packs prove {proof}."
                )


def check_completeness(replayed: Replay, results: Results) -> None:
    """Every enterprise answered for every closed epoch, by a release or a signed silence."""
    result = results[Check.COMPLETENESS]
    for index, close in replayed.closes:
        result.examined += 1
        for enterprise_id in close.missing:
            result.find(
                f"entry {index}",
                f"{enterprise_id} has neither a release nor a nothing-to-report for "
                f"{format_epoch(Epoch(close.epoch))}.",
            )


def check_budgets(replayed: Replay, results: Results) -> dict[str, Any]:
    """Hold every enterprise's charges, by unit and epoch, against the allowance; give the whole cost."""
    result = results[Check.BUDGETS]
    state = replayed.state
    figures: dict[str, Any] = {}
    together: dict[str, Any] = {}
    for released in replayed.releases:
        issuer, epoch = released.message.header.issuer, Epoch(released.message.epoch)
        policy = state.policy_by_hash(released.message.policy_hash)
        for name, unit in _UNITS.items():
            result.examined += 1
            spent, allowed = state.spent(issuer, unit, epoch), allowance(policy, unit)
            if spent > allowed:
                result.find(
                    f"entry {released.index}",
                    f"{issuer} charged {spent} to a {name} of {format_epoch(epoch)}; {allowed} is allowed.",
                )
        costs = cost_table(policy, days_in(epoch))
        figures[issuer] = costs[issuer].to_json()
        together = {ALL_ENTERPRISES: costs[ALL_ENTERPRISES].to_json()}
    return dict(sorted(figures.items())) | together
