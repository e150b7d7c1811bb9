"""What a simulation found, as one file to look at and to pass on: bilingual, self-contained, no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from accounting.programmes.programme import Programme
from hub.amounts import written
from hub.charts import Bars, Mark, bars
from hub.programme_outlook import NEVER_SHARE_MAX, Wait
from hub.programme_trial import Trial
from hub.templates import render, style_sheet
from protos.epochs import Epoch, format_epoch

_PER_CENT = 100


def outlook_page(programme: Programme, trial: Trial, waits: Sequence[Wait]) -> str:
    """Render a programme's trial on an epoch, and how long people would wait."""
    names = programme.names
    drawn = [
        _counted("Points of the epoch 当期积分", _points(trial)),
        _counted("Accounts that could have each reward 可兑换账户", trial.able),
        _funds(trial),
        _never(waits),
    ]
    return render(
        "outlook.html",
        "en",
        title=f"{names.en} {names.zh} · {programme.id} version {programme.version}",
        style=style_sheet().decode(),
        note=f"Tried on {format_epoch(Epoch(trial.epoch))}, {trial.accounts:,} accounts. 历史周期试算。",
        drawn=[one for one in drawn if one is not None],
        waits_title=f"Five simulated years; above {NEVER_SHARE_MAX:.0%} who never can, a warning 五年模拟",
        heads=[
            "Measure · type 指标·类型",
            "Points a month 每月积分",
            "Half by month 半数达成月",
            "Never 永不",
        ],
        waits=waits,
    )


def _points(trial: Trial) -> dict[str, int]:
    return {
        "minted 发放": trial.points_minted,
        "owed to later credits 待抵补": trial.points_owed,
        f"above caps, of {trial.accounts_capped:,} accounts 超上限": trial.points_above_caps,
    }


def _counted(title: str, figures: Mapping[str, int]) -> Bars | None:
    return bars(title, [Mark(name, f"{value:,}", value) for name, value in figures.items()])


def _funds(trial: Trial) -> Bars | None:
    marks = []
    for name, fen in trial.fund_fen.items():
        ceiling = trial.fund_ceiling_fen[name]
        marks.append(Mark(f"{name}: if all who could took one 全部兑换所需", _yuan(fen), fen))
        if ceiling:
            marks.append(Mark(f"{name}: ceiling of a month 每月上限", _yuan(ceiling), ceiling))
    return bars("Money 资金", marks)


def _never(waits: Sequence[Wait]) -> Bars | None:
    marks = [
        Mark(f"{one.measure} · {one.archetype}", f"{one.never_share:.0%}", round(one.never_share * _PER_CENT))
        for one in waits
        if one.meant
    ]
    return bars("Who never reaches a reward, of those it is meant for 永不可兑换的比例", marks)


def _yuan(fen: int) -> str:
    return f"{written(fen, 'fen')} yuan 元"
