"""Own-history packs of every kind, over electricity, for tests."""

from __future__ import annotations

from typing import Any

from accounting.compiler import CompiledPack, compile_pack
from accounting.documents import checked
from accounting.evaluator import Record
from accounting.packs import Pack, Vector
from accounting.vectors import evaluate_points, evaluate_vector
from tests.unit.accounting import samples

MADE = {"source": "made", "confidence": "official"}
CLAMP = {"value": "12", "unit": "kWh"}
QUANTITY = {"text": "own", "quantity": "energy", "day_maximum": CLAMP}
POINTS = {"per": "month", "of": "reduction", "unit": "gCO2e", "maximum": 100, **MADE}
EACH = {"each": {"amount": "50", "points": 1}}
TIERS = {"tiers": [{"since": "300", "points": 10}, {"since": "1000.0005", "points": 25}]}
SHARE = {
    "unit": "ratio",
    "of": "share",
    "tiers": [{"since": "0.05", "points": 10}, {"since": "0.125", "points": 30}],
}

KINDS: dict[str, dict[str, Any]] = {
    "same_month_1": {"kind": "own_history_same_month", "years": 1, **QUANTITY},
    "same_month_2": {"kind": "own_history_same_month", "years": 2, **QUANTITY},
    "mean_1": {"kind": "own_history_mean", "months": 1, **QUANTITY},
    "mean_3": {"kind": "own_history_mean", "months": 3, **QUANTITY},
    "spend_2": {
        "kind": "own_history_spend",
        "months": 2,
        "text": "own",
        "day_maximum": {"value": "3.0003", "unit": "kgCO2e"},
    },
    "average_1": {"kind": "own_moving_average", "days": 1, **QUANTITY},
    "average_7": {"kind": "own_moving_average", "days": 7, **QUANTITY},
    "average_28": {"kind": "own_moving_average", "days": 28, **QUANTITY},
}
DUAL = {"kind": "dual_population_then_own7", "days": 7, "line": "line", **QUANTITY}

TARIFFS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "linear": (KINDS["mean_3"], {**POINTS, **EACH}),
    "tiers": (KINDS["average_7"], {**POINTS, **TIERS}),
    "both": (KINDS["spend_2"], {**POINTS, **EACH, **TIERS}),
    "gwangju": (KINDS["same_month_2"], {**POINTS, **SHARE}),
    "share_of_months": (KINDS["mean_3"], {**POINTS, **SHARE}),
    "dual": (DUAL, {**POINTS, **EACH}),
    "dual_tiers": (DUAL, {**POINTS, **TIERS}),
}


def history_of(baseline: dict[str, Any], tariff: dict[str, Any] | None = None) -> CompiledPack:
    """Compile an own-history pack; its vector is taken from its own oracle."""
    changes: dict[str, Any] = {"baseline": baseline}
    if baseline["kind"] == "own_history_spend":
        changes["formula"] = "max(0, energy * grid - 0.0001 * start)"
    changes["parameters"] = {
        "grid": {"value": "0.5306", "unit": "kgCO2e/kWh", **MADE},
        "start": {"value": "0.7", "unit": "gCO2e", **MADE},
        "line": {"value": "8.001", "unit": "kWh", **MADE},
    }
    if tariff is not None:
        changes |= {"purpose": "points", "tariff": tariff}
    record = {"date": "2020-12-01", "inputs": {"energy": "1"}}
    vector: dict[str, Any] = {"date": "2020-12-01", "records": [record]}
    pack = samples.make_pack(samples.ENERGY, **changes, vectors=[vector])
    drawn = checked(Vector, vector, "vector")
    vector["milligrams"] = evaluate_vector(pack, drawn)
    if tariff is not None:
        vector["points"] = evaluate_points(pack, drawn)
    made: Pack = samples.make_pack(samples.ENERGY, **changes, vectors=[vector])
    return compile_pack(made)


def kinds() -> list[str]:
    """Name the kinds that are linear in a clamped day."""
    return sorted(KINDS)


def used(day: int, steps: int, person: int = 1) -> Record:
    """Make a reading in Wh."""
    return Record(person, day, "east", {"energy": steps, "meter": "m"})
