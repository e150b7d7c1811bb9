"""What the node itself demands of a policy before it releases under it.

Signatures are not enough: the policy's packs must be the ones this node runs, its
reaches no smaller than what the packs can do, its clamps no higher than node.toml allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from enterprise_node.budget import check_clamps
from enterprise_node.reductions import HistogramSpec, MeasureSpec
from privacy.series import MeasureKind, ReachParts, reach_parts
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_CEILING_EXCEEDED, REASON_CLAIM_WRONG, REASON_PACK_UNKNOWN

if TYPE_CHECKING:
    from enterprise_node.configuration import Ceilings
    from enterprise_node.reductions import Reductions
    from privacy.policy import EnterprisePolicy, Measure, Policy


def check_policy(policy: Policy, mine: EnterprisePolicy, reductions: Reductions, ceilings: Ceilings) -> None:
    """Refuse a policy this node must not release under, saying which figure is wrong."""
    by_month = [one.day_clamp_grams for one in mine.measures if one.kind is MeasureKind.PERIOD]
    day_clamps = {one.id: one.day_clamp_grams for one in mine.measures if one.kind is MeasureKind.DAY}
    check_clamps(ceilings, day_clamps, max([mine.month_clamp_grams, *by_month]))
    _check_reserve(policy, ceilings)
    check_packs(policy, mine, reductions)
    for measure in mine.measures:
        needed = reductions.reach(measure_spec(measure))
        _check_reach(f"measure {measure.id}", reach_parts(measure.reach_grams, measure.later), needed)
    plan = reductions.histogram_plan(histogram_spec(policy, mine))
    sums = reach_parts(mine.sum_reach_grams, mine.sum_later)
    _check_reach("the histogram's sums", sums, reach_parts(plan.sum_reach_grams, plan.sum_later))
    _check_reach("the histogram's counts", ((0, mine.count_reach),), ((0, plan.count_reach),))


def check_packs(policy: Policy, mine: EnterprisePolicy, reductions: Reductions) -> None:
    """Refuse a policy that has this enterprise run a pack that is missing here or has another content."""
    references = {reference.id: reference for reference in policy.packs}
    for pack_id in mine.pack_ids:
        reference, compiled = references[pack_id], reductions.packs.get(pack_id)
        if compiled is None or (compiled.pack.sha256, compiled.pack.domain) != (
            reference.sha256,
            reference.domain,
        ):
            raise Refused(
                REASON_PACK_UNKNOWN,
                f"The policy in force runs pack {pack_id} version {reference.version} "
                f"({reference.sha256.hex()[:16]}…); this node has "
                + ("none of that id." if compiled is None else "another content or domain under that id."),
                remedy="Install the published pack and name its folder in node.toml's packs.",
            )


def is_same_series(policy: Policy, earlier: Policy, enterprise_id: str, measure_id: str) -> bool:
    """Say whether two policies have an enterprise release one series: packs, clamp, claims, anchors alike.

    What a later release then says about an earlier day stands under the charge that day has already.
    """
    return (
        earlier.names(enterprise_id)
        and policy.anchor_month == earlier.anchor_month
        and _terms_of(policy, enterprise_id, measure_id) == _terms_of(earlier, enterprise_id, measure_id)
    )


def _terms_of(policy: Policy, enterprise_id: str, measure_id: str) -> object:
    """Give everything that makes a measure's series what it is."""
    references = {reference.id: reference for reference in policy.packs}
    measures = {
        measure.id: (measure_spec(measure), [references[pack_id] for pack_id in measure.pack_ids])
        for measure in policy.enterprise(enterprise_id).measures
    }
    claims = [
        (item.name, item.claim)
        for item in policy.series(enterprise_id)
        if item.by_slot and item.measure_id == measure_id
    ]
    return measures.get(measure_id), claims


def measure_spec(measure: Measure) -> MeasureSpec:
    """Say which packs a statement sums and how a day is clamped."""
    return MeasureSpec(measure.id, measure.pack_ids, measure.day_clamp_grams, measure.kind)


def histogram_spec(policy: Policy, mine: EnterprisePolicy) -> HistogramSpec:
    """Say which public cells there are, what fills them and how a month is clamped."""
    return HistogramSpec(
        regions=policy.regions,
        domains=policy.domains,
        pack_order=tuple(reference.id for reference in policy.packs),
        pack_ids=mine.credited_pack_ids,
        month_clamp_grams=mine.month_clamp_grams,
    )


def _check_reserve(policy: Policy, ceilings: Ceilings) -> None:
    if policy.reserve_z > ceilings.reserve_z:
        raise Refused(
            REASON_CEILING_EXCEEDED,
            f"The policy has accounts keep {policy.reserve_z} standard deviations; node.toml allows "
            f"{ceilings.reserve_z}.",
            remedy="Agree on a policy below it, or raise ceilings.reserve_z.",
        )


def _check_reach(what: str, stated: ReachParts, needed: ReachParts) -> None:
    for months, most in needed:
        if dict(stated).get(months, 0) < most:
            when = f" {months} months later" if months else ""
            raise Refused(
                REASON_CLAIM_WRONG,
                f"The policy states a reach of {dict(stated).get(months, 0)} for {what}{when}; the packs can "
                f"move it by {most}.",
                remedy="Its noise or its charges would be too small: release nothing and tell those who "
                "signed the policy.",
            )
