"""Cells against statements: where an enterprise's population leaves its statements beyond noise (I18).

Every epoch is asked by itself and all together, since a small drift shows only over many. No posting follows:
the two do not sum the same grams, so that what they differ by belongs to nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from auditor.findings import Check, Results
from auditor.replay import Replay
from auditor.statements import StatementFiles
from privacy.difference import Compared, Noised
from privacy.policy import DOMAIN_METHODOLOGY_POOLED
from privacy.populations import live_cells
from privacy.series import MeasureKind
from protos.epochs import Epoch, format_epoch
from protos.v1 import release_pb2
from protos.v1.release_pb2 import TABLE_KIND_SUM

# All tests of one audit together accuse honest enterprises with this probability at most.
FALSE_ALARM = 1e-6

Compares = dict[str, dict[Epoch, Compared]]


def check_differences(replayed: Replay, files: StatementFiles, results: Results) -> dict[str, Any]:
    """Compare each enterprise's cells with its statements; give the figures by enterprise."""
    result = results[Check.DIFFERENCES]
    found = _compared(replayed, files)
    tests = sum(len(epochs) + 1 for epochs in found.values())
    figures: dict[str, Any] = {}
    for enterprise_id, epochs in sorted(found.items()):
        whole = _together(epochs)
        named = {format_epoch(epoch): one for epoch, one in sorted(epochs.items())} | {"all epochs": whole}
        figures[enterprise_id] = {name: _told(one) for name, one in named.items()}
        for name, one in named.items():
            result.examined += 1
            if one.basis_points_max and not one.is_explained(FALSE_ALARM / tests):
                result.find(f"{enterprise_id}, {name}", _says(one))
        if not whole.basis_points_max and not whole.is_explained(FALSE_ALARM / tests):
            result.remarks.append(f"{enterprise_id}: {_says(whole)} The policy says no limit.")
    return figures


def _compared(replayed: Replay, files: StatementFiles) -> Compares:
    """Lay cells beside statements, by enterprise and epoch, of releases whose rows are at hand."""
    released = [one for one in replayed.releases if one.files is not None]
    sums = files.sums([one.files for one in released if one.files is not None])
    found: Compares = defaultdict(dict)
    for one in released:
        message = one.message
        epoch, enterprise_id = Epoch(message.epoch), message.header.issuer
        policy = replayed.state.policy_by_hash(message.policy_hash)
        cells = Noised()
        for _, value, scale in live_cells(policy, message, DOMAIN_METHODOLOGY_POOLED, TABLE_KIND_SUM):
            cells.add(value, scale)
        limit = policy.enterprise(enterprise_id).difference_basis_points_max
        found[enterprise_id][epoch] = Compared(cells, _statements(message, sums), limit)
    return found


def _statements(message: release_pb2.Release, sums: Mapping[tuple[str, int, str], int]) -> Noised:
    """Add up a release's statements of months in grams: anchors say the same grams again."""
    total = Noised()
    for one in message.statements:
        if int(one.kind) != MeasureKind.POINTS and not one.epochs:
            place = (message.header.issuer, message.epoch, one.measure_id)
            total.add(sums.get(place, 0), one.claim.scale, one.rows)
    return total


def _together(epochs: Mapping[Epoch, Compared]) -> Compared:
    """Add all epochs of an enterprise; the widest limit holds for all of them."""
    cells, statements = Noised(), Noised()
    for one in epochs.values():
        cells.include(one.cells)
        statements.include(one.statements)
    limits = [one.basis_points_max for one in epochs.values()]
    return Compared(cells, statements, max(limits) if all(limits) else 0)


def _told(one: Compared) -> dict[str, int]:
    return {
        "cells": one.cells.grams,
        "statements": one.statements.grams,
        "difference": one.difference_grams,
        "standard_deviation": one.sigma_grams,
        "basis_points_max": one.basis_points_max,
    }


def _says(one: Compared) -> str:
    return (
        f"Its cells hold {one.cells.grams} g, its statements {one.statements.grams} g; noise of "
        f"{one.sigma_grams} g standard deviation and {one.basis_points_max} basis points do not explain it."
    )
