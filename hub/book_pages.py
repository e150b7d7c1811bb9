"""One plain page for each of the three books, in Chinese or English, without scripts or outside resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hub.amounts import unit_word, written
from hub.book_views import SOURCES, Book, Figure, Moment, Section
from hub.charts import Band, Bars, Mark, band, bars
from hub.templates import NAVIGATION, render

# A line's key, with its ledger's letter before it where that changes the word.
WORDS: dict[str, dict[str, Any]] = {
    "en": {
        "person": "Personal book",
        "enterprise": "Enterprise book",
        "government": "Government book",
        "open": "open epoch",
        "truth": "Three books of one truth: the same ledgers and releases, as each party may see them.",
        "line": "Line",
        "amount": "Amount",
        "unit": "Unit",
        "nothing": "Nothing yet",
        "history": "credited up to each month",
        "lines": {
            "available": "held",
            "spendable": "may be spent",
            "claimable": "waits to be collected",
            "pending": "in open orders",
            "reserve": "kept back for the noise",
            "deficit": "owed to later credits",
            "enrolled": "persons enrolled",
            "sponsor": "passed to sponsors",
            "total": "all together",
            "contributed": "given to the pool",
            "waiting": "waits for the next batch",
            "share": "part of all that waits",
            "taken": "taken by the batch",
            "owed": "owed by sales",
            "drawn": "drawn, or reserved",
            "due": "may be drawn",
            "persons": "held by persons, net of what they owe",
            "R.src": "from statements",
            "pool": "in pools",
            "R.issued": "issued as units",
            "buffer": "in buffers",
            "retired": "retired",
            "expired": "expired",
            "writeoff": "written off",
            "mint": "minted",
            "redeemed": "redeemed",
            "planted": "planted",
            "capped": "above caps",
            "M.src": "paid in",
            "fund": "in funds",
            "refundable": "set aside for orders",
            "payable": "owed to partners",
            "paid": "paid to partners",
            "fee": "fees",
            "issuer": "issued, buffer included",
            "hold": "for sale",
            "sold": "sold, not yet used",
            "cancelled": "cancelled",
            "life": "daily life",
            "public_good": "public good",
            "consumption": "consumption",
            "tourism": "tourism",
            "travel": "travel",
            "east": "east",
            "south": "south",
            "west": "west",
            "north": "north",
        },
    },
    "zh": {
        "person": "个人账本",
        "enterprise": "企业账本",
        "government": "政府账本",
        "open": "未结周期",
        "truth": "同一事实的三本账：同样的账本与发布值，各方只见其应见。",
        "line": "项目",
        "amount": "数额",
        "unit": "单位",
        "nothing": "暂无",
        "history": "截至各月的累计入账",
        "lines": {
            "available": "持有",
            "spendable": "可用",
            "claimable": "待领取",
            "pending": "订单占用",
            "reserve": "噪声储备",
            "deficit": "待后续抵补",
            "enrolled": "登记人数",
            "sponsor": "转给出资方",
            "total": "合计",
            "contributed": "投入减排池",
            "waiting": "待下一批次",
            "share": "占待签发总量",
            "taken": "计入本批次",
            "owed": "出售应分",
            "drawn": "已领取或预留",
            "due": "可领取",
            "persons": "个人合计（扣除待抵补）",
            "R.src": "来自结单",
            "pool": "减排池",
            "R.issued": "已签发为单位",
            "buffer": "缓冲",
            "retired": "已注销",
            "expired": "已过期",
            "writeoff": "已核销",
            "mint": "已发放",
            "redeemed": "已兑换",
            "planted": "已种植",
            "capped": "超上限",
            "M.src": "已入资",
            "fund": "资金余额",
            "refundable": "订单预留",
            "payable": "应付合作方",
            "paid": "已付合作方",
            "fee": "费用",
            "issuer": "签发合计（含缓冲）",
            "hold": "待售",
            "sold": "已售未用",
            "cancelled": "已撤销",
            "life": "生活",
            "public_good": "公益",
            "consumption": "消费",
            "tourism": "旅游",
            "travel": "出行",
            "east": "东部",
            "south": "南部",
            "west": "西部",
            "north": "北部",
        },
    },
}

# Names the enterprises in a language, by id.
Names = Callable[[str], Mapping[str, str]]

_OTHER = {"en": "zh", "zh": "en"}


@dataclass(frozen=True, slots=True)
class _Line:
    """A figure as it is written."""

    label: str
    amount: str
    half: str
    unit: str


@dataclass(frozen=True, slots=True)
class _Shown:
    """A section as it is shown: its lines, and a chart where one says more."""

    title: str
    lines: Sequence[_Line]
    bars: Bars | None
    band: Band | None

    @property
    def is_noised(self) -> bool:
        """Tell whether any line has an interval."""
        return any(one.half for one in self.lines)


def book_page(language: str, book: Book, names: Names) -> str:
    """Render a book; a person's comes in both languages, since the ticket that opens it is taken once."""
    other = _told(_OTHER[language], book, names) if book.of == "person" else None
    return render("book.html", language, book=book, here=_told(language, book, names), other=other)


def label(language: str, section: str, key: str) -> str:
    """Name a line of a section, by its ledger's letter where that changes the word."""
    lines: dict[str, str] = WORDS[language]["lines"]
    return lines.get(f"{section[:1]}.{key}") or lines.get(key, key)


def _told(language: str, book: Book, names: Names) -> dict[str, Any]:
    known = names(language)
    sections = [_shown(language, one, known) for one in book.sections]
    return {"lang": NAVIGATION[language]["lang"], "words": WORDS[language], "sections": sections}


def _shown(language: str, section: Section, names: Mapping[str, str]) -> _Shown:
    title = section.name_zh if language == "zh" else section.name_en
    lines = [_line(language, section, one, names) for one in section.figures]
    marks = [
        Mark(line.label, _text(line), one.amount, one.half or 0)
        for one, line in zip(section.figures, lines, strict=True)
    ]
    drawn = bars(title, marks) if section.is_drawn else None
    return _Shown(title, lines, drawn, _history(language, section, title))


def _history(language: str, section: Section, title: str) -> Band | None:
    marks = [Mark(one.epoch, _moment(one, section.unit), one.amount, one.half) for one in section.history]
    unit = _unit(language, section, section.unit)
    return band(f"{title}, {WORDS[language]['history']} ({unit})", marks)


def _moment(one: Moment, unit: str) -> str:
    return f"{written(one.amount, unit)} ± {written(one.half, unit)}"


def _line(language: str, section: Section, one: Figure, names: Mapping[str, str]) -> _Line:
    half = "" if one.half is None else written(one.half, one.unit)
    is_source = section.key == SOURCES
    name = _source(one.key, names) if is_source else label(language, section.key, one.key)
    return _Line(name, written(one.amount, one.unit), half, _unit(language, section, one.unit))


def _source(key: str, names: Mapping[str, str]) -> str:
    """Name a source: its epoch, its enterprise unless the book is of one, and its measure."""
    epoch, *whose, measure = key.split(" ")
    return " ".join((epoch, *(names.get(one, one) for one in whose), measure))


def _unit(language: str, section: Section, unit: str) -> str:
    own = section.unit_zh if language == "zh" else section.unit_en
    return own if own and unit == section.unit else unit_word(unit, language)


def _text(line: _Line) -> str:
    return f"{line.amount} ± {line.half}" if line.half else f"{line.amount} {line.unit}"
