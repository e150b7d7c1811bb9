"""The programmes as pages, in Chinese or English: what earns, what it buys, who pays, what was issued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hub.amounts import written
from hub.book_pages import label
from hub.charts import Bars, Mark, bars
from hub.programme_views import (
    BatchView,
    BoardView,
    EarningView,
    FundView,
    Named,
    ProgrammeLine,
    ProgrammeView,
    RewardView,
)
from hub.templates import render

WORDS: Mapping[str, Mapping[str, Any]] = {
    "en": {
        "title": "Programmes",
        "nothing": "Nothing yet",
        "name": "Name",
        "version": "Version",
        "epochs": "Epochs",
        "state": "State",
        "in_force": "in force",
        "ended": "not in force",
        "illustrative": "figures are illustrative",
        "source": "Source",
        "earning": "How points are earned",
        "for": "{points} for {grams} g",
        "for_points": "{points} for {grams} points of the enterprises' own rules",
        "since": "from {grams} g on",
        "caps": {
            "epoch_points": "at most {} a month",
            "year_points": "at most {} a year",
            "overall_points": "at most {} in all",
        },
        "expiry": {
            "none": "Points do not end.",
            "rolling": "Points end after {epochs} months.",
            "fixed_day": "Points end on {day}, {years} years after they were credited.",
        },
        "rewards": "What points buy",
        "kind": "Kind",
        "cost": "Cost",
        "free": "nothing",
        "partner": "Delivered by",
        "left": "Left",
        "given": "Points given for it",
        "planted": "{} planted",
        "payout": "pays out what sales of the pool owe, from {}",
        "attestation": "at least {grams_min} g in {months} months",
        "kinds": {
            "commercial": "commercial",
            "policy": "policy",
            "trading": "trading",
            "charity": "charity",
            "honour": "honour",
        },
        "claims": {
            "stays": "",
            "to_sponsor": "{:,} g pass to the sponsor",
            "to_pool": "{:,} g go into the pool",
            "retired": "{:,} g are retired",
        },
        "points": "What became of the points",
        "funds": "Money",
        "fund": "Fund",
        "in_fund": "in the fund",
        "of": "of",
        "this_epoch": "spent in {}",
        "in_all": "spent in all",
        "batches": "Issued tonnes",
        "pooled": "pooled by persons who agreed",
        "deduction": "left out for noise and methodology",
        "duplicates": "left out for duplicates",
        "passed": "passed to sponsors or retired before",
        "before": "issued before",
        "claims_in_pool": "claims in the pool, which bound it",
        "tonnes": "issued, with {} t in the buffer",
        "serials": "serial numbers {}",
        "boards": "Board",
        "place": "Place",
        "sum": "Figure",
        "uncertain": "noise could turn this place",
        "small": "No group is certain to have {} members.",
    },
    "zh": {
        "title": "激励方案",
        "nothing": "暂无",
        "name": "名称",
        "version": "版本",
        "epochs": "周期",
        "state": "状态",
        "in_force": "有效",
        "ended": "未生效",
        "illustrative": "数值仅供示意",
        "source": "来源",
        "earning": "如何获得积分",
        "for": "每 {grams} 克得 {points}",
        "for_points": "企业自有规则每 {grams} 分得 {points}",
        "since": "自 {grams} 克起",
        "caps": {
            "epoch_points": "每月至多 {}",
            "year_points": "每年至多 {}",
            "overall_points": "累计至多 {}",
        },
        "expiry": {
            "none": "积分不过期。",
            "rolling": "积分在 {epochs} 个月后过期。",
            "fixed_day": "积分在入账 {years} 年后的 {day} 过期。",
        },
        "rewards": "积分可换什么",
        "kind": "类别",
        "cost": "花费",
        "free": "免费",
        "partner": "兑付方",
        "left": "剩余",
        "given": "已用积分",
        "planted": "已种 {}",
        "payout": "领取减排池出售分成，{} 起",
        "attestation": "{months} 个月内至少 {grams_min} 克",
        "kinds": {
            "commercial": "商业激励",
            "policy": "政策激励",
            "trading": "交易激励",
            "charity": "公益激励",
            "honour": "荣誉激励",
        },
        "claims": {
            "stays": "",
            "to_sponsor": "{:,} 克转给出资方",
            "to_pool": "{:,} 克进入减排池",
            "retired": "{:,} 克注销",
        },
        "points": "积分去向",
        "funds": "资金",
        "fund": "资金池",
        "in_fund": "余额",
        "of": "/",
        "this_epoch": "{} 支出",
        "in_all": "累计支出",
        "batches": "已签发减排量",
        "pooled": "同意者的入池量",
        "deduction": "噪声与方法学扣减",
        "duplicates": "重复扣减",
        "passed": "此前已转让或注销",
        "before": "此前已签发",
        "claims_in_pool": "池内权益（上限）",
        "tonnes": "已签发，另有缓冲 {} 吨",
        "serials": "序列号 {}",
        "boards": "榜单",
        "place": "名次",
        "sum": "数值",
        "uncertain": "噪声可能改变名次",
        "small": "没有确定达到 {} 人的群体。",
    },
}


# The states of a tonne, in the order of its life.
STATES = ("hold", "sold", "retired", "buffer", "cancelled")


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A part of the page with its chart."""

    title: str
    rows: Sequence[Mapping[str, Any]]
    chart: Bars | None = None
    note: str = ""


def list_page(language: str, programmes: Sequence[ProgrammeLine]) -> str:
    """Render the list of programmes."""
    rows = [_listed(language, one) for one in programmes]
    words = WORDS[language]
    return render("programmes.html", language, words=words, title=words["title"], rows=rows)


def programme_page(language: str, seen: ProgrammeView) -> str:
    """Render one programme."""
    words = WORDS[language]
    return render(
        "programme.html",
        language,
        words=words,
        title=_name(language, seen.line.names),
        seen=seen,
        line=_listed(language, seen.line),
        earning=[_earned(language, seen, one) for one in seen.earning],
        rules=[*_caps(language, seen), words["expiry"][seen.expiry["kind"]].format(**seen.expiry)],
        rewards=[_reward(language, seen, one) for one in seen.rewards],
        points=_points(language, seen),
        funds=[_fund(language, seen, one) for one in seen.funds],
        batches=[_batch(language, one) for one in seen.batches],
        boards=[_board(language, one) for one in seen.boards],
    )


def _listed(language: str, one: ProgrammeLine) -> dict[str, Any]:
    words = WORDS[language]
    return {
        "id": one.id,
        "name": _name(language, one.names),
        "version": one.version,
        "epochs": f"{one.first_epoch} – {one.last_epoch or ''}",
        "state": words["in_force"] if one.is_in_force else words["ended"],
        "note": words["illustrative"] if one.is_illustrative else "",
    }


def _earned(language: str, seen: ProgrammeView, one: EarningView) -> dict[str, str]:
    words = WORDS[language]
    text = words["for" if one.counts == "grams" else "for_points"]
    unit = _name(language, seen.unit)
    steps = []
    for since, points, grams in one.steps:
        said = text.format(points=f"{points} {unit}", grams=f"{grams:,}")
        steps.append(f"{words['since'].format(grams=f'{since:,}')}: {said}" if since else said)
    from_what = ", ".join(value for values in one.match.values() for value in values)
    return {"name": _name(language, one.names), "rate": "; ".join(steps), "match": from_what}


def _caps(language: str, seen: ProgrammeView) -> list[str]:
    texts, unit = WORDS[language]["caps"], _name(language, seen.unit)
    return [texts[key].format(f"{most:,} {unit}") for key, most in seen.caps.items() if most]


def _reward(language: str, seen: ProgrammeView, one: RewardView) -> dict[str, str]:
    words = WORDS[language]
    notes = [words["claims"][one.claim].format(one.claim_grams)] if one.claim != "stays" else []
    if one.attestation is not None:
        notes.append(words["attestation"].format(**one.attestation))
    if one.payout_fen_min is not None:
        notes.append(words["payout"].format(_yuan(language, one.payout_fen_min)))
    if one.lots_planted is not None:
        notes.append(words["planted"].format(one.lots_planted))
    cost = f"{one.cost_points:,} {_name(language, seen.unit)}" if one.cost_points else words["free"]
    return {
        "name": _name(language, one.names),
        "kind": words["kinds"][one.kind],
        "cost": cost,
        "partner": one.partner or "–",
        "left": "–" if one.left is None else f"{one.left:,}",
        "given": f"{one.points_redeemed:,}",
        "notes": "; ".join(notes),
        "eligible": one.eligible,
    }


def _points(language: str, seen: ProgrammeView) -> _Drawn:
    rows = [
        {"label": label(language, seen.line.id, key), "amount": f"{amount:,}"}
        for key, amount in seen.points.items()
    ]
    marks = [
        Mark(row["label"], row["amount"], amount)
        for row, amount in zip(rows, seen.points.values(), strict=True)
    ]
    title = WORDS[language]["points"]
    return _Drawn(title, rows, bars(title, marks))


def _fund(language: str, seen: ProgrammeView, one: FundView) -> _Drawn:
    words = WORDS[language]
    spent = [
        (words["this_epoch"].format(seen.epoch), one.epoch_spent_fen, one.epoch_fen_max),
        (words["in_all"], one.overall_spent_fen, one.overall_fen_max),
    ]
    rows = [{"label": when, "amount": _of(language, fen, most)} for when, fen, most in spent]
    rows.insert(0, {"label": words["in_fund"], "amount": _yuan(language, one.fen)})
    values = [one.fen, one.epoch_spent_fen, one.overall_spent_fen]
    marks = [Mark(row["label"], row["amount"], value) for row, value in zip(rows, values, strict=True)]
    title = _name(language, one.names)
    return _Drawn(title, rows, bars(title, marks))


def _of(language: str, fen: int, most: int) -> str:
    if not most:
        return _yuan(language, fen)
    return f"{written(fen, 'fen')} {WORDS[language]['of']} {_yuan(language, most)}"


def _batch(language: str, one: BatchView) -> _Drawn:
    """Show a batch's figures in the order in which they follow from one another."""
    words, said = WORDS[language], one.explained
    figures = [
        (words["pooled"], said["pooled_grams"], "g"),
        (words["deduction"], -said["deduction_grams"], "g"),
        (words["duplicates"], -said["duplicates_grams"], "g"),
        (words["passed"], -said["passed_milligrams"], "mg"),
        (words["before"], -said["issued_before_milligrams"], "mg"),
        (words["claims_in_pool"], said["pool_milligrams"], "mg"),
    ]
    rows = [
        {"label": name, "amount": f"{written(value if unit == 'g' else value // 1_000, 'g')} kg"}
        for name, value, unit in figures
    ]
    issued = words["tonnes"].format(said["buffer_tonnes"])
    rows.append({"label": issued, "amount": f"{said['issued_tonnes']:,} t"})
    states = [
        Mark(label(language, "U", kind), f"{tonnes:,} t", tonnes)
        for kind in STATES
        if (tonnes := one.tonnes.get(kind)) is not None
    ]
    note = words["serials"].format(said["serials"])
    return _Drawn(said["batch"], rows, bars(said["batch"], states), note)


def _board(language: str, one: BoardView) -> _Drawn:
    words, unit = WORDS[language], "points" if one.by == "account" else "g"
    rows = [
        {
            "place": place["place"],
            "label": label(language, "", place["key"]),
            "amount": f"{written(place['amount'], unit)} ± {written(place['halfwidth'], unit)}",
            "note": "" if place["is_certain"] else words["uncertain"],
        }
        for place in one.places
    ]
    marks = [
        Mark(row["label"], row["amount"], place["amount"], place["halfwidth"])
        for row, place in zip(rows, one.places, strict=True)
    ]
    title = f"{words['boards']}: {_name(language, one.names)}" + (" (kg CO2e)" if unit == "g" else "")
    return _Drawn(title, rows, bars(title, marks), words["small"].format(one.group_min))


def _yuan(language: str, fen: int) -> str:
    return f"{written(fen, 'fen')} {'元' if language == 'zh' else 'yuan'}"


def _name(language: str, names: Named) -> str:
    return names.zh if language == "zh" else names.en
