"""The status page: what anybody may see, in Chinese or English, without a script or an outside resource."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta, timezone

from hub.amounts import kilograms
from hub.charts import Mark, bars
from hub.templates import render
from hub.views import EnterpriseView, EpochView, PopulationEpoch, StatusView

WORDS = {
    "en": {
        "title": "Carbon GSP gateway: status",
        "and": ", ",
        "log": "Log",
        "checkpoint": "checkpoint",
        "key": "log key",
        "interface": "interface",
        "id": "Id",
        "clock": "UTC",
        "origin": "Origin",
        "size": "Entries",
        "root": "Root",
        "witnesses": "Witness quorum",
        "accounts": "Carbon accounts",
        "enterprises": "Enterprises",
        "name": "Name",
        "enrolled": "Persons enrolled",
        "epochs": "Epochs",
        "epoch": "Epoch",
        "state": "State",
        "open": "open",
        "closed": "closed",
        "released": "Released",
        "waiting": "Waiting for",
        "until": "due by",
        "missing": "missing, was due by",
        "population": "Population reductions, kg CO2e",
        "interval": "Noised sums over all cells; the whisker is the 95 % interval of the noise.",
        "total": "kg CO2e",
        "nothing": "Nothing yet",
    },
    "zh": {
        "title": "碳普惠网关：状态",
        "and": "、",
        "log": "日志",
        "checkpoint": "检查点",
        "key": "日志公钥",
        "interface": "接口说明",
        "id": "标识",
        "clock": "（北京时间）",
        "origin": "日志标识",
        "size": "条目数",
        "root": "根哈希",
        "witnesses": "见证法定数",
        "accounts": "碳账户数",
        "enterprises": "企业",
        "name": "名称",
        "enrolled": "已登记人数",
        "epochs": "周期",
        "epoch": "周期",
        "state": "状态",
        "open": "未结",
        "closed": "已结",
        "released": "已发布",
        "waiting": "等待",
        "until": "截止",
        "missing": "已逾期，截止",
        "population": "人群减排量（千克二氧化碳当量）",
        "interval": "各单元格加噪之和；误差线为噪声的 95 % 区间。",
        "total": "千克 CO2e",
        "nothing": "暂无",
    },
}


# The clock people read a page by; China has one.
_ZONES = {"en": UTC, "zh": timezone(timedelta(hours=8))}


@dataclass(frozen=True, slots=True)
class _Row:
    epoch: str
    kilograms: str
    halfwidth_kilograms: str
    enterprises: Sequence[str]


def status_page(
    language: str,
    status: StatusView,
    enterprises: Sequence[EnterpriseView],
    epochs: Sequence[EpochView],
    population: Sequence[PopulationEpoch],
) -> str:
    """Render the page."""
    words = WORDS[language]
    names = {one.id: one.called(language) for one in enterprises}

    def called(ids: Sequence[str]) -> str:
        return str(words["and"]).join(names.get(one, one) for one in ids) or "–"

    return render(
        "status.html",
        language,
        words=words,
        called=called,
        moment=lambda at: f"{at.astimezone(_ZONES[language]):%Y-%m-%d %H:%M} {words['clock']}",
        status=status,
        enterprises=enterprises,
        epochs=epochs,
        population=[_row(one) for one in population],
        chart=bars(words["population"], [_mark(one) for one in population]),
    )


def _row(one: PopulationEpoch) -> _Row:
    return _Row(one.epoch, kilograms(one.total.grams), kilograms(one.total.halfwidth_grams), one.enterprises)


def _mark(one: PopulationEpoch) -> Mark:
    row = _row(one)
    text = f"{row.kilograms} ± {row.halfwidth_kilograms}"
    return Mark(one.epoch, text, one.total.grams, one.total.halfwidth_grams)
