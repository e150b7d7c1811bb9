"""For those who write packs: what a pack proves, and how two versions of it differ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from accounting.compiler import CompiledPack, compile_pack, prove_pack
from accounting.packs import Pack, Purpose
from accounting.quantities import INTEGER_LIMIT
from accounting.reach import measure_reach
from accounting.tariffs import pack_reach

DAY_CLAMP_GRAMS = 1000


@dataclass(frozen=True, slots=True)
class Checked:
    """What a pack proves: bounds of a record, day and month, reach under a day clamp, examples kept."""

    compiled: CompiledPack
    day_clamp_grams: int

    def to_json(self) -> dict[str, Any]:
        """Say it to programs."""
        pack, one = self.compiled.pack, self.compiled
        return {
            "pack": pack.id,
            "version": pack.version,
            "sha256": pack.sha256.hex(),
            "canonical_bytes": len(pack.canonical_bytes()),
            "purpose": pack.purpose.value,
            "illustrative": pack.illustrative,
            "milligrams_per_step": str(one.milligrams_per_step),
            "record_steps": list(one.record_bounds),
            "spare_bits": INTEGER_LIMIT.bit_length() - 1 - max(map(abs, one.record_bounds)).bit_length(),
            "day_mg": list(one.day_bounds_mg),
            "month_mg": list(one.month_bounds_mg),
            "reach": self.reach(),
            "vectors": len(pack.vectors),
        }

    def reach(self) -> dict[str, Any]:
        """Give how far one person-day moves the pack's releases."""
        pack = self.compiled.pack
        if pack.purpose is Purpose.FOOTPRINT:
            return {}
        if pack.purpose is Purpose.POINTS:
            points = pack_reach(self.compiled)
            return {"points": points.points, "releases": points.releases}
        clamp = 0 if self.compiled.own_history else self.day_clamp_grams
        grams = measure_reach([self.compiled], clamp)
        return {"grams": grams.grams, "releases": grams.releases, "day_clamp_grams": clamp}

    def lines(self) -> Iterator[str]:
        """Say it to people."""
        found = self.to_json()
        yield f"{found['pack']} version {found['version']} ({found['purpose']}) {found['sha256'][:16]}…"
        one, step = self.compiled, found["milligrams_per_step"]
        yield f"  a record 每条: {_interval(one.record_bounds)} steps of {step} mg"
        yield f"  a person-day 每人日: {_interval(one.day_bounds_mg)} mg"
        yield f"  a person-month 每人月: {_interval(one.month_bounds_mg)} mg, all below 2^63 均小于 2^63"
        reach = ", ".join(f"{key} {value:,}" for key, value in found["reach"].items())
        yield f"  reach of one day 一日影响上界: {reach or 'none, it is never released 不发布'}"
        yield f"  {found['vectors']} worked examples hold 算例通过"
        if found["illustrative"]:
            yield "  illustrative figures: points, never tonnes 含示意参数：可计积分，不可签发减排量"


def _interval(bounds: tuple[int, int]) -> str:
    return f"{bounds[0]:,} … {bounds[1]:,}"


def check_pack(pack: Pack, day_clamp_grams: int = DAY_CLAMP_GRAMS) -> Checked:
    """Compile a pack and its examples; raises Malformed or Refused saying what does not hold."""
    return Checked(compile_pack(pack), day_clamp_grams)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that stands otherwise: where, and the two texts, None where there is nothing."""

    key: str
    old: str | None
    new: str | None

    def line(self) -> str:
        """Say it to people."""
        return (
            f"{self.key}: {'—' if self.old is None else self.old} → {'—' if self.new is None else self.new}"
        )


def differences(old: Pack, new: Pack) -> list[Difference]:
    """List what differs between two packs, factor rows by key, then what follows for bounds and reach."""
    flat_old, flat_new = (dict(_flat(_document(pack))) for pack in (old, new))
    keys = [*flat_old, *(key for key in flat_new if key not in flat_old)]
    changed = [key for key in keys if flat_old.get(key) != flat_new.get(key)]
    return [Difference(key, flat_old.get(key), flat_new.get(key)) for key in changed]


def _document(pack: Pack) -> dict[str, Any]:
    """Give a pack with lists keyed by what names their members, and its proofs."""
    found: dict[str, Any] = pack.model_dump(mode="json")
    for table in found["tables"].values():
        table["rows"] = {f"{row['key']}@{row['since'] or '…'}": row for row in table["rows"]}
    proved = Checked(prove_pack(pack), DAY_CLAMP_GRAMS).to_json()
    found["proved"] = {key: proved[key] for key in ("day_mg", "month_mg", "reach", "illustrative")}
    return found


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, member in members:
        yield from _flat(member, f"{prefix}.{key}" if prefix else str(key))
    if not isinstance(value, dict | list) and value not in (None, ""):
        yield prefix, value if isinstance(value, str) else json.dumps(value)
