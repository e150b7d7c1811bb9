"""How accurate accounts and regional totals are: simulation beside the formula; a table, JSON and a plot.

No time is measured here. Noise is numpy's, of the exact distribution; the formulas are those of postings and
of the intervals shown to people.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from privacy.laplace import interval_halfwidth, sigma_upper
from privacy.simulation import ARCHETYPES, Statements, noise_paths, sigmas

DAY_CLAMP_GRAMS, MONTH_CLAMP_GRAMS = 500, 5_000
STATEMENT_SCALE, SUM_SCALE = 1_000, 12_500
MONTHS = (12, 24, 60)
PARTICIPANTS = (10_000, 100_000, 1_000_000)
REGIONS = 31
DRAWS = 20_000
SEED = 20_260_101
RIDES = Statements("rides", STATEMENT_SCALE, DAY_CLAMP_GRAMS)
ANCHORED = Statements("rides, anchored", STATEMENT_SCALE, DAY_CLAMP_GRAMS, STATEMENT_SCALE)


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account after some months: error simulated and by formula, 95 % half-width, how often it covers."""

    months: int
    anchored: bool
    simulated_grams: int
    formula_grams: int
    halfwidth_grams: int | None
    covered: float | None


@dataclass(frozen=True, slots=True)
class RegionRow:
    """A regional total of one month and one enterprise; errors relative to the unclamped truth."""

    participants: int
    noise_relative: float
    formula_relative: float
    smallest_region_relative: float
    clamp_bias: float


def accounts(random: np.random.Generator) -> list[AccountRow]:
    """Simulate accounts with and without anchors; a distribution free of anchors has exact intervals too."""
    rows = []
    for measure in (RIDES, ANCHORED):
        paths, spread = noise_paths(measure, max(MONTHS), DRAWS, random), sigmas(measure, max(MONTHS))
        for months in MONTHS:
            noise, formula = paths[:, months - 1], math.ceil(spread[months - 1])
            is_plain = measure.anchor_scale is None
            halfwidth = interval_halfwidth([STATEMENT_SCALE] * months) if is_plain else None
            covered = None if halfwidth is None else float(np.mean(np.abs(noise) <= halfwidth))
            if is_plain:
                assert formula == sigma_upper([STATEMENT_SCALE] * months)
            error = round(float(np.sqrt((noise**2).mean())))
            rows.append(AccountRow(months, not is_plain, error, formula, halfwidth, covered))
    return rows


def regions(random: np.random.Generator) -> list[RegionRow]:
    """Simulate a city mix over 31 regions, shares falling like rank^-0.7, a month clamped to 5 kg."""
    city, rows = ARCHETYPES[1], []
    shares = np.arange(1, REGIONS + 1) ** -0.7
    for participants in PARTICIPANTS:
        home = random.choice(REGIONS, participants, p=shares / shares.sum())
        days = random.binomial(30, city.active_days / 30, participants)
        mean = city.day_grams * math.exp(city.spread**2 / 2)
        # A month's total of many days: log-normal with the moments of the sum, persons differing as well.
        month = days * mean * random.lognormal(-0.125, 0.5, participants)
        truth = np.bincount(home, month, REGIONS)
        kept = np.bincount(home, np.minimum(month, MONTH_CLAMP_GRAMS), REGIONS)
        q = -math.expm1(-1 / SUM_SCALE)
        noise = random.geometric(q, (DRAWS // 20, REGIONS)) - random.geometric(q, (DRAWS // 20, REGIONS))
        relative = np.sqrt((noise**2).mean(axis=0)) / truth
        formula = sigma_upper([SUM_SCALE]) / truth
        rows.append(
            RegionRow(
                participants,
                float(np.median(relative)),
                float(np.median(formula)),
                float(relative.max()),
                float(kept.sum() / truth.sum() - 1),
            )
        )
    return rows


def table(found: Sequence[AccountRow], totals: Sequence[RegionRow]) -> str:
    """Write both tables as Markdown."""
    lines = [
        "| account after | without anchors: simulated ± g | formula | 95 % interval ± g | covers"
        " | with anchors: simulated ± g | formula |",
        "|---|---|---|---|---|---|---|",
    ]
    for months in MONTHS:
        plain, anchored = (one for one in found if one.months == months)
        lines.append(
            f"| {months} months | {plain.simulated_grams:,} | {plain.formula_grams:,} "
            f"| {plain.halfwidth_grams:,} | {plain.covered:.1%} "
            f"| {anchored.simulated_grams:,} | {anchored.formula_grams:,} |"
        )
    lines += [
        "",
        "| participants | a region's month, noise (median) | formula | smallest region | clamp bias |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.participants:,} | {one.noise_relative:.3%} | {one.formula_relative:.3%}"
        f" | {one.smallest_region_relative:.3%} | {one.clamp_bias:.2%} |"
        for one in totals
    ]
    return "\n".join(lines)


def plot(random: np.random.Generator) -> str:
    """Draw the error of an account by month as SVG: lines are the formula, dots the simulation."""
    width, height, left, bottom = 560, 300, 64, 36
    months, top = max(MONTHS), 12_000

    def at(month: float, grams: float) -> str:
        x = left + (width - left - 110) * month / months
        return f"{x:.1f},{height - bottom - (height - bottom - 16) * grams / top:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
        ' font-size="11"><rect width="100%" height="100%" fill="#fff"/>'
    ]
    for grams in range(0, top + 1, 3_000):
        (x, y), (end, _) = (at(place, grams).split(",") for place in (0, months))
        parts.append(f'<path d="M{x} {y}H{end}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{left - 6}" y="{float(y) + 4:.0f}" text-anchor="end">{grams // 1000} kg</text>'
        )
    for month in range(0, months + 1, 12):
        x, y = at(month, 0).split(",")
        parts.append(f'<text x="{x}" y="{float(y) + 16:.0f}" text-anchor="middle">{month}</text>')
    for measure, colour, name in ((RIDES, "#b4462a", "no anchors"), (ANCHORED, "#1f6f54", "anchors")):
        spread = sigmas(measure, months)
        found = np.sqrt((noise_paths(measure, months, DRAWS, random) ** 2).mean(axis=0))
        line = " ".join(at(month + 1, grams) for month, grams in enumerate(spread.tolist()))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        for month in range(2, months, 3):
            x, y = at(month + 1, float(found[month])).split(",")
            parts.append(f'<circle cx="{x}" cy="{y}" r="2" fill="{colour}"/>')
        x, y = at(months + 1, float(spread[-1])).split(",")
        parts.append(f'<text x="{x}" y="{float(y) + 4:.0f}" fill="{colour}">{name}</text>')
    caption = f"standard deviation of an account by month, D = {DAY_CLAMP_GRAMS} g, epsilon 1/2"
    parts.append(f'<text x="{left}" y="12">{caption}</text></svg>')
    return "\n".join(parts) + "\n"


def main() -> None:
    """Simulate, print the tables, write JSON and plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(".bench/accuracy.json"))
    parser.add_argument("--plot", type=Path, default=Path("docs/accuracy.svg"))
    asked = parser.parse_args()
    random = np.random.default_rng(SEED)
    found, totals = accounts(random), regions(random)
    described = {"accounts": [asdict(one) for one in found], "regions": [asdict(one) for one in totals]}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    asked.plot.write_text(plot(random), encoding="utf-8")
    print(table(found, totals))


if __name__ == "__main__":
    main()
