"""A programme tried on a past epoch: what it would have minted, who would be capped, what funds would need.

Reckoned from the log's own releases as if the programme had begun with that epoch; nothing is written.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from accounting.programmes.programme import Programme
from accounting.programmes.versions import spans_of
from engine.earning import lay_out_positions
from engine.engine import Engine
from engine.released import Released, write_links, write_statements
from hub.accounts import Resources, linked_rows, released_rows
from hub.setup import Opened
from hub.state import State
from hub.store import entries
from hub.store.database import readers_of
from privacy.policy import Policy
from protos.epochs import Epoch


@dataclass(slots=True)
class Trial:
    """What the epoch would have given. `able` counts accounts above a reward's cost, their reserve kept."""

    epoch: int
    accounts: int = 0
    points_minted: int = 0
    points_owed: int = 0
    points_above_caps: int = 0
    accounts_capped: int = 0
    able: dict[str, int] = field(default_factory=dict)
    # Fen if every account that is able took one, by the fund that pays first; and the epoch's ceiling.
    fund_fen: dict[str, int] = field(default_factory=dict)
    fund_ceiling_fen: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Give the figures as JSON."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """Give the figures as text."""
        yield f"epoch {self.epoch} 周期: {self.accounts} accounts 账户"
        yield f"minted 发放: {self.points_minted}; owed 赤字: {self.points_owed}"
        yield f"above caps 超上限: {self.points_above_caps} points of {self.accounts_capped} accounts"
        for name, count in self.able.items():
            yield f"  {name:<20} {count} accounts could have one 可兑换账户"
        for name, fen in self.fund_fen.items():
            ceiling = self.fund_ceiling_fen[name]
            mark = "  ABOVE ITS CEILING 超出上限" if ceiling and fen > ceiling else ""
            yield f"  fund 资金 {name:<13} {fen} fen if all took one; ceiling {ceiling or '—'}{mark}"


def try_on(opened: Opened, programme: Programme, epoch: Epoch) -> tuple[Trial, Policy]:
    """Try a programme on an epoch of the log, read beside a running hub; give the epoch's policy too."""
    state, resources = State(opened.settings.origin), Resources.of(opened).embedded()
    with (
        tempfile.TemporaryDirectory() as folder,
        resources.engine.open(Path(folder)) as engine,
        readers_of(opened.home.database) as readers,
        readers.begin() as connection,
    ):
        _replay(state, connection)
        policy = state.policy_for(epoch)
        rows = _positions(engine, Path(folder), connection, state, programme, epoch)
    trial = Trial(epoch)
    for position, variance, excess in rows:
        _add(trial, programme, position, _sigma(policy.reserve_z, variance), excess)
    trial.fund_ceiling_fen = {name: programme.funds[name].epoch_fen_max for name in trial.fund_fen}
    return trial, policy


def _replay(state: State, connection: Connection) -> None:
    for entry in entries.read_entries(connection):
        bodies = entries.read_bodies(connection, entry.index)
        state.apply(state.check(entry.envelope, bodies, entry.index))


def _positions(
    engine: Engine,
    folder: Path,
    connection: Connection,
    state: State,
    programme: Programme,
    epoch: Epoch,
) -> list[tuple[int, int, int]]:
    begun = programme.model_copy(update={"first_epoch": epoch, "last_epoch": None})
    files = [write_statements(engine, folder, one) for one in released_rows(connection, state, epoch)]
    links = [write_links(engine, folder, leaf, rows) for leaf, rows in linked_rows(connection, epoch)]
    text = lay_out_positions(engine, spans_of([begun]), Released(files, links), state.policy_for)
    return [(row[1], row[2], row[3]) for row in engine.rows(text)]


def _sigma(reserve_z: Fraction, variance: int) -> int:
    """Give the reserve: z standard deviations, rounded up."""
    return math.isqrt(math.ceil(reserve_z * reserve_z * variance)) + 1 if variance else 0


def _add(trial: Trial, programme: Programme, position: int, reserve: int, excess: int) -> None:
    most = programme.caps.epoch_points
    credited = min(position, most) if most else position
    above = max(excess, 0) + position - credited
    trial.accounts += 1
    trial.points_minted += max(credited, 0)
    trial.points_owed += max(-credited, 0)
    trial.points_above_caps += above
    trial.accounts_capped += above > 0
    for name, reward in programme.rewards.items():
        if reward.cost_points and credited - reserve >= reward.cost_points:
            trial.able[name] = trial.able.get(name, 0) + 1
            if reward.fund is not None:
                spent = trial.fund_fen.get(reward.fund, 0)
                trial.fund_fen[reward.fund] = spent + reward.unit_cost_fen
