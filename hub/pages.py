"""The status page: what anybody may see, in Chinese or English, without a script or an outside resource."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined

from hub.views import EnterpriseView, EpochView, PopulationEpoch, StatusView

if TYPE_CHECKING:
    from jinja2 import Template

CHART_LEFT = 90
CHART_RIGHT = 710
ROW_HEIGHT = 30

WORDS = {
    "en": {
        "lang": "en",
        "language": "Language",
        "title": "Carbon GSP gateway: status",
        "log": "Log",
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
        "lang": "zh-CN",
        "language": "语言",
        "title": "碳普惠网关:状态",
        "log": "日志",
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
        "population": "人群减排量(千克二氧化碳当量)",
        "interval": "各单元格加噪之和;误差线为噪声的 95 % 区间。",
        "total": "千克 CO2e",
        "nothing": "暂无",
    },
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One epoch's total in the chart, in its own units of length."""

    label: str
    y: int
    x: int
    width: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class _Row:
    epoch: str
    kilograms: str
    halfwidth_kilograms: str
    enterprises: Sequence[str]


def language_of(query: str | None, accepted: str) -> str:
    """Choose the page's language: what was asked for, else the browser's, else English."""
    if query in WORDS:
        return query
    return "zh" if accepted.strip().lower().startswith("zh") else "en"


def status_page(
    language: str,
    status: StatusView,
    enterprises: Sequence[EnterpriseView],
    epochs: Sequence[EpochView],
    population: Sequence[PopulationEpoch],
) -> str:
    """Render the page."""
    zero, bars = chart(population)
    return _template().render(
        words=WORDS[language],
        status=status,
        enterprises=enterprises,
        epochs=epochs,
        population=[_row(one) for one in population],
        bars=bars,
        zero=zero,
        chart_height=ROW_HEIGHT * len(bars),
    )


@cache
def style_sheet() -> bytes:
    """Give the page's style sheet."""
    return files("hub.web").joinpath("status.css").read_bytes()


def chart(population: Sequence[PopulationEpoch]) -> tuple[int, list[Bar]]:
    """Lay the totals out as bars; the first value is where zero lies."""
    if not population:
        return CHART_LEFT, []
    lowest = min(0, *(one.total.low_grams for one in population))
    highest = max(1, *(one.total.high_grams for one in population))

    def place(grams: int) -> int:
        return CHART_LEFT + (grams - lowest) * (CHART_RIGHT - CHART_LEFT) // (highest - lowest)

    zero = place(0)
    bars = []
    for row, one in enumerate(population):
        end = place(one.total.grams)
        bars.append(
            Bar(
                one.epoch,
                row * ROW_HEIGHT + 5,
                min(zero, end),
                abs(end - zero),
                place(one.total.low_grams),
                place(one.total.high_grams),
            )
        )
    return zero, bars


def kilograms(grams: int) -> str:
    """Write grams as kilograms with one decimal, rounded half away from zero, exactly."""
    tenths = (abs(grams) + 50) // 100
    sign = "-" if grams < 0 and tenths else ""
    return f"{sign}{tenths // 10:,}.{tenths % 10}"


def _row(one: PopulationEpoch) -> _Row:
    return _Row(one.epoch, kilograms(one.total.grams), kilograms(one.total.halfwidth_grams), one.enterprises)


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    return environment.from_string(files("hub.web").joinpath("status.html").read_text("utf-8"))
