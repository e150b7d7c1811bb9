"""The demo's figures: one summary for machines, one table for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from examples.federation.layout import EPOCHS
from privacy.charges import cost_line

Json = dict[str, Any]

_WIDTH = 118
_MG_PER_KG = 1_000_000
_GRAMS_PER_KG = 1_000
_MG_PER_GRAM = 1_000


@dataclass(frozen=True, slots=True)
class Figures:
    """What the parties said: nodes by id, the hub's status and totals, the last close, verdicts, seconds.

    `paid` is what redemptions, issuance, documents and ledgers came to. The verdicts are online, from the
    bundle, and of the sample on the premises.
    """

    data: Mapping[str, str]
    nodes: Mapping[str, Json]
    hub: Json
    population: Json
    close: Json
    paid: Json
    verdicts: Sequence[Json]
    seconds: Mapping[str, float]


def summarise(figures: Figures) -> Json:
    """Put the figures into the form of summary.json."""
    online, offline, sample = figures.verdicts
    return {
        "enterprises": [
            enterprise(name, status, figures.data[name]) for name, status in figures.nodes.items()
        ],
        "accounts": {
            "total": figures.close["accounts"],
            "in_two_or_more": figures.close["accounts_in_two_or_more"],
        },
        "population": figures.population,
        "log": {
            **online["log"],
            "witness_quorum": figures.hub["witness_quorum"],
            "witnesses": online["witnesses"],
        },
        "audit": {
            "verdict": "PASS" if is_pass(figures.verdicts) else worst(figures.verdicts),
            "checks": online["checks"],
            "findings": [*online["findings"], *offline["findings"]],
            "whole_cost": online["figures"]["cost"],
            "online": online["verdict"],
            "offline": offline["verdict"],
        },
        "sample": sample,
        "redemptions": figures.paid["redemptions"],
        "issuance": figures.paid["issuance"],
        "documents": figures.paid["documents"],
        "ledgers": {
            "balances": figures.paid["ledgers"],
            "minted": minted(figures.paid["ledgers"]),
            "equal_to_replay": is_replayed(figures.paid["ledgers"], offline),
        },
        "seconds": dict(figures.seconds),
    }


def minted(ledgers: Json) -> dict[str, int]:
    """Give each programme's points, what was clawed back taken off."""
    return {name: balances["mint"] for name, balances in ledgers.items() if "mint" in balances}


def is_replayed(ledgers: Json, audit: Json) -> bool:
    """Tell whether the auditor's replay gave the hub's balances, ledger by ledger."""
    replayed = audit["figures"].get("ledgers") or {}
    return all(replayed.get(ledger, {}) == balances for ledger, balances in ledgers.items())


def is_pass(verdicts: Sequence[Json]) -> bool:
    """Tell whether every verdict is PASS."""
    return all(verdict["verdict"] == "PASS" for verdict in verdicts)


def worst(verdicts: Sequence[Json]) -> str:
    """Give the first verdict that is not PASS, findings before unchecked."""
    return min(str(verdict["verdict"]) for verdict in verdicts if verdict["verdict"] != "PASS")


def enterprise(name: str, status: Json, data: str) -> Json:
    """Give one enterprise's figures."""
    outward = status["outward"]
    epochs, epsilon = [status["epochs"][epoch] for epoch in EPOCHS], outward["epsilon"]
    return {
        "id": name,
        "data": data,
        "activities_read": status["activities_read"],
        "activities_quarantined": sum(status["quarantined"].values()),
        "quarantined_by_reason": status["quarantined"],
        "excluded_by_reason": status["excluded"],
        "reductions_mg": sum(epoch["reductions_mg"] for epoch in epochs),
        "insufficient_history": max(epoch["insufficient_history"] for epoch in epochs),
        "enrolled": outward["enrolled"],
        "statements": outward["statements"],
        # What an active day costs a person in an epoch: its statement, and its month's histogram.
        "epsilon": float(sum(map(Fraction, epsilon.values()))),
        "epsilon_by_unit": epsilon,
        "egress_bytes": outward["egress_bytes"],
    }


def write(summary: Json, path: Path) -> None:
    """Write summary.json."""
    path.write_text(json.dumps(summary, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def table(summary: Json) -> Iterator[str]:
    """Give the table for people, line by line."""
    yield ""
    yield "=" * _WIDTH
    yield from _enterprise_lines(summary["enterprises"])
    yield "-" * _WIDTH
    yield from _hub_lines(summary)
    yield "-" * _WIDTH
    yield from _incentive_lines(summary)
    yield "-" * _WIDTH
    yield from _audit_lines(summary["audit"], summary["sample"])
    yield "-" * _WIDTH
    seconds = summary["seconds"]
    yield "seconds  " + "  ".join(f"{step} {value:.1f}" for step, value in seconds.items())
    yield "=" * _WIDTH


def _enterprise_lines(rows: Sequence[Json]) -> Iterator[str]:
    yield (
        f"{'enterprise':<11}{'activities':>11}{'excluded':>10}{'quarantined':>13}{'persons':>9}"
        f"{'reductions kg':>15}{'statements':>12}{'epsilon day/month':>19}{'bytes out':>11}  data"
    )
    for row in rows:
        epsilon = "{person_day} / {person_month}".format(**row["epsilon_by_unit"])
        yield (
            f"{row['id']:<11}{row['activities_read']:>11,}{sum(row['excluded_by_reason'].values()):>10,}"
            f"{row['activities_quarantined']:>13,}{row['enrolled']:>9,}"
            f"{row['reductions_mg'] / _MG_PER_KG:>15,.1f}{row['statements']:>12,}{epsilon:>19}"
            f"{row['egress_bytes']:>11,}  {row['data']}"
        )
    for row in rows:
        yield from _reason_lines(row)


def _reason_lines(row: Json) -> Iterator[str]:
    reasons = [f"{count:,} excluded: {reason}" for reason, count in row["excluded_by_reason"].items()]
    reasons += [f"{count:,} quarantined: {reason}" for reason, count in row["quarantined_by_reason"].items()]
    if row["insufficient_history"]:
        reasons.append(f"{row['insufficient_history']:,} persons: insufficient history")
    if reasons:
        yield f"  {row['id']}: " + "; ".join(reasons)


def _hub_lines(summary: Json) -> Iterator[str]:
    accounts, log = summary["accounts"], summary["log"]
    shared = accounts["in_two_or_more"]
    yield f"accounts {accounts['total']:,}, of them fed by two or more enterprises {shared:,}"
    for epoch in summary["population"]["epochs"]:
        domains = ", ".join(f"{one['key']} {_interval(one['total'])}" for one in epoch["domains"])
        yield f"population {epoch['epoch']}: {_interval(epoch['total'])} kg CO2e ({domains}; 95 % intervals)"
    yield f"log {log['origin']}: {log['size']} entries, root {log['root']}"
    quorum = log["witness_quorum"]
    said = "nobody outside has cosigned this log yet" if quorum == 0 else log["witnesses"]
    yield f"witness quorum {quorum}: {said}"


def _incentive_lines(summary: Json) -> Iterator[str]:
    for ledger, points in minted(summary["ledgers"]["balances"]).items():
        yield f"programme {ledger.partition(':')[2]}: {points:,} points minted, claw-backs taken off"
    for one in summary["redemptions"]:
        what = f"{one['quantity']} × {one['reward']} of {one['programme']}"
        cost = f"{one['points']} points, {one['claim_milligrams'] / _MG_PER_KG:,.2f} kg of claims"
        yield f"{one['kind']:<11}{what:<36}{cost:<40}{one['state']}, at {one['enterprise']}"
    yield from _issuance_lines(summary["issuance"])
    for one in summary["documents"]:
        yield f"checked offline {one['file']}: {one['sentence']}"
    equal = "equal the hub's" if summary["ledgers"]["equal_to_replay"] else "DIFFER from the hub's"
    yield f"ledgers R, P, M, U replayed by the auditor {equal}"


def _issuance_lines(batch: Json) -> Iterator[str]:
    """Tell how whole tonnes follow from a pool, each figure after the one it is taken off."""
    if "refused" in batch:
        yield f"nothing issued: {batch['refused']}"
        return
    left = batch["pooled_grams"] - batch["deduction_grams"] - batch["duplicates_grams"]
    gone = batch["passed_milligrams"] + batch["issued_before_milligrams"]
    yield f"issued {batch['batch']}: cells of {batch['pool_epochs']} pooled {_kg(batch['pooled_grams'])} kg"
    yield (
        f"  - {_kg(batch['deduction_grams'])} for noise and methodology "
        f"- {_kg(batch['duplicates_grams'])} for duplicates "
        f"- {_kg(gone // _MG_PER_GRAM)} passed on or issued before "
        f"= {_kg(left - gone // _MG_PER_GRAM)}; persons gave claims of "
        f"{_kg(batch['pool_milligrams'] // _MG_PER_GRAM)}"
    )
    whole = batch["issued_tonnes"] + batch["buffer_tonnes"]
    yield (
        f"  so {whole} whole t, serials {batch['serials']}: {batch['buffer_tonnes']} t into the buffer, "
        f"{batch['sold_tonnes']} t sold for {batch['sold_fen'] / 100:,.2f} yuan, "
        f"{batch['retired_tonnes']} t of them used"
    )
    shares = ", ".join(f"{path} {fen / 100:,.2f}" for path, fen in batch["proceeds"].items())
    yield f"  proceeds, split to the last fen: {shares}"
    theirs = batch["participants"]
    yield (
        f"  {theirs['contributors']} who gave to the pool are owed {theirs['brought_fen'] / 100:,.2f} yuan; "
        f"{theirs['drawn_by']} drew {theirs['drawn_fen'] / 100:,.2f}, {theirs['left_fen'] / 100:,.2f} wait"
    )


def _kg(grams: int) -> str:
    return f"{grams / _GRAMS_PER_KG:,.1f}"


def _interval(total: Json) -> str:
    return f"{total['grams'] / _GRAMS_PER_KG:,.1f} ± {total['halfwidth_grams'] / _GRAMS_PER_KG:,.1f}"


def _audit_lines(audit: Json, sample: Json) -> Iterator[str]:
    for name, cost in audit["whole_cost"].items():
        yield f"whole cost 总隐私成本 {name}: {cost_line(cost)}"
    checks = ", ".join(f"{check['check']} {check['examined']:,}" for check in audit["checks"])
    yield f"checked {checks}"
    for finding in audit["findings"]:
        yield f"  FINDING {finding['check']}: {finding['object']}: {finding['message']}"
    for check in audit["checks"]:
        for why in check["unchecked"]:
            yield f"  not checked {check['check']}: {why}"
    yield f"audit from the hub {audit['online']}, from the bundle {audit['offline']}"
    yield _sample_line(sample)
    yield f"{audit['verdict']}"


def _sample_line(sample: Json) -> str:
    said = f"{sample['draws']} draws, {sample['leaves']} leaves, {sample['discrepant_draws']} discrepant"
    share = sample["excluded_share"]
    excluded = "" if share is None else f"; overstatement of {float(Fraction(share)):.2%} excluded"
    confidence = float(Fraction(sample["confidence"]))
    return (
        f"sample on the premises of {sample['enterprise_id']} {sample['epoch']} {sample['verdict']}: "
        f"{said}{excluded} with {confidence:.0%} confidence"
    )
