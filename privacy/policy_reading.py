"""Reads policies from the wire: every field within its bounds, and what does not add up refused."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Literal

from privacy.claims import fraction
from privacy.difference import DIFFERENCE_BASIS_POINTS_MAX
from privacy.keys import checked_id
from privacy.policy import (
    NO_OVERLAP,
    TABLE_IDS,
    EnterprisePolicy,
    Measure,
    PackReference,
    Policy,
    series,
    table_keys,
)
from privacy.series import MeasureKind
from privacy.spending import reserve_z, spend_limits
from protos.epochs import checked_epoch
from protos.problems import Malformed
from protos.v1 import policy_pb2
from protos.v1.problem_pb2 import REASON_UNKNOWN_FIELD_VALUE, REASON_WRONG_SHAPE
from protos.v1.release_pb2 import PRIVACY_UNIT_PERSON_DAY, PRIVACY_UNIT_PERSON_MONTH

# Where nobody chose, the enterprise records that the person joined first.
FIRST_ENROLLED = "first_enrolled"
# All cells of a release, sums and counts: they travel inside one log entry.
CELLS_MAX = 7_000
LIST_MAX = 10_000
LAG_DAYS_MAX = 366
# Baselines reach five years back at most.
LATER_MONTHS_MAX = 60
# A city that begins with data of years ago commits to them years after their end.
DEADLINE_DAYS_MAX = 36_600


def read_policy(message: policy_pb2.Policy, policy_hash: bytes) -> Policy:
    """Check every field of a policy; raises Malformed naming the field."""
    policy = Policy(
        id=checked_id(message.id, "Policy id"),
        version=_positive(message.version, "version"),
        origin=message.origin,
        first_epoch=checked_epoch(message.first_epoch),
        statement_epsilon=_epsilon(message.statement_epsilon, "statement_epsilon"),
        sum_epsilon=_epsilon(message.sum_epsilon, "sum_epsilon"),
        count_epsilon=_epsilon(message.count_epsilon, "count_epsilon"),
        person_day_allowance=_epsilon(message.person_day_allowance, "person_day_allowance"),
        person_month_allowance=_epsilon(message.person_month_allowance, "person_month_allowance"),
        regions=_keys(message.regions, "regions"),
        domains=_keys(message.domains, "domains"),
        packs=tuple(map(_pack, message.packs)),
        enterprises=tuple(map(_enterprise, message.enterprises)),
        unmatched_per_mille=message.unmatched_per_mille,
        roster_batch_min=message.roster_batch_min,
        issued_at=message.issued_at,
        policy_hash=policy_hash,
        anchor_epsilon=_optional(message, "anchor_epsilon"),
        anchor_month=message.anchor_month,
        points_epsilon=_optional(message, "points_epsilon"),
        lag_days=_at_most(message.lag_days, LAG_DAYS_MAX, "lag_days"),
        commitment_required=message.commitment_required,
        commitment_deadline_days=_at_most(
            message.commitment_deadline_days, DEADLINE_DAYS_MAX, "commitment_deadline_days"
        ),
        deadline_days=_at_most(message.deadline_days, DEADLINE_DAYS_MAX, "deadline_days"),
        reserve_z=reserve_z(message),
        limits=spend_limits(message),
        default_recording=_default_recording(message.default_recording),
        retrospective=message.retrospective,
    )
    _check_anchors(policy)
    _check_deadline(policy)
    _check_lists(policy)
    _check_sums(policy)
    if policy.commitment_deadline_days and not policy.commitment_required:
        raise _wrong("Policy: a deadline for commitments that are not asked for.")
    return policy


def _pack(message: policy_pb2.PackReference) -> PackReference:
    if len(message.sha256) != 32:
        raise _wrong("A pack reference's sha256 has 32 bytes.")
    return PackReference(
        id=_key(message.id, "pack id"),
        version=_positive(message.version, "pack version"),
        sha256=message.sha256,
        domain=_key(message.domain, "pack domain"),
        overlap_class=_key(message.overlap_class or NO_OVERLAP, "pack overlap class"),
    )


def _enterprise(message: policy_pb2.EnterprisePolicy) -> EnterprisePolicy:
    return EnterprisePolicy(
        enterprise_id=checked_id(message.enterprise_id, "Enterprise id"),
        measures=tuple(map(_measure, message.measures)),
        month_clamp_grams=_positive(message.month_clamp_grams, "month_clamp_grams"),
        sum_reach_grams=_positive(message.sum_reach_grams, "sum_reach_grams"),
        count_reach=_positive(message.count_reach, "count_reach"),
        difference_basis_points_max=_at_most(
            message.difference_basis_points_max, DIFFERENCE_BASIS_POINTS_MAX, "difference_basis_points_max"
        ),
        sum_later=_later(message.sum_later, message.sum_reach_grams, "sum_later"),
    )


def _measure(message: policy_pb2.Measure) -> Measure:
    if _measure_kind(message.kind) is MeasureKind.POINTS and message.day_clamp_grams:
        raise _wrong(f"Policy: measure {message.id} counts points; it has no clamp in grams.")
    return Measure(
        id=checked_id(message.id, "Measure id"),
        pack_ids=_keys(message.pack_ids, "a measure's pack_ids"),
        day_clamp_grams=message.day_clamp_grams,
        reach_grams=_positive(message.reach_grams, "reach_grams"),
        kind=_measure_kind(message.kind),
        archetype=_key(message.archetype, "archetype") if message.archetype else "",
        later=_later(message.later, message.reach_grams, "later"),
    )


def _later(parts: Iterable[policy_pb2.LaterReach], whole: int, what: str) -> tuple[tuple[int, int], ...]:
    """Read what falls on later months: by months, each once, and with something left for the own month."""
    found = tuple((part.months, part.reach) for part in parts)
    months = [one for one, _ in found]
    if months != sorted(set(months)) or any(not 1 <= one <= LATER_MONTHS_MAX for one in months):
        raise _wrong(f"Policy: {what} does not list months from 1 to {LATER_MONTHS_MAX}, ascending.")
    if any(reach < 1 for _, reach in found) or sum(reach for _, reach in found) >= whole:
        raise _wrong(f"Policy: {what} is no part of the reach.")
    return found


def _default_recording(value: str) -> str:
    if value not in ("", FIRST_ENROLLED):
        raise Malformed(
            REASON_UNKNOWN_FIELD_VALUE, f"Policy: default_recording is '{FIRST_ENROLLED}' or empty."
        )
    return value


def _measure_kind(value: int) -> MeasureKind:
    if value not in set(MeasureKind):
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, f"Policy: a measure's kind {value} is not known.")
    return MeasureKind(value)


def _optional(
    message: policy_pb2.Policy, name: Literal["anchor_epsilon", "points_epsilon"]
) -> Fraction | None:
    return _epsilon(getattr(message, name), name) if message.HasField(name) else None


def _check_anchors(policy: Policy) -> None:
    if not 0 <= policy.anchor_month <= 12 or (policy.anchor_epsilon is None) != (policy.anchor_month == 0):
        raise _wrong("Policy: anchors need both anchor_epsilon and an anchor_month from 1 to 12.")


def _check_deadline(policy: Policy) -> None:
    if policy.deadline_days and policy.deadline_days <= policy.lag_days:
        raise _wrong("Policy: deadline_days must leave days behind lag_days, when releases may be drawn.")


def _check_lists(policy: Policy) -> None:
    pack_ids = [pack.id for pack in policy.packs]
    _check_distinct(pack_ids, "packs")
    _check_distinct([item.enterprise_id for item in policy.enterprises], "enterprises")
    if not policy.regions or not policy.domains or not policy.packs or not policy.enterprises:
        raise _wrong("Policy: regions, domains, packs and enterprises must not be empty.")
    for mine in policy.enterprises:
        if not mine.measures:
            raise _wrong(f"Policy: {mine.enterprise_id} has no measure.")
        _check_distinct([measure.id for measure in mine.measures], f"measures of {mine.enterprise_id}")
        used = [pack_id for measure in mine.measures for pack_id in measure.pack_ids]
        _check_distinct(used, f"packs of {mine.enterprise_id}")
        if not set(used) <= set(pack_ids):
            raise _wrong(f"Policy: {mine.enterprise_id} uses a pack the policy does not list.")
    if not {pack.domain for pack in policy.packs} <= set(policy.domains):
        raise _wrong("Policy: a pack's domain is not one of the policy's domains.")
    if 2 * sum(len(table_keys(policy, table_id)) for table_id in TABLE_IDS) > CELLS_MAX:
        raise _wrong(f"Policy: a release's tables have more than {CELLS_MAX} cells.")


def _check_sums(policy: Policy) -> None:
    for mine in policy.enterprises:
        for unit, allowance in (
            (PRIVACY_UNIT_PERSON_DAY, policy.person_day_allowance),
            (PRIVACY_UNIT_PERSON_MONTH, policy.person_month_allowance),
        ):
            claims = (item.claim for item in series(policy, mine.enterprise_id))
            cost = sum((claim.epsilon for claim in claims if claim.unit == unit), Fraction(0))
            if cost > allowance:
                raise _wrong(
                    f"Policy: one release of {mine.enterprise_id} costs {cost}, its allowance is {allowance}."
                )


def _keys(values: Iterable[str], what: str) -> tuple[str, ...]:
    keys = tuple(_key(value, what) for value in values)
    _check_distinct(keys, what)
    return keys


def _key(value: str, what: str) -> str:
    if not value or len(value) > 128 or not value.isprintable() or value != value.strip():
        raise Malformed(
            REASON_UNKNOWN_FIELD_VALUE, f"Policy: {what} holds an empty, long or unprintable word."
        )
    return value


def _check_distinct(values: Iterable[str], what: str) -> None:
    found = list(values)
    if len(set(found)) != len(found) or len(found) > LIST_MAX:
        raise _wrong(f"Policy: {what} are not distinct, or more than {LIST_MAX}.")


def _positive(value: int, what: str) -> int:
    if value < 1:
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, f"Policy: {what} must be at least 1.")
    return value


def _at_most(value: int, limit: int, what: str) -> int:
    if value > limit:
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, f"Policy: {what} is at most {limit}.")
    return value


def _epsilon(value: policy_pb2.Ratio, what: str) -> Fraction:
    result = fraction(value, f"Policy: {what}")
    if result <= 0:
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, f"Policy: {what} must be positive.")
    return result


def _wrong(message: str) -> Malformed:
    return Malformed(REASON_WRONG_SHAPE, message)
