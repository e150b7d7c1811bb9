"""How one record became its milligrams: inputs, factors and their sources, baseline, caps, pack version.

The figure is computed a second time in exact fractions, without the SQL, and both must agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from accounting.evaluator import evaluate_record
from accounting.expressions import Lookup, parse_expression, walk
from enterprise_node.check import shown_row
from enterprise_node.kept import Kept
from enterprise_node.late import released_parts
from enterprise_node.mapping import RECORD_JOINER, private_columns, token
from enterprise_node.sql_text import literal, quoted
from protos.epochs import epoch_of, format_epoch
from protos.problems import InvariantBroken, Unavailable
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN, REASON_NOT_FOUND

if TYPE_CHECKING:
    from accounting.activities import Activity
    from accounting.compiler import CompiledPack
    from accounting.conditions import Tariff
    from accounting.packs import Pack
    from enterprise_node.configuration import SourceSettings
    from enterprise_node.workspace import Workspace
    from protos.epochs import Epoch


@dataclass(frozen=True, slots=True)
class PackFigure:
    """What one pack makes of the record: mg as an exact fraction, or None where it does not apply."""

    compiled: CompiledPack
    milligrams: Fraction | None
    factors: tuple[dict[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Give everything the figure follows from."""
        pack = self.compiled.pack
        return {
            "pack": pack.id,
            "version": pack.version,
            "sha256": pack.sha256.hex(),
            "name": pack.name_en,
            "name_zh": pack.name_zh,
            "purpose": pack.purpose.value,
            "baseline": pack.baseline.text,
            "formula": pack.formula,
            "applies_when": pack.applies_when,
            "parameters": {
                name: {
                    "value": one.value,
                    "unit": one.unit,
                    "source": one.source,
                    "confidence": one.confidence.value,
                }
                for name, one in pack.parameters.items()
            },
            "factors": list(self.factors),
            "caps": [f"{cap.of} at most {cap.maximum} {cap.unit} per {cap.per.value}" for cap in pack.caps],
            "applies": self.milligrams is not None,
            "milligrams": None if self.milligrams is None else str(self.milligrams),
            "tariff": None if pack.tariff is None else pack.tariff.model_dump(mode="json"),
            "own_history": self.compiled.own_history,
        }

    def lines(self) -> Iterator[str]:
        """Say it to people."""
        pack = self.compiled.pack
        yield f"{pack.name_en} {pack.name_zh} ({pack.id} version {pack.version}, {pack.purpose.value})"
        yield f"  baseline 基准: {pack.baseline.text}"
        yield f"  formula 公式: {pack.formula}"
        if pack.applies_when:
            yield f"  applies when 适用条件: {pack.applies_when}"
        for name, one in pack.parameters.items():
            yield f"  {name} = {one.value} {one.unit} [{one.confidence.value}; {one.source}]"
        for factor in self.factors:
            figure = f"{factor['value']} {factor['unit']} [{factor['source']}]"
            yield f"  {factor['table']}[{factor['key']}] = {figure}"
        for cap in pack.caps:
            yield f"  cap 上限: {cap.of} ≤ {cap.maximum} {cap.unit} per {cap.per.value}"
        for line in _stated(pack):
            yield "  " + line
        yield "  " + self._result()

    def _result(self) -> str:
        if self.milligrams is None:
            return "does not apply to this record 不适用于该记录"
        exact = f"{math.floor(self.milligrams):,} mg"
        if self.milligrams.denominator > 1:
            exact += f" (exactly 精确值 {self.milligrams.numerator}/{self.milligrams.denominator})"
        if self.compiled.own_history:
            return (
                f"= {exact} used; the month's saving compares clamped days 实际用量；减排按月与历史同期比较"
            )
        return f"= {exact}; a day's sum is floored once 每人每日合计后取整一次"


@dataclass(frozen=True, slots=True)
class Explanation:
    """One kept record and what each pack makes of it."""

    activity: Activity
    row: Mapping[str, Any]
    source: str
    file: str
    figures: tuple[PackFigure, ...]
    month: Mapping[str, tuple[int, int]]
    # What each release counted of the person's day: epoch, measure, mg.
    released: tuple[tuple[Epoch, str, int], ...]

    def to_json(self) -> dict[str, Any]:
        """Say it to programs."""
        return {
            "record": shown_row(self.activity, dict(self.row)),
            "activity": self.activity.code,
            "source": self.source,
            "file": self.file,
            "packs": [figure.to_json() for figure in self.figures],
            "epoch": format_epoch(epoch_of(int(self.row["day"]))),
            "person_month_mg": {pack_id: mg for pack_id, (mg, _) in self.month.items()},
            "day_released": [
                {"epoch": format_epoch(epoch), "measure": measure_id, "mg": mg}
                for epoch, measure_id, mg in self.released
            ],
        }

    def lines(self) -> Iterator[str]:
        """Say it to people."""
        yield f"{self.activity.name_en} {self.activity.name_zh} ({self.activity.code})"
        yield "  " + ", ".join(
            f"{name} {value}" for name, value in shown_row(self.activity, dict(self.row)).items()
        )
        yield f"  from 来自: {self.source}, {self.file}"
        for figure in self.figures:
            yield from figure.lines()
        month = format_epoch(epoch_of(int(self.row["day"])))
        for pack_id, (mg, records) in self.month.items():
            yield f"the person's {month} 当月合计: {pack_id} {mg:,} mg over {records:,} records"
        for epoch, measure_id, mg in self.released:
            yield f"of this day, before noise 当日计入: {mg:,} mg in {measure_id} of {format_epoch(epoch)}"


def explain(workspace: Workspace, record: str) -> list[Explanation]:
    """Explain a record by its id, kept or raw; raises Unavailable NOT_FOUND if there is none."""
    wanted = {
        record,
        *(_tokenised(workspace, settings, record) for settings in workspace.configuration.source),
    }
    found = [
        _explanation(workspace, activity, name, path)
        for code, activity in workspace.activities.registry.items()
        for name in sorted(wanted)
        for path in workspace.activities.find(workspace.engine, code, name)
    ]
    if not found:
        raise Unavailable(
            REASON_NOT_FOUND,
            "No record of this id is kept.",
            remedy="Give the record columns joined by /, as `check` shows them; it may be in quarantine.",
        )
    return found


def _tokenised(workspace: Workspace, settings: SourceSettings, record: str) -> str:
    """Put tokens where the raw id has private values."""
    parts, private = record.split(RECORD_JOINER), private_columns(settings)
    if len(parts) != len(settings.record):
        return record
    return RECORD_JOINER.join(
        token(workspace.keys.token, column, part) if column in private else part
        for column, part in zip(settings.record, parts, strict=True)
    )


def _explanation(workspace: Workspace, activity: Activity, record: str, path: Any) -> Explanation:
    columns = list(activity.columns())
    names = ", ".join(map(quoted, columns))
    where = f"FROM read_parquet({literal(path)}) WHERE record = {literal(record)}"
    [values] = workspace.engine.rows(f"SELECT {names} {where} LIMIT 1")
    row = dict(zip(columns, values, strict=True))
    source, file = workspace.files.origin(workspace.activities.relative(path)) or ("", "")
    packs = [one for one in workspace.packs.values() if one.pack.activity.code == activity.code]
    one_row = f"(SELECT {names} {where} LIMIT 1)"
    figures = tuple(_figure(workspace, compiled, row, one_row) for compiled in packs)
    person, day = int(row["person"]), int(row["day"])
    month = workspace.lookups.person_months(epoch_of(day), person)
    drawn = workspace.released().drawn
    released = released_parts(workspace.engine, Kept(workspace.home), drawn, person, day)
    return Explanation(activity, row, source, file, figures, month, tuple(released))


def _figure(
    workspace: Workspace, compiled: CompiledPack, row: Mapping[str, Any], relation: str
) -> PackFigure:
    """Compute the record's figure in fractions and by SQL."""
    pack = compiled.pack
    inputs = {one.name: row[one.name] for one in pack.activity.inputs}
    day = int(row["day"])
    exact = evaluate_record(pack, inputs, day, str(row["region"]))
    by_sql = workspace.engine.rows(compiled.record_sql(relation))
    value = by_sql[0][4] if by_sql else None
    if (None if value is None else value * compiled.milligrams_per_step) != exact:
        raise InvariantBroken(
            REASON_INVARIANT_BROKEN, f"Pack {pack.id}: SQL and fractions give different figures for a record."
        )
    return PackFigure(compiled, exact, tuple(_factors(pack, inputs, day)))


def _stated(pack: Pack) -> Iterator[str]:
    """Say what the pack states beside its formula: where it applies, what is left out, bands, tariff."""
    if pack.applicability.regions:
        yield f"regions 适用地区: {', '.join(pack.applicability.regions)}"
    for name, words in pack.applicability.only.items():
        yield f"only 仅限: {name} in {', '.join(words)}"
    for one in pack.exclusions:
        covered = ", ".join(one.words)
        yield f"left out 排除: {one.input} in {covered}, covered by {one.mechanism} [{one.source}]"
    for name, curve in pack.curves.items():
        bands = "; ".join(f"from {band.since}: {band.value}" for band in curve.bands)
        yield f"{name} by {curve.of} ({curve.of_unit}) 分段: {bands} {curve.unit} [{curve.source}]"
    if pack.rounding is not None:
        step = f"{pack.rounding.step} {pack.rounding.unit}"
        yield f"rounded down 向下取整: {step} per {pack.rounding.per.value}"
    if pack.tariff is not None:
        yield _points(pack.tariff)


def _points(tariff: Tariff) -> str:
    parts = [f"{tier.points} from {tier.since}" for tier in tariff.tiers]
    if tariff.each is not None:
        parts.append(f"{tariff.each.points} for each {tariff.each.amount}")
    amount = f"{tariff.of.value} ({tariff.unit}) a {tariff.per.value}"
    return f"points 积分 by {amount}: {', '.join(parts)}; at most {tariff.maximum} [{tariff.source}]"


def _factors(pack: Pack, inputs: Mapping[str, Any], day: int) -> Iterator[dict[str, str]]:
    """List the factor rows the formula reads."""
    for node in walk(parse_expression(pack.formula)):
        if isinstance(node, Lookup):
            table = pack.tables[node.table]
            row = table.find(str(inputs[node.key]), day)
            if row is not None:
                yield {
                    "table": f"{table.id} version {table.version}",
                    "key": row.key,
                    "value": row.value,
                    "unit": table.unit,
                    "source": table.source,
                }
