"""Which statements each earn rule takes, by what the policy says every measure sums.

A statement counts under one rule at most: the first, by id, that takes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from accounting.programmes.earn_rules import EarnFrom, EarnRule
from accounting.programmes.programme import Programme


@dataclass(frozen=True, slots=True)
class ReleasedMeasure:
    """One series of statements of one enterprise: the packs it sums, and each one's domain."""

    enterprise: str
    measure: str
    counts: EarnFrom
    packs: tuple[str, ...]
    domains: tuple[str, ...]


def takes(rule: EarnRule, measure: ReleasedMeasure) -> bool:
    """Tell whether a rule's matcher takes a measure, whole."""
    match = rule.match
    chosen: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
        (match.enterprises, (measure.enterprise,)),
        (match.measures, (measure.measure,)),
        (match.packs, measure.packs),
        (tuple(domain.value for domain in match.domains), measure.domains),
    )
    return rule.counts is measure.counts and all(
        not wanted or set(found) <= set(wanted) for wanted, found in chosen
    )


def rule_of(programme: Programme, measure: ReleasedMeasure) -> str | None:
    """Name the rule a measure counts under, None where none takes it."""
    return next((name for name in sorted(programme.earn) if takes(programme.earn[name], measure)), None)


def faults(programme: Programme, measures: Sequence[ReleasedMeasure]) -> Iterator[tuple[str, str]]:
    """Give (place, what is wrong) for each name that no measure has, and each rule that takes nothing."""
    enterprises = {one.enterprise for one in measures}
    packs = {pack for one in measures for pack in one.packs}
    for name in sorted(programme.earn):
        yield from _rule_faults(name, programme.earn[name], measures)
    for name, issue in programme.issue.items():
        yield from _undeclared(f"issue.{name}.packs", issue.packs, packs)
        yield from _undeclared(f"issue.{name}.enterprises", issue.enterprises, enterprises)
    for name, reward in programme.rewards.items():
        if reward.sponsor is not None:
            yield from _undeclared(f"rewards.{name}.sponsor", (reward.sponsor,), enterprises)


def _rule_faults(name: str, rule: EarnRule, measures: Sequence[ReleasedMeasure]) -> Iterator[tuple[str, str]]:
    match, place = rule.match, f"earn.{name}.match"
    yield from _undeclared(f"{place}.enterprises", match.enterprises, {one.enterprise for one in measures})
    yield from _undeclared(f"{place}.measures", match.measures, {one.measure for one in measures})
    yield from _undeclared(f"{place}.packs", match.packs, {pack for one in measures for pack in one.packs})
    if not any(takes(rule, one) for one in measures):
        yield place, "it takes no measure of the policy; one that mixes packs or domains is not taken"


def _undeclared(place: str, names: Iterable[str], declared: set[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        if name not in declared:
            yield place, f"the policy has no '{name}'"


def twice_taken(
    programme: Programme, measures: Sequence[ReleasedMeasure]
) -> list[tuple[ReleasedMeasure, tuple[str, ...]]]:
    """List the measures several rules would take, with the rules: only the first of them gives points."""
    found = []
    for one in measures:
        rules = tuple(name for name in sorted(programme.earn) if takes(programme.earn[name], one))
        if len(rules) > 1:
            found.append((one, rules))
    return found
