"""A simulated federation whose packs are real ones, so that their reach can be proved again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from accounting.compiler import compile_pack
from accounting.contributions import plan_histogram, plan_measure
from accounting.packs import Pack
from auditor.app import verify_source
from auditor.report import Report
from runtime.pack_files import load_pack
from tests.simulator import Federation, SimulatedEnterprise, SimulatedPack

PACKS = Path(__file__).parents[3] / "packs"
PACK_IDS = ("trv.shared_bike", "con.plant_protein")
REGIONS, DOMAINS = ("east", "west"), ("travel", "consumption")
MONTH_CLAMP_GRAMS = 5_000
DAY_CLAMP_GRAMS = 500


def real_packs() -> dict[str, Pack]:
    """Read the newest version of each pack used here."""
    return {
        pack_id: load_pack(sorted((PACKS / pack_id).iterdir(), key=lambda path: int(path.name))[-1])
        for pack_id in PACK_IDS
    }


def enterprise(
    enterprise_id: str, persons: range, pack: Pack, packs: dict[str, Pack], **changes: Any
) -> SimulatedEnterprise:
    """Give an enterprise with one pack and exactly the reach that it proves."""
    compiled = compile_pack(pack)
    histogram = plan_histogram(
        [compiled],
        pack_order=list(packs),
        regions=REGIONS,
        domains=list(dict.fromkeys(one.domain.value for one in packs.values())),
        month_clamp_grams=MONTH_CLAMP_GRAMS,
    )
    clamp = 0 if compiled.own_history else DAY_CLAMP_GRAMS
    reach = plan_measure("main", [compiled], clamp).reach
    values: dict[str, Any] = {
        "id": enterprise_id,
        "persons": persons,
        "pack_ids": (pack.id,),
        "day_clamp_grams": clamp,
        "reach_grams": reach.grams,
        "later": dict(reach.later),
        "month_clamp_grams": MONTH_CLAMP_GRAMS,
        "sum_reach_grams": histogram.sum_reach_grams,
        "sum_later": dict(histogram.sum_later),
        "count_reach": histogram.count_reach,
    }
    return SimulatedEnterprise(**{**values, **changes})


def parts(**changes: Any) -> dict[str, Any]:
    """Give packs and enterprises for a simulated federation."""
    packs = real_packs()
    return {
        "domains": DOMAINS,
        "packs": [
            SimulatedPack(
                pack.id, pack.version, pack.canonical_bytes(), pack.domain.value, pack.overlap_class
            )
            for pack in packs.values()
        ],
        "enterprises": [
            enterprise("bike-share", range(12), packs[PACK_IDS[0]], packs, **changes),
            enterprise("retailer", range(6, 20), packs[PACK_IDS[1]], packs),
        ],
    }


def metered(**changes: Any) -> dict[str, Any]:
    """Give the same with one more enterprise, whose pack compares a month with that of the year before."""
    saving = load_pack(PACKS / "life.electricity_saving" / "1")
    made, packs = parts(), {**real_packs(), saving.id: saving}
    made["domains"] = (*DOMAINS, saving.domain.value)
    made["packs"].append(
        SimulatedPack(
            saving.id, saving.version, saving.canonical_bytes(), saving.domain.value, saving.overlap_class
        )
    )
    made["enterprises"].append(enterprise("utility", range(6), saving, packs, **changes))
    return made


def audited(federation: Federation, folder: Path, *, with_bodies: bool = True) -> Report:
    """Write the federation's bundle and verify it."""
    trust_root = federation.write_bundle(folder / "bundle", with_bodies=with_bodies)
    return verify_source(str(folder / "bundle"), trust_root, None)


def found(report: Report) -> list[tuple[str, str]]:
    """Give check and object of every finding."""
    listed = json.loads(json.dumps(report.to_json()))["findings"]
    return [(one["check"], one["object"]) for one in listed]
