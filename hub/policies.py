"""A policy as its makers write it, made into the one that is signed: packs found, reaches computed.

id = "city"
version = 1
first_epoch = "2020-12"
regions = ["east", "west"]
packs = ["bike-trips", "plant-protein@2"]     # the newest in the log, or a version
unmatched_per_mille = 20                      # more evaluations beyond enrolments are a finding
commitment_deadline_days = 20                 # optional: releases need a commitment, late after so many days
roster_batch_min = 1
lag_days = 10                                 # releases wait so long for corrections; optional
deadline_days = 25                            # after an epoch's end; who has not answered then is missing
retrospective = false                         # true: the epochs lie in the past, as in a pilot on kept data
default_recording = "first_enrolled"          # the default; "": whatever several know, all of them record

[epsilon]
statement = "1/2"
sum = "2/5"
count = "1/10"

[allowance]
person_day = "1/2"
person_month = "1"

[anchor]                                      # optional: the year's total once more, under fresh noise
epsilon = "1/2"
month = 12                                    # the year's last month

[limits]                                      # these are the defaults; beyond them nothing is published
reserve_z = "7/2"                             # an account spends what is above z standard deviations
idle_extraction_grams_max = 50                # an idle account takes at most this over its life, on average
spend_months_max = 24                         # of a measure's archetype at most so many in a thousand
never_spend_per_mille_max = 500               # cannot spend within so many months

[enterprises.bike-share]
month_clamp_grams = 5000
difference_basis_points_max = 1500            # by how much cells may leave statements; 0: no limit

[enterprises.bike-share.measures.trips]
packs = ["bike-trips"]
day_clamp_grams = 500                         # 0 where the packs clamp quantities themselves
kind = "day"                                  # or "points" of tariffs, or "period": bills, clamped by month
archetype = "city mix"                        # who is meant to spend, of the types simulated; optional
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Literal

from pydantic import Field, field_validator

from accounting.compiler import CompiledPack, compile_pack
from accounting.contributions import plan_histogram, plan_measure
from accounting.packs import Pack, Purpose
from accounting.periods import plan_period
from accounting.tariffs import plan_points
from privacy.claims import ratio
from privacy.difference import DIFFERENCE_BASIS_POINTS_MAX
from privacy.policy_reading import DEADLINE_DAYS_MAX, LAG_DAYS_MAX
from privacy.spending import PER_MILLE, RESERVE_Z_MAX, SPEND_MONTHS_MAX
from protos.epochs import parse_epoch
from protos.problems import Malformed, Refused
from protos.v1 import policy_pb2
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID, REASON_PACK_UNKNOWN
from runtime.configuration import Settings, parse_settings

DAY_CLAMP_GRAMS = 1_000
MONTH_CLAMP_GRAMS = 60_000
_KINDS = {
    "day": policy_pb2.MEASURE_KIND_UNSPECIFIED,
    "points": policy_pb2.MEASURE_KIND_POINTS,
    "period": policy_pb2.MEASURE_KIND_PERIOD,
}


def _exact(value: object) -> Fraction:
    try:
        return Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise ValueError('write a fraction as text, such as "1/2"') from None


class Ratios(Settings):
    """Fractions, read from their decimal or fractional text and so exactly."""

    _exactly = field_validator("*", mode="before")(_exact)


class Epsilons(Ratios):
    """What one release charges: each statement (of points likewise), each table of sums and of counts."""

    statement: Fraction = Fraction(1, 2)
    sum: Fraction = Fraction(2, 5)
    count: Fraction = Fraction(1, 10)
    points: Fraction = Fraction(1, 2)


class Allowances(Ratios):
    """What one enterprise may charge for an epoch, to a person-day and to a person-month."""

    person_day: Fraction
    person_month: Fraction


class AnchorFile(Settings):
    """Annual anchors: what each charges, and the last month of the year it totals."""

    epsilon: Fraction = Fraction(1, 2)
    month: int = Field(default=12, ge=1, le=12)

    _exactly = field_validator("epsilon", mode="before")(_exact)


class LimitsFile(Settings):
    """What an account keeps for its noise, and what the policy is judged by before it is signed."""

    reserve_z: Fraction = Field(default=Fraction(7, 2), gt=0, le=RESERVE_Z_MAX)
    idle_extraction_grams_max: int = Field(default=50, ge=1, lt=2**32)
    spend_months_max: int = Field(default=24, ge=1, le=SPEND_MONTHS_MAX)
    never_spend_per_mille_max: int = Field(default=500, ge=0, le=PER_MILLE)

    _exactly = field_validator("reserve_z", mode="before")(_exact)


class MeasureFile(Settings):
    """One series of statements."""

    packs: list[str] = Field(min_length=1)
    day_clamp_grams: int = Field(default=DAY_CLAMP_GRAMS, ge=0)
    kind: Literal["day", "points", "period"] = "day"
    archetype: Literal["", "bank user", "city mix", "metro commuter", "household"] = ""


class EnterpriseFile(Settings):
    """What one enterprise releases."""

    month_clamp_grams: int = Field(default=MONTH_CLAMP_GRAMS, ge=1)
    difference_basis_points_max: int = Field(default=0, ge=0, le=DIFFERENCE_BASIS_POINTS_MAX)
    measures: dict[str, MeasureFile] = Field(min_length=1)


class PolicyFile(Settings):
    """The whole file."""

    id: str
    version: int = Field(ge=1)
    first_epoch: str
    regions: list[str] = Field(min_length=1)
    domains: list[str] = Field(default_factory=list)
    packs: list[str] = Field(min_length=1)
    # Evaluations beyond enrolments: a batch whose enrolment was called off, a node set up anew.
    unmatched_per_mille: int = Field(default=20, ge=0, le=1000)
    roster_batch_min: int = Field(default=1, ge=1)
    epsilon: Epsilons = Epsilons()
    allowance: Allowances
    anchor: AnchorFile | None = None
    lag_days: int = Field(default=0, ge=0, le=LAG_DAYS_MAX)
    # Present where releases need commitments: days after an epoch's end in which one is in time.
    commitment_deadline_days: int | None = Field(default=None, ge=0, le=DEADLINE_DAYS_MAX)
    deadline_days: int = Field(default=0, ge=0, le=DEADLINE_DAYS_MAX)
    default_recording: Literal["", "first_enrolled"] = "first_enrolled"
    retrospective: bool = False
    limits: LimitsFile = LimitsFile()
    enterprises: dict[str, EnterpriseFile] = Field(min_length=1)


def parse_policy_file(data: bytes, name: str) -> PolicyFile:
    """Read a policy's TOML; raises Malformed CONFIGURATION_INVALID."""
    return parse_settings(data, PolicyFile, name=name)


def build_policy(
    file: PolicyFile, logged: Sequence[Pack], *, origin: str, issued_at: int
) -> policy_pb2.Policy:
    """Give the policy to sign; `logged` are the packs in the log, in its order."""
    packs = [_resolve(reference, logged) for reference in file.packs]
    compiled = {pack.id: compile_pack(pack) for pack in packs}
    message = policy_pb2.Policy(
        id=file.id,
        version=file.version,
        origin=origin,
        first_epoch=parse_epoch(file.first_epoch),
        statement_epsilon=ratio(file.epsilon.statement),
        sum_epsilon=ratio(file.epsilon.sum),
        count_epsilon=ratio(file.epsilon.count),
        person_day_allowance=ratio(file.allowance.person_day),
        person_month_allowance=ratio(file.allowance.person_month),
        regions=file.regions,
        domains=_domains(file, packs),
        unmatched_per_mille=file.unmatched_per_mille,
        roster_batch_min=file.roster_batch_min,
        issued_at=issued_at,
        lag_days=file.lag_days,
        commitment_required=file.commitment_deadline_days is not None,
        commitment_deadline_days=file.commitment_deadline_days or 0,
        deadline_days=file.deadline_days,
        default_recording=file.default_recording,
        retrospective=file.retrospective,
        reserve_z=ratio(file.limits.reserve_z),
        idle_extraction_grams_max=file.limits.idle_extraction_grams_max,
        spend_months_max=file.limits.spend_months_max,
        never_spend_per_mille_max=file.limits.never_spend_per_mille_max,
    )
    for pack in packs:
        message.packs.add(
            id=pack.id,
            version=pack.version,
            sha256=pack.sha256,
            domain=pack.domain.value,
            overlap_class=pack.overlap_class,
        )
    if any(one.kind == "points" for each in file.enterprises.values() for one in each.measures.values()):
        message.points_epsilon.CopyFrom(ratio(file.epsilon.points))
    if file.anchor is not None:
        message.anchor_epsilon.CopyFrom(ratio(file.anchor.epsilon))
        message.anchor_month = file.anchor.month
    for enterprise_id, enterprise in file.enterprises.items():
        message.enterprises.append(_enterprise(enterprise_id, enterprise, message, compiled))
    return message


def _enterprise(
    enterprise_id: str,
    enterprise: EnterpriseFile,
    message: policy_pb2.Policy,
    compiled: Mapping[str, CompiledPack],
) -> policy_pb2.EnterprisePolicy:
    """Compute the reach of each measure and of the histogram."""
    result = policy_pb2.EnterprisePolicy(
        enterprise_id=enterprise_id,
        month_clamp_grams=enterprise.month_clamp_grams,
        difference_basis_points_max=enterprise.difference_basis_points_max,
    )
    mine: list[CompiledPack] = []
    for measure_id, measure in enterprise.measures.items():
        packs = [_listed(pack_id, compiled) for pack_id in measure.packs]
        result.measures.append(_measure(measure_id, measure, packs))
        if measure.kind != "points":
            mine += packs
    histogram = plan_histogram(
        mine,
        pack_order=[pack.id for pack in message.packs],
        regions=message.regions,
        domains=message.domains,
        month_clamp_grams=enterprise.month_clamp_grams,
    )
    result.sum_reach_grams = histogram.sum_reach_grams
    result.count_reach = histogram.count_reach
    result.sum_later.extend(_later(histogram.sum_later))
    return result


def _measure(measure_id: str, measure: MeasureFile, packs: Sequence[CompiledPack]) -> policy_pb2.Measure:
    """Plan a measure of its kind; its reach follows from its packs."""
    clamp = measure.day_clamp_grams
    match measure.kind:
        case "points":
            clamp, points = 0, plan_points(measure_id, packs).reach
            reach, later = points.points, points.later
        case "period":
            reach, later = plan_period(measure_id, packs, clamp).reach.grams, ()
        case "day":
            grams = plan_measure(measure_id, packs, clamp).reach
            reach, later = grams.grams, grams.later
    return policy_pb2.Measure(
        id=measure_id,
        pack_ids=measure.packs,
        day_clamp_grams=clamp,
        reach_grams=reach,
        kind=_KINDS[measure.kind],
        archetype=measure.archetype,
        later=_later(later),
    )


def _later(parts: Iterable[tuple[int, int]]) -> list[policy_pb2.LaterReach]:
    return [policy_pb2.LaterReach(months=months, reach=reach) for months, reach in parts]


def _resolve(reference: str, logged: Sequence[Pack]) -> Pack:
    """Find "id" (the newest version in the log) or "id@version"."""
    pack_id, _, version = reference.partition("@")
    fitting = [pack for pack in logged if pack.id == pack_id and version in ("", str(pack.version))]
    if not fitting:
        raise Refused(
            REASON_PACK_UNKNOWN,
            f"The log holds no pack '{reference}'.",
            remedy="Publish it first: cgsp-hub pack publish.",
        )
    return max(fitting, key=lambda pack: pack.version)


def _listed(pack_id: str, compiled: Mapping[str, CompiledPack]) -> CompiledPack:
    if pack_id not in compiled:
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            f"A measure uses the pack '{pack_id}', which the policy's list of packs does not hold.",
            remedy="Add it to `packs`; measures name packs without a version.",
        )
    return compiled[pack_id]


def _domains(file: PolicyFile, packs: Sequence[Pack]) -> list[str]:
    """Give the domains written down, else those of the credited packs in the packs' order."""
    if file.domains:
        return file.domains
    return list(dict.fromkeys(pack.domain.value for pack in packs if pack.purpose is Purpose.CREDIT))
