"""Opens exactly the leaves a challenge draws, into a folder on the premises; nothing leaves over the network.

The draws are derived again from the beacon in the log that this node has verified: a challenge cannot ask for
anybody in particular.
"""

# ruff: noqa: S608  (SQL is made of names of this module's own and of checked activity codes)

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.duckdb_engine import DuckDbEngine
from enterprise_node.commitments import CONTRACTS, measures_in_grams
from enterprise_node.sql_text import literal
from privacy import sampling
from privacy.openings import CHALLENGE_FILE, OPENING_FILE, OpenedLeaf, Opening
from privacy.sampling import Challenge
from protos.epochs import format_epoch
from protos.problems import Conflict, Refused, Unavailable, Unverified
from protos.v1.problem_pb2 import (
    REASON_ALREADY_EXISTS,
    REASON_BEACON_INVALID,
    REASON_NOT_FOUND,
    REASON_WRONG_ORIGIN,
)
from runtime.files import open_home, write_private

if TYPE_CHECKING:
    from enterprise_node.app import App
    from privacy.beacon import Drawn
    from privacy.commitments import Committed
    from privacy.sum_tree import SumTree


def open_challenge(app: App, data: bytes, folder: Path) -> Opening:
    """Write the challenge and what it opens into a new folder, 0600; gives what was opened."""
    challenge = Challenge.decode(data)
    committed = _checked(app, challenge)
    target = open_home(folder, create=True)
    if any(target.iterdir()):
        raise Conflict(REASON_ALREADY_EXISTS, f"{target} is not empty.", remedy="Choose a new folder.")
    opening = _opened(app, challenge, committed)
    write_private(target / OPENING_FILE, opening.encode())
    write_private(target / CHALLENGE_FILE, challenge.encode())
    return opening


def _checked(app: App, challenge: Challenge) -> Committed:
    """Refuse a challenge that does not follow from this log's beacon; give the commitment it is about."""
    state, enterprise_id = app.pipeline.following.state, app.membership.enterprise_id
    if (challenge.origin, challenge.enterprise_id) != (app.membership.origin, enterprise_id):
        raise Refused(
            REASON_WRONG_ORIGIN,
            f"The challenge is for {challenge.enterprise_id} in {challenge.origin}.",
            remedy="Take it to the enterprise it names.",
        )
    committed = state.commitments(enterprise_id).get(challenge.epoch)
    drawn = state.beacons.get(challenge.epoch)
    if committed is None or drawn is None:
        raise Unavailable(
            REASON_NOT_FOUND,
            f"The log as known here has no commitment and beacon for {format_epoch(challenge.epoch)}.",
            remedy="Let it read the log (cgsp-node submit); the operator has the beacon drawn.",
        )
    if drawn.index != challenge.beacon_index or not challenge.is_derived(drawn.value):
        raise Unverified(
            REASON_BEACON_INVALID,
            "The challenge's draws do not follow from the beacon in the log.",
            remedy="Open nothing; ask the auditor how it was made.",
        )
    _check_covered(committed, drawn)
    return committed


def _check_covered(committed: Committed, drawn: Drawn) -> None:
    if committed.index >= drawn.covered:
        raise Refused(REASON_BEACON_INVALID, "The beacon does not cover this enterprise's commitment.")


def _opened(app: App, challenge: Challenge, committed: Committed) -> Opening:
    commitments, epoch = app.pipeline.commitments, challenge.epoch
    if not commitments.kept(epoch, committed.commitment):
        raise Unavailable(
            REASON_NOT_FOUND,
            f"The leaves behind the commitment to {format_epoch(epoch)} do not lie here any more.",
            remedy="Restore the folder `commitments` from a backup.",
        )
    tree = commitments.tree(epoch)
    total = tree.root.amount
    points = [sampling.point(one, total) for one in challenge.draws] if total else []
    numbers = sorted({tree.leaf_at(point) for point in points})
    with DuckDbEngine(temp_dir=app.workspace.home) as engine:
        reader = _Reader(app, challenge, committed, tree, engine)
        leaves = tuple(reader.leaf(number) for number in numbers)
    return Opening(
        enterprise_id=challenge.enterprise_id,
        epoch=epoch,
        salt=commitments.secrets(epoch).root_salt,
        root=tree.root,
        leaves=leaves,
    )


class _Reader:
    """Reads leaves, their records, and the statements they are part of."""

    def __init__(
        self, app: App, challenge: Challenge, committed: Committed, tree: SumTree, engine: DuckDbEngine
    ) -> None:
        self._engine = engine
        self._app, self._tree, self._epoch = app, tree, challenge.epoch
        self._secrets = app.pipeline.commitments.secrets(challenge.epoch)
        self._files = app.pipeline.commitments.record_files(challenge.epoch)
        self._exact = app.pipeline.releaser.exact(challenge.epoch, committed.policy).vectors
        mine = committed.policy.enterprise(challenge.enterprise_id)
        self._measures = measures_in_grams(mine.measures)
        measure_of = tree.leaves.place % tree.measures
        self._of_measure = [np.flatnonzero(measure_of == number) for number in range(tree.measures)]

    def leaf(self, number: int) -> OpenedLeaf:
        """Open one leaf."""
        leaf = self._tree.leaf(number)
        in_slot, in_tree = self._tree.paths(number)
        # Records are numbered among their measure's leaves.
        within = int(np.searchsorted(self._of_measure[leaf.measure], number))
        row = in_tree.index // self._tree.measures
        series = f"statement/{self._measures[leaf.measure].id}"
        return OpenedLeaf(
            number=number,
            leaf=leaf,
            salt=self._secrets.leaf_salt(leaf.slot, leaf.measure, leaf.day),
            in_slot=in_slot,
            in_tree=in_tree,
            records=tuple(self._records(leaf.measure, within)),
            contract=self._contract(leaf.measure, within),
            exact_grams=int(self._exact[series][row]),
        )

    def _records(self, measure: int, within: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for (of, code), path in self._files.items():
            if of != measure or code == CONTRACTS:
                continue
            names = [
                name for name in self._app.workspace.activities.registry[code].columns() if name != "person"
            ]
            rows = self._rows(path, names, within)
            found += [{"activity": code, **dict(zip(names, row, strict=True))} for row in rows]
        return found

    def _contract(self, measure: int, within: int) -> tuple[int, int | None] | None:
        path = self._files.get((measure, CONTRACTS))
        if path is None:
            return None
        rows = self._rows(path, ["since_day", "until_day"], within)
        return None if not rows else (int(rows[0][0]), None if rows[0][1] is None else int(rows[0][1]))

    def _rows(self, path: Path, names: Sequence[str], within: int) -> list[tuple[Any, ...]]:
        return self._engine.rows(
            f"SELECT {', '.join(names)} FROM read_parquet({literal(path)}) WHERE number = {int(within)}"
        )
