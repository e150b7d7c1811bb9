"""Programmes read again: each body is a programme, the one its record names, with conditions that compile."""

from __future__ import annotations

from accounting.programmes.eligibility import check_conditions
from accounting.programmes.parse import parse_logged
from auditor.findings import Check, Results
from auditor.replay import Replay
from engine.eligibility import CelConditions
from protos.problems import Problem


def check_programmes(replayed: Replay, results: Results) -> None:
    """Parse every version in the log."""
    result, conditions = results[Check.PROGRAMMES], CelConditions()
    for standing in replayed.state.programmes.values():
        for one in standing.versions:
            place = f"programme {one.id}@{one.version}"
            body = replayed.programmes.get((one.id, one.version))
            if body is None:
                result.unchecked.append(f"the body of {place} is not at hand")
                continue
            result.examined += 1
            try:
                found = parse_logged(body, programme=one.id, version=one.version, first_epoch=one.first_epoch)
                check_conditions(found, conditions)
            except Problem as problem:
                result.find_problem(place, problem)
