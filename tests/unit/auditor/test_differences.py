"""A node whose cells leave its statements is named; noise and what the policy agrees to are no finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditor.findings import Check
from auditor.report import Report
from privacy import policy, releases
from privacy.policy import DOMAIN_METHODOLOGY_POOLED, Policy, table_keys
from privacy.series import Series
from protos.epochs import Epoch, shift_epoch
from protos.v1.release_pb2 import TABLE_KIND_SUM
from tests.simulator import EPOCH, Federation, enrolled
from tests.unit.auditor.city import audited, found, parts
from tests.unit.privacy.test_residuals import laplace

BIKES, RETAILER = "bike-share", "retailer"
# A person's exact grams in a month, and how far the policy lets cells leave their sum.
GRAMS, AGREED = 1_000_000, 1_000
MONTHS = 6


@dataclass
class Measured(Federation):
    """Releases statements of known grams, and cells that hold a part of them, in thousandths, under noise."""

    per_mille: dict[str, int] = field(default_factory=dict)
    noise: np.random.Generator = field(default_factory=lambda: np.random.default_rng(11))

    def _statements(self, rules: Policy, enterprise_id: str, rows: int, epoch: Epoch) -> Mapping[str, bytes]:
        return {
            item.name: releases.to_raw((laplace(self.noise, item.claim.scale, rows) + GRAMS).tolist())
            for item in policy.series(rules, enterprise_id, epoch)
            if item.by_slot
        }

    def _tables(self, rules: Policy, enterprise_id: str) -> Mapping[str, Sequence[int]]:
        tables = [item for item in policy.series(rules, enterprise_id) if item.cells is not None]
        return {item.name: self._cells(rules, enterprise_id, item) for item in tables}

    def _cells(self, rules: Policy, enterprise_id: str, item: Series) -> list[int]:
        cells = laplace(self.noise, item.claim.scale, item.cells or 0)
        if (item.table_id, item.table_kind) == (DOMAIN_METHODOLOGY_POOLED, TABLE_KIND_SUM):
            mine = rules.enterprise(enterprise_id).credited_pack_ids[0]
            whole = self.state.roster(enterprise_id).active_count(EPOCH) * GRAMS
            at = table_keys(rules, DOMAIN_METHODOLOGY_POOLED).index((mine, "not_pooled"))
            cells[at] += whole * self.per_mille.get(enterprise_id, 1_000) // 1_000
        return [int(one) for one in cells]


def released(agreed: int, months: int = 1, **per_mille: int) -> Federation:
    """Release and close some months, bike-share's cells holding a part of its statements."""
    made: dict[str, Any] = parts()
    made["enterprises"] = [replace(one, difference_basis_points_max=agreed) for one in made["enterprises"]]
    federation = enrolled(Measured(**made, per_mille={BIKES: per_mille.get("bikes", 1_000)}))
    for number in range(months):
        epoch = shift_epoch(EPOCH, number)
        for one in federation.enterprises:
            federation.release(one.id, epoch)
        federation.close(epoch)
    return federation


def on_differences(report: Report) -> list[str]:
    return [place for check, place in found(report) if check == Check.DIFFERENCES.value]


@pytest.mark.parametrize("bikes", [905, 1_000, 1_095])
def test_what_the_policy_agrees_to_is_no_finding(tmp_path: Path, bikes: int) -> None:
    report = audited(released(AGREED, 2, bikes=bikes), tmp_path)
    assert found(report) == []
    assert report.results[Check.DIFFERENCES].examined == 2 * (2 + 1)
    whole = report.figures["differences"][BIKES]["all epochs"]
    assert abs(whole["statements"] - 2 * 12 * GRAMS) < 6 * whole["standard_deviation"]
    assert whole["difference"] == whole["cells"] - whole["statements"]


@pytest.mark.parametrize("bikes", [700, 1_300])
def test_a_node_that_inflates_its_cells_or_its_statements_is_found(tmp_path: Path, bikes: int) -> None:
    report = audited(released(AGREED, bikes=bikes), tmp_path)
    assert on_differences(report) == [f"{BIKES}, 2020-12", f"{BIKES}, all epochs"]


def test_a_drift_too_small_for_a_month_is_found_over_all(tmp_path: Path) -> None:
    report = audited(released(AGREED, MONTHS, bikes=1_108), tmp_path)
    assert on_differences(report) == [f"{BIKES}, all epochs"]


def test_without_a_limit_a_difference_is_told_and_nobody_accused(tmp_path: Path) -> None:
    report = audited(released(0, bikes=1_300), tmp_path)
    assert on_differences(report) == []
    [remark] = report.results[Check.DIFFERENCES].remarks
    assert remark.startswith(BIKES)


def test_without_bodies_nothing_is_compared(tmp_path: Path) -> None:
    report = audited(released(AGREED, bikes=1_300), tmp_path, with_bodies=False)
    assert on_differences(report) == []
    assert report.results[Check.DIFFERENCES].unchecked != []
