"""Attacks on the reach over three years: all anchors together move no further than the statements they total.

A neighbour may differ in any month, since a day reaches later ones through history, late arrival or
correction; whatever the statements' differences are, anchors add them up at most once.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from enterprise_node.contents import Contents, Year
from enterprise_node.reductions import Vector
from enterprise_node.roster import ActiveSlot
from privacy import anchors
from privacy.claims import ratio
from privacy.policy import Policy
from privacy.policy_reading import read_policy
from protos.epochs import Epoch, shift_epoch
from runtime.pack_files import load_pack
from tests.simulator import Federation as SimulatedFederation
from tests.unit.enterprise_node.simulated_hub import PACKS, SimulatedHub, open_node, write_home
from tests.unit.enterprise_node.simulators import Federation
from tests.unit.enterprise_node.test_anchors import DECEMBER, JANUARY, quiet, released

FIRST = Epoch(202004)
MONTHS = tuple(shift_epoch(FIRST, place) for place in range(36))
PERSON = 7
POLICY = read_policy(
    SimulatedFederation().policy_message(
        anchor_epsilon=ratio(Fraction(1, 2)), anchor_month=12, person_day_allowance=ratio(Fraction(1))
    ),
    bytes(32),
)
DIFFERENCES = st.lists(st.integers(-500, 500), min_size=36, max_size=36)
SLOTS = st.lists(st.tuples(st.integers(0, 35), st.integers(1, 36)), min_size=1, max_size=4)


def all_anchors(grams: Sequence[int], slots: Sequence[tuple[int, int]], skipped: set[int]) -> list[int]:
    """Release 36 months of one person and give every anchor row, in order."""

    def active(epoch: Epoch) -> list[ActiveSlot]:
        place = MONTHS.index(epoch)
        return [
            ActiveSlot(number, PERSON)
            for number, (since, length) in enumerate(slots)
            if since <= place < since + length
        ]

    def vector(epoch: Epoch, measure_id: str) -> Vector:
        return Vector(np.array([PERSON]), np.array([grams[MONTHS.index(epoch)]]))

    found: list[int] = []
    done: dict[Epoch, Policy] = {}
    for place, epoch in enumerate(MONTHS):
        if place in skipped:
            continue
        covered = anchors.covered(POLICY, "utility", epoch, done, lambda *_: True)
        rows = np.full(len(active(epoch)), grams[place], dtype=np.int64)
        year = Year(covered, vector, active)
        made = year.anchors(Contents({"statement/main": rows}), POLICY, "utility", epoch)
        found += made.vectors.get("anchor/main", np.empty(0, dtype=np.int64)).tolist()
        done[epoch] = POLICY
    return found


@settings(max_examples=150, deadline=None)
@given(base=DIFFERENCES, moved=DIFFERENCES, skipped=st.sets(st.integers(0, 35)), slots=SLOTS)
def test_anchors_of_three_years_move_no_further_than_their_statements(
    base: list[int], moved: list[int], skipped: set[int], slots: list[tuple[int, int]]
) -> None:
    # One slot of a person at a time: the next begins where the last has ended.
    ends = 0
    apart = []
    for since, length in sorted(slots):
        begin = max(since, ends)
        apart.append((begin, length))
        ends = begin + length
    one, other = (all_anchors(grams, apart, skipped) for grams in (base, moved))
    reach = sum(abs(a - b) for a, b in zip(base, moved, strict=True))
    assert sum(abs(a - b) for a, b in zip(one, other, strict=True)) <= reach


def test_late_records_and_corrections_move_all_releases_by_their_days_clamp(tmp_path: Path) -> None:
    """Two person-days more or less, both late: statements and anchors keep each day's reach."""
    statements: list[list[dict[int, int]]] = []
    for late in (False, True):
        home = tmp_path / f"node-{late}"
        write_home(home)
        with Federation.build() as federation:
            hub = SimulatedHub(federation)
            hub.publish_policy(
                load_pack(PACKS / "trv.shared_bike" / "1"),
                anchor_epsilon=ratio(Fraction(1, 2)),
                anchor_month=1,
                person_day_allowance=ratio(Fraction(1)),
            )
            app = open_node(home, federation, hub, draw=quiet)
            app.pipeline.run([DECEMBER])
            app.close()
            if late:
                with (home / "trips.csv").open("a") as file:
                    file.write("late,13800000001,2020-12-09 08:00:00,90000\n")
                    file.write("more,13800000002,2020-12-03 09:00:00,90000\n")
            app = open_node(home, federation, hub, draw=quiet)
            app.pipeline.run([JANUARY])
            persons = [one.person for one in app.pipeline.roster.active(JANUARY)]
            app.close()
            rows = released(hub, DECEMBER)[1] + released(hub, JANUARY)[1]
            assert len(rows) == 3
            statements.append([dict(zip(persons, row, strict=True)) for row in rows])
    [december, january, anchor] = [
        {person: other[person] - one[person] for person in one if other[person] != one[person]}
        for one, other in zip(*statements, strict=True)
    ]
    assert december == {}
    assert january == anchor
    assert len(january) == 2
    assert all(0 < moved <= 500 for moved in january.values())
