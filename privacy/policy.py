"""Policies: what is released, how private, and how much it may cost; signed by the trust root's policy keys.

A policy fixes every series an enterprise releases, in order, with its claim: nobody chooses a scale or an
epsilon later. The policy in force for an epoch is the highest version whose first epoch is not after it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from privacy.claims import claim_for
from privacy.series import MeasureKind, Series, SeriesKind
from privacy.spending import RESERVE_Z, SpendLimits
from protos.epochs import Epoch, format_epoch
from protos.problems import Malformed, Refused
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
    # Of the reach, what falls on later months' statements: (months after, reach), ascending.
    later: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class EnterprisePolicy:
    """What one enterprise releases."""

    enterprise_id: str
    measures: tuple[Measure, ...]
    month_clamp_grams: int
    sum_reach_grams: int
    count_reach: int
    # By how much its cells may leave its statements beside noise, as a part of these; 0 without a limit.
    difference_basis_points_max: int = 0
    # Of the sums' reach, what falls on later months' histograms.
    sum_later: tuple[tuple[int, int], ...] = ()

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
            f"No policy is in force for epoch {format_epoch(epoch)}.",
            remedy="The hub's operator publishes one that begins no later (cgsp-hub policy publish).",
        )
    return max(fitting, key=lambda policy: policy.version)


def _statement(policy: Policy, measure: Measure) -> Series:
    epsilon = policy.statement_epsilon
    if measure.kind is MeasureKind.POINTS:
        if policy.points_epsilon is None:
            raise Malformed(
                REASON_WRONG_SHAPE, f"Policy: measure {measure.id} counts points; points_epsilon is missing."
            )
        epsilon = policy.points_epsilon
    return _by_slot("statement", SeriesKind.STATEMENT, measure, epsilon)


def _anchor(policy: Policy, measure: Measure) -> Series:
    """Give a measure's anchor: its total moves no further than the statements of which it is the sum."""
    return _by_slot("anchor", SeriesKind.ANCHOR, measure, policy.anchor_epsilon or Fraction(0))


def _by_slot(name: str, kind: SeriesKind, measure: Measure, epsilon: Fraction) -> Series:
    by_month = measure.kind is MeasureKind.PERIOD
    unit = PRIVACY_UNIT_PERSON_MONTH if by_month else PRIVACY_UNIT_PERSON_DAY
    claim = claim_for(measure.reach_grams, epsilon, unit)
    return Series(
        f"{name}/{measure.id}", kind, measure.id, claim, measure_kind=measure.kind, later=measure.later
    )


def _table(policy: Policy, mine: EnterprisePolicy, table_id: str) -> tuple[Series, Series]:
    cells = len(table_keys(policy, table_id))
    sums = claim_for(mine.sum_reach_grams, policy.sum_epsilon, PRIVACY_UNIT_PERSON_MONTH)
    counts = claim_for(mine.count_reach, policy.count_epsilon, PRIVACY_UNIT_PERSON_MONTH)
    return (
        Series(f"histogram/{table_id}/sum", SeriesKind.SUM, table_id, sums, cells, later=mine.sum_later),
        Series(f"histogram/{table_id}/count", SeriesKind.COUNT, table_id, counts, cells),
    )
