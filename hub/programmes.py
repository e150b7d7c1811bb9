"""The programmes in the log as the hub reads them: parsed once, found by version and by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from accounting.programmes.eligibility import Conditions, check_conditions
from accounting.programmes.matching import faults, twice_taken
from accounting.programmes.parse import parse_canonical, parse_logged
from accounting.programmes.programme import YEAR_MONTHS, Programme
from accounting.programmes.versions import Span, in_force, spans_of
from engine.earning import released_measures
from hub.state import State
from hub.store import entries
from privacy.policy import Policy
from privacy.standing import LoggedProgramme
from protos.epochs import Epoch
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_PROGRAMME_INVALID


class Programmes:
    """Finds programmes; what was read once is kept, since a version never changes."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._parsed: dict[bytes, Programme] = {}

    def ids(self) -> list[str]:
        """List the ids of all programmes ever logged."""
        return sorted(self._state.programmes)

    def version(self, connection: Connection, programme: str, version: int) -> Programme | None:
        """Find one version."""
        standing = self._state.programmes.get(programme)
        found = next((one for one in standing.versions if one.version == version), None) if standing else None
        return None if found is None else self._read(connection, found)

    def spans(self, connection: Connection, programme: str) -> tuple[Span, ...]:
        """Lay out which version pays for which epochs; empty for an unknown programme."""
        standing = self._state.programmes.get(programme)
        if standing is None:
            return ()
        return spans_of((self._read(connection, one) for one in standing.versions), standing.withdrawn_from)

    def in_force(self, connection: Connection, programme: str, epoch: Epoch) -> Programme | None:
        """Give the version that holds for an epoch, if one does."""
        return in_force(self.spans(connection, programme), epoch)

    def _read(self, connection: Connection, logged: LoggedProgramme) -> Programme:
        if logged.sha256 not in self._parsed:
            self._parsed[logged.sha256] = parse_canonical(entries.read_bodies(connection, logged.index)[0])
        return self._parsed[logged.sha256]


def check_content(message: Any, bodies: Sequence[bytes], conditions: Conditions) -> None:
    """Refuse a programme's record whose body is not that programme, whole; raises PROGRAMME_INVALID."""
    if message.withdrawn:
        return
    found = parse_logged(
        bodies[0], programme=message.id, version=message.version, first_epoch=message.first_epoch
    )
    check_conditions(found, conditions)


def check_terms(found: Programme, policy: Policy) -> list[str]:
    """Hold a programme's names against a policy; raises PROGRAMME_INVALID, gives what to look at twice."""
    measures = released_measures(policy)
    wrong = [f"{place}: {problem}" for place, problem in faults(found, measures)]
    if wrong:
        raise Malformed(
            REASON_PROGRAMME_INVALID,
            f"Under policy version {policy.version}: " + "; ".join(wrong) + ".",
            remedy="Name what the policy releases, or publish a policy that releases it first.",
        )
    if policy.anchor_epsilon is not None and policy.anchor_month != YEAR_MONTHS and _has_year_caps(found):
        raise Malformed(
            REASON_PROGRAMME_INVALID,
            f"Caps are by calendar year; the policy's anchors total years that end in {policy.anchor_month}.",
            remedy="Use a policy whose anchors end in December, or no caps by year.",
        )
    return [
        f"{one.enterprise}/{one.measure} is taken by {' and '.join(rules)}: only {rules[0]} gives points"
        for one, rules in twice_taken(found, measures)
    ]


def _has_year_caps(found: Programme) -> bool:
    return bool(found.caps.year_points) or any(one.year_points_max for one in found.earn.values())
