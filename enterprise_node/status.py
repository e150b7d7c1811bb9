"""What the node has read and computed, in counts without identifiers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from enterprise_node.dues import NO_DUES, due_lines
from protos.epochs import Epoch, format_epoch

if TYPE_CHECKING:
    from enterprise_node.workspace import Workspace

Json = dict[str, Any]


def data_status(workspace: Workspace, epochs: Iterable[Epoch] = ()) -> Json:
    """Count what was read, kept and set aside, and sum up the epochs named or computed before."""
    totals = workspace.files.totals()
    sources = [totals[source.id] for source in workspace.configuration.source if source.id in totals]
    persons = workspace.persons.counts()
    wanted = sorted({*epochs, *workspace.reductions.computed()})
    return {
        "enterprise_id": workspace.configuration.enterprise_id,
        "name": workspace.configuration.name,
        "name_zh": workspace.configuration.name_zh,
        "data": workspace.configuration.data,
        "activities_read": sum(one.lines for one in sources),
        "activities_kept": workspace.activities.counts(),
        "activities_repeated": sum(one.repeated for one in sources),
        "activities_corrected": sum(one.corrected for one in sources),
        "activities_late": sum(one.late for one in sources),
        "excluded": _summed(one.excluded for one in sources),
        "quarantined": _summed(one.quarantined for one in totals.values()),
        "persons": {
            "known": persons.known,
            "consented": persons.consented,
            "enrolled": persons.enrolled,
        },
        "epochs": {format_epoch(epoch): _epoch(workspace, epoch) for epoch in wanted},
    }


def _epoch(workspace: Workspace, epoch: Epoch) -> Json:
    packs = workspace.reductions.pack_totals(epoch)
    return {
        "reductions_mg": sum(packs.values()),
        "reductions_mg_by_pack": packs,
        "insufficient_history": workspace.reductions.insufficient_history(epoch),
    }


def status_lines(status: Mapping[str, Any]) -> Iterator[str]:
    """Say it to people."""
    yield f"{status['name']} {status['name_zh']} ({status['enterprise_id']}), data 数据: {status['data']}"
    yield from _record_lines(status)
    persons = status["persons"]
    yield (
        f"persons 人数: {persons['known']:,} known 已知, {persons['consented']:,} consented 已同意,"
        f" {persons['enrolled']:,} enrolled 已登记"
    )
    yield from _epoch_lines(status["epochs"])
    if "outward" in status:
        yield from _outward_lines(status["outward"])
        yield from _due_lines(status.get("dues", NO_DUES))


def _record_lines(status: Mapping[str, Any]) -> Iterator[str]:
    repeated = f"{status['activities_repeated']:,} known before 重复"
    yield f"rows read 已读: {status['activities_read']:,}, {repeated}"
    if status["activities_corrected"]:
        yield f"  corrected 更正: {status['activities_corrected']:,}"
    if status["activities_late"]:
        yield f"  too late for a release 晚于发布: {status['activities_late']:,}"
    for code, rows in status["activities_kept"].items():
        yield f"  kept 已存 {code}: {rows:,}"
    for reason, rows in status["excluded"].items():
        yield f"  excluded 排除 {reason}: {rows:,}"
    for reason, rows in status["quarantined"].items():
        yield f"  quarantined 隔离 {reason}: {rows:,}"


def _epoch_lines(epochs: Mapping[str, Any]) -> Iterator[str]:
    for epoch, figures in epochs.items():
        yield f"{epoch}: {figures['reductions_mg'] / 1e6:,.1f} kg CO2e"
        for pack_id, mg in figures["reductions_mg_by_pack"].items():
            yield f"  {pack_id}: {mg:,} mg"
        if figures["insufficient_history"]:
            yield f"  insufficient history 历史不足: {figures['insufficient_history']:,} persons 人"


def _due_lines(dues: Mapping[str, Any]) -> Iterator[str]:
    if dues["due"]:
        yield f"owed 应答 (log as read at 日志截至 {dues['as_of']}):"
        yield from (f"  {line}" for line in due_lines(dues["due"]))


def _outward_lines(outward: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"slots 登记位: {outward['enrolled']:,}, left this node 已发出: {outward['egress_bytes']:,} bytes,"
        f" waiting 待发: {outward['messages_waiting']:,}"
    )
    for one in outward["epochs"]:
        spent = one["epsilon"]
        yield (
            f"{one['epoch']} release 发布: {one['state']}, {one['statements']:,} statements,"
            f" epsilon {spent['person_day']} a person-day, {spent['person_month']} a person-month"
        )


def _summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in counts:
        for reason, rows in one.items():
            total[reason] = total.get(reason, 0) + rows
    return dict(sorted(total.items()))
