"""Policies: what is released, how private, and how much it may cost; signed by the trust root's policy keys.

A policy fixes every series an enterprise releases, in order, with its claim: nobody chooses a scale or an
epsilon later. The policy in force for an epoch is the highest version whose first epoch is not after it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from privacy.claims import claim_for, fraction
from privacy.keys import checked_id
from privacy.series import MeasureKind, Series, SeriesKind
from privacy.spending import RESERVE_Z, SpendLimits, reserve_z, spend_limits
from protos.epochs import Epoch, checked_epoch
from protos.problems import Malformed, Refused
from protos.v1 import policy_pb2
from protos.v1.problem_pb2 import (
    REASON_NOT_REGISTERED,
    REASON_POLICY_NOT_IN_FORCE,
    REASON_UNKNOWN_FIELD_VALUE,
    REASON_WRONG_SHAPE,
)
from protos.v1.release_pb2 import PRIVACY_UNIT_PERSON_DAY, PRIVACY_UNIT_PERSON_MONTH

__all__ = ["EnterprisePolicy", "Measure", "MeasureKind", "PackReference", "Policy", "Series", "SeriesKind"]

REGION_DOMAIN = "region_domain"
DOMAIN_METHODOLOGY_POOLED = "domain_methodology_pooled"
TABLE_IDS = (REGION_DOMAIN, DOMAIN_METHODOLOGY_POOLED)
POOLED = "pooled"
POOLED_KEYS = ("not_pooled", POOLED)
# The class of what nobody else could record: it overlaps nothing.
NO_OVERLAP = "OC-NONE"
# Where nobody chose, the enterprise records that the person joined first.
FIRST_ENROLLED = "first_enrolled"
# All cells of a release, sums and counts: they travel inside one log entry.
CELLS_MAX = 7_000
LIST_MAX = 10_000
LAG_DAYS_MAX = 366
# A city that begins with data of years ago commits to them years after their end.
DEADLINE_DAYS_MAX = 36_600


@dataclass(frozen=True, slots=True)
class PackReference:
    """A pack by id, version and SHA-256 of its canonical bytes, with its own domain and overlap class."""

    id: str
    version: int
    sha256: bytes
    domain: str
    overlap_class: str = NO_OVERLAP


@dataclass(frozen=True, slots=True)
class Measure:
    """One series of statements: the packs it sums, one unit's clamp and reach, in grams (points)."""

    id: str
    pack_ids: tuple[str, ...]
    day_clamp_grams: int
    reach_grams: int
    kind: MeasureKind = MeasureKind.DAY
    # The simulated type of participant that is meant to spend; "" where none is named.
    archetype: str = ""


@dataclass(frozen=True, slots=True)
class EnterprisePolicy:
    """What one enterprise releases."""

    enterprise_id: str
    measures: tuple[Measure, ...]
    month_clamp_grams: int
    sum_reach_grams: int
    count_reach: int

    @property
    def pack_ids(self) -> tuple[str, ...]:
        """All packs of its measures, each once, in order."""
        return tuple(dict.fromkeys(pack_id for measure in self.measures for pack_id in measure.pack_ids))

    def overlap_classes(self, packs: Iterable[PackReference]) -> frozenset[str]:
        """Give the classes its packs record in which enterprises may overlap."""
        mine = set(self.pack_ids)
        return frozenset(pack.overlap_class for pack in packs if pack.id in mine) - {NO_OVERLAP}

    @property
    def credited_pack_ids(self) -> tuple[str, ...]:
        """The packs of its measures in grams, which fill the histogram."""
        grams = (measure for measure in self.measures if measure.kind is not MeasureKind.POINTS)
        return tuple(dict.fromkeys(pack_id for measure in grams for pack_id in measure.pack_ids))


@dataclass(frozen=True, slots=True)
class Policy:
    """One checked version of the policy; `policy_hash` is the SHA-256 of its envelope."""

    id: str
    version: int
    origin: str
    first_epoch: Epoch
    statement_epsilon: Fraction
    sum_epsilon: Fraction
    count_epsilon: Fraction
    person_day_allowance: Fraction
    person_month_allowance: Fraction
    regions: tuple[str, ...]
    domains: tuple[str, ...]
    packs: tuple[PackReference, ...]
    enterprises: tuple[EnterprisePolicy, ...]
    unmatched_per_mille: int
    roster_batch_min: int
    issued_at: int
    policy_hash: bytes
    # None in a policy without anchors; the last month of the year an anchor totals (0 without).
    anchor_epsilon: Fraction | None = None
    anchor_month: int = 0
    points_epsilon: Fraction | None = None
    lag_days: int = 0
    # Whether a release needs a commitment before it; days after an epoch's end it is in time.
    commitment_required: bool = False
    commitment_deadline_days: int = 0
    # Days after an epoch's end until which its parties answer; 0 where nobody waits for a day.
    deadline_days: int = 0
    # An account spends what is above this many standard deviations of its noise.
    reserve_z: Fraction = RESERVE_Z
    limits: SpendLimits | None = None
    # Who records an overlap class where nobody chose; "" in a policy under which everybody records.
    default_recording: str = ""
    # Epochs lie in the past: choices act from whatever is not settled, whether or not it has begun.
    retrospective: bool = False

    def names(self, enterprise_id: str) -> bool:
        """Say whether the policy says what an enterprise releases."""
        return any(one.enterprise_id == enterprise_id for one in self.enterprises)

    def enterprise(self, enterprise_id: str) -> EnterprisePolicy:
        """Find what an enterprise releases; raises Refused NOT_REGISTERED."""
        for enterprise in self.enterprises:
            if enterprise.enterprise_id == enterprise_id:
                return enterprise
        raise Refused(
            REASON_NOT_REGISTERED,
            f"Policy version {self.version} has no enterprise '{enterprise_id}'.",
            remedy="Publish a policy that names it.",
        )

    def series(self, enterprise_id: str, epoch: Epoch | None = None) -> tuple[Series, ...]:
        """List the series of an enterprise's release in their order; without an epoch, of all releases."""
        return series(self, enterprise_id, epoch)


def series(policy: Policy, enterprise_id: str, epoch: Epoch | None = None) -> tuple[Series, ...]:
    """List an enterprise's series: statements in measure order, anchors likewise, each table's sum and count.

    Anchors stand in the release of the year's last month alone; without an epoch all that a policy promises
    are listed, which is what the whole cost is made of.
    """
    mine = policy.enterprise(enterprise_id)
    statements = (_statement(policy, measure) for measure in mine.measures)
    is_due = epoch is None or epoch % 100 == policy.anchor_month
    anchors = (
        _anchor(policy, measure) for measure in mine.measures if measure.kind is not MeasureKind.POINTS
    )
    tables = (item for table_id in TABLE_IDS for item in _table(policy, mine, table_id))
    return (*statements, *(anchors if is_due and policy.anchor_epsilon is not None else ()), *tables)


def table_keys(policy: Policy, table_id: str) -> tuple[tuple[str, str], ...]:
    """List a table's public cells, row-major.

    region_domain: (region, domain); domain_methodology_pooled: (pack id, not_pooled | pooled), the domain
    being the pack's own.
    """
    if table_id == REGION_DOMAIN:
        return tuple((region, domain) for region in policy.regions for domain in policy.domains)
    if table_id == DOMAIN_METHODOLOGY_POOLED:
        return tuple((pack.id, pooled) for pack in policy.packs for pooled in POOLED_KEYS)
    raise Malformed(
        REASON_UNKNOWN_FIELD_VALUE, f"There is no table '{table_id}'; known: {', '.join(TABLE_IDS)}."
    )


def in_force(policies: Iterable[Policy], epoch: Epoch) -> Policy:
    """Give the policy in force for an epoch; raises Refused POLICY_NOT_IN_FORCE if there is none."""
    fitting = [policy for policy in policies if policy.first_epoch <= epoch]
    if not fitting:
        raise Refused(
            REASON_POLICY_NOT_IN_FORCE,
            f"No policy is in force for epoch {epoch}.",
            remedy="Publish a policy whose first epoch is not after it.",
        )
    return max(fitting, key=lambda policy: policy.version)


def from_wire(message: policy_pb2.Policy, policy_hash: bytes) -> Policy:
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


def _statement(policy: Policy, measure: Measure) -> Series:
    epsilon = policy.statement_epsilon
    if measure.kind is MeasureKind.POINTS:
        if policy.points_epsilon is None:
            raise _wrong(f"Policy: measure {measure.id} counts points; points_epsilon is missing.")
        epsilon = policy.points_epsilon
    return _by_slot("statement", SeriesKind.STATEMENT, measure, epsilon)


def _anchor(policy: Policy, measure: Measure) -> Series:
    """Give a measure's anchor: its total moves no further than the statements of which it is the sum."""
    return _by_slot("anchor", SeriesKind.ANCHOR, measure, policy.anchor_epsilon or Fraction(0))


def _by_slot(name: str, kind: SeriesKind, measure: Measure, epsilon: Fraction) -> Series:
    by_month = measure.kind is MeasureKind.PERIOD
    unit = PRIVACY_UNIT_PERSON_MONTH if by_month else PRIVACY_UNIT_PERSON_DAY
    claim = claim_for(measure.reach_grams, epsilon, unit)
    return Series(f"{name}/{measure.id}", kind, measure.id, claim, measure_kind=measure.kind)


def _table(policy: Policy, mine: EnterprisePolicy, table_id: str) -> tuple[Series, Series]:
    cells = len(table_keys(policy, table_id))
    sums = claim_for(mine.sum_reach_grams, policy.sum_epsilon, PRIVACY_UNIT_PERSON_MONTH)
    counts = claim_for(mine.count_reach, policy.count_epsilon, PRIVACY_UNIT_PERSON_MONTH)
    return (
        Series(f"histogram/{table_id}/sum", SeriesKind.SUM, table_id, sums, cells),
        Series(f"histogram/{table_id}/count", SeriesKind.COUNT, table_id, counts, cells),
    )


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
    )


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
