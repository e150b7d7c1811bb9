"""The programmes as pages, in Chinese or English: what earns, what it buys, who pays, what was issued."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from accounting.programmes.eligibility import FACT_NAMES
from hub.amounts import unit_word, written
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
from hub.programme_wording import WORDS
from hub.templates import render

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


def programme_page(language: str, seen: ProgrammeView, names: Mapping[str, str]) -> str:
    """Render one programme; `names` are the enterprises', by id."""
    words = WORDS[language]
    return render(
        "programme.html",
        language,
        words=words,
        title=_name(language, seen.line.names),
        seen=seen,
        line=_listed(language, seen.line),
        earning=[_earned(language, seen, one, names) for one in seen.earning],
        rules=[*_caps(language, seen), words["expiry"][seen.expiry["kind"]].format(**seen.expiry)],
        rewards=[_reward(language, seen, one, names) for one in seen.rewards],
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


def _earned(language: str, seen: ProgrammeView, one: EarningView, names: Mapping[str, str]) -> dict[str, str]:
    words = WORDS[language]
    text = words["for" if one.counts == "grams" else "for_points"]
    unit = _name(language, seen.unit)
    steps = []
    for since, points, grams in one.steps:
        said = text.format(points=f"{points} {unit}", grams=f"{grams:,}")
        begin = words["since"].format(grams=f"{since:,}") + words["is"] if since else ""
        steps.append(begin + said)
    return {
        "name": _name(language, one.names),
        "rate": words["then"].join(steps),
        "match": words["and"].join(_matched(language, one, names)),
    }


def _matched(language: str, one: EarningView, names: Mapping[str, str]) -> Iterator[str]:
    """Name what a way to earn counts: enterprises and domains in words, measures and packs by their ids."""
    for kind, values in one.match.items():
        for value in values:
            match kind:
                case "enterprises":
                    yield names.get(value, value)
                case "domains":
                    yield label(language, "", value)
                case _:
                    yield value


def _caps(language: str, seen: ProgrammeView) -> list[str]:
    texts, unit = WORDS[language]["caps"], _name(language, seen.unit)
    return [texts[key].format(f"{most:,} {unit}") for key, most in seen.caps.items() if most]


def _reward(language: str, seen: ProgrammeView, one: RewardView, names: Mapping[str, str]) -> dict[str, str]:
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
        "partner": names.get(one.partner or "", one.partner or "–"),
        "left": "–" if one.left is None else f"{one.left:,}",
        "given": f"{one.points_redeemed:,}",
        "notes": words["then"].join(notes),
        "eligible": one.eligible,
        "facts": words["then"].join(_facts(words, one.eligible)),
    }


def _facts(words: Mapping[str, Any], condition: str) -> Iterator[str]:
    """Say in words what the figures are that a condition asks."""
    for name in FACT_NAMES:
        if re.search(rf"\b{name}\b", condition):
            yield name + words["is"] + words["facts"][name]


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
        {"label": name, "amount": _amount(language, value if unit == "g" else value // 1_000, "g")}
        for name, value, unit in figures
    ]
    issued = words["tonnes"].format(said["buffer_tonnes"])
    rows.append({"label": issued, "amount": _amount(language, said["issued_tonnes"], "t")})
    states = [
        Mark(label(language, "U", kind), _amount(language, tonnes, "t"), tonnes)
        for kind in STATES
        if (tonnes := one.tonnes.get(kind)) is not None
    ]
    note = words["serials"].format(said["serials"].replace(" to ", words["to"]))
    return _Drawn(said["batch"], rows, bars(said["batch"], states), note)


def _board(language: str, one: BoardView) -> _Drawn:
    words, unit = WORDS[language], "points" if one.by == "account" else "g"
    # What persons call themselves is nobody's to translate.
    called = str if one.by == "account" else partial(label, language, "")
    rows = [
        {
            "place": place["place"],
            "label": called(place["key"]),
            "amount": f"{written(place['amount'], unit)} ± {written(place['halfwidth'], unit)}",
            "note": "" if place["is_certain"] else words["uncertain"],
        }
        for place in one.places
    ]
    marks = [
        Mark(row["label"], row["amount"], place["amount"], place["halfwidth"])
        for row, place in zip(rows, one.places, strict=True)
    ]
    title = words["boards"] + words["is"] + _name(language, one.names)
    title += f" ({unit_word(unit, language)})" if unit == "g" else ""
    return _Drawn(title, rows, bars(title, marks), words["small"].format(one.group_min))


def _yuan(language: str, fen: int) -> str:
    return _amount(language, fen, "fen")


def _amount(language: str, amount: int, unit: str) -> str:
    return f"{written(amount, unit)} {unit_word(unit, language)}"


def _name(language: str, names: Named) -> str:
    return names.zh if language == "zh" else names.en
