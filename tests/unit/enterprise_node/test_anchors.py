"""The node's anchor is, before noise, exactly the sum of what it released to each slot, and is charged so."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from enterprise_node.app import App
from enterprise_node.kept import FOLDER
from privacy.envelope import Kind, open_envelope
from privacy.releases import parse_statement_chunk
from protos.epochs import Epoch
from protos.problems import Refused
from protos.v1.policy_pb2 import MEASURE_KIND_PERIOD, Ratio
from protos.v1.problem_pb2 import REASON_EPOCH_NOT_READY
from protos.v1.release_pb2 import PRIVACY_UNIT_PERSON_DAY, PRIVACY_UNIT_PERSON_MONTH, Release
from runtime.pack_files import load_pack
from tests.unit.enterprise_node.simulated_hub import PACKS, SimulatedHub, open_node
from tests.unit.enterprise_node.simulators import Federation

DECEMBER, JANUARY, FEBRUARY = Epoch(202012), Epoch(202101), Epoch(202102)
PACK = load_pack(PACKS / "trv.shared_bike" / "1")
HALF = Fraction(1, 2)
ANCHORED: dict[str, Any] = {
    "anchor_epsilon": Ratio(numerator=1, denominator=2),
    "anchor_month": 1,
    "person_day_allowance": Ratio(numerator=1, denominator=1),
}


@pytest.fixture
def federation() -> Iterator[Federation]:
    with Federation.build() as built:
        yield built


@pytest.fixture
def hub(federation: Federation) -> SimulatedHub:
    started = SimulatedHub(federation)
    started.publish_policy(PACK, **ANCHORED)
    return started


def quiet(values: NDArray[np.int64], scale: int) -> NDArray[np.int64]:
    return values


def released(hub: SimulatedHub, epoch: Epoch) -> tuple[Release, list[list[int]]]:
    for index, data in enumerate(hub.log.list):
        opened = open_envelope(data)
        if opened.kind is Kind.RELEASE and (message := opened.parse(Release)).epoch == epoch:
            bodies = hub.log.bodies_by_index[index]
            return message, [list(parse_statement_chunk(body).grams()) for body in bodies]
    raise AssertionError(f"no release of {epoch}")


def opened(home: Path, federation: Federation, hub: SimulatedHub) -> App:
    return open_node(home, federation, hub, draw=quiet)


def test_the_anchor_is_the_sum_of_what_was_released(
    home: Path, federation: Federation, hub: SimulatedHub
) -> None:
    app = opened(home, federation, hub)
    app.pipeline.run([DECEMBER, JANUARY, FEBRUARY])
    _, [december] = released(hub, DECEMBER)
    message, [january, anchor] = released(hub, JANUARY)
    assert sum(december) > 0 and sum(january) > 0
    assert anchor == [first + second for first, second in zip(december, january, strict=True)]
    assert list(message.statements[1].epochs) == [DECEMBER, JANUARY]
    assert len(released(hub, FEBRUARY)[1]) == 1
    for epoch, spent in ((DECEMBER, 1), (JANUARY, 1), (FEBRUARY, HALF)):
        assert app.pipeline.ledger.spent(epoch, PRIVACY_UNIT_PERSON_DAY) == spent
        assert app.pipeline.following.state.spent("bikeshare", PRIVACY_UNIT_PERSON_DAY, epoch) == spent
    app.close()


def test_period_records_are_clamped_and_charged_by_person_month(home: Path, federation: Federation) -> None:
    hub = SimulatedHub(federation)
    hub.publish_policy(
        PACK, kind=MEASURE_KIND_PERIOD, person_month_allowance=Ratio(numerator=3, denominator=2)
    )
    app = opened(home, federation, hub)
    app.pipeline.run([DECEMBER])
    message, [month] = released(hub, DECEMBER)
    assert message.statements[0].kind == MEASURE_KIND_PERIOD
    assert max(month) == 500, "the whole month is clamped, not a day"
    assert app.pipeline.ledger.spent(DECEMBER, PRIVACY_UNIT_PERSON_DAY) == 0
    assert app.pipeline.ledger.spent(DECEMBER, PRIVACY_UNIT_PERSON_MONTH) == Fraction(3, 2)
    app.close()


def test_nothing_is_drawn_before_the_lag_is_over(home: Path, federation: Federation) -> None:
    hub = SimulatedHub(federation)
    hub.publish_policy(PACK, lag_days=10)
    day = datetime.date(2021, 1, 10)
    early = open_node(home, federation, hub, draw=quiet, today=day)
    with pytest.raises(Refused) as caught:
        early.pipeline.run([DECEMBER])
    assert caught.value.reason == REASON_EPOCH_NOT_READY
    early.close()
    app = open_node(home, federation, hub, draw=quiet, today=day + datetime.timedelta(days=1))
    app.pipeline.run([DECEMBER])
    app.close()


def test_preview_shows_what_the_anchor_will_charge(
    home: Path, federation: Federation, hub: SimulatedHub
) -> None:
    app = opened(home, federation, hub)
    app.pipeline.run([DECEMBER])
    shown = app.pipeline.preview(JANUARY)
    assert shown.charge["person-day"] == 1
    assert [one.name for one in shown.series][:2] == ["statement/rides", "anchor/rides"]
    app.pipeline.run([JANUARY])
    assert app.pipeline.ledger.spent(JANUARY, PRIVACY_UNIT_PERSON_DAY) == shown.charge["person-day"]
    app.close()


def test_who_left_gets_no_anchor_and_who_came_back_only_since_then(
    home: Path, federation: Federation, hub: SimulatedHub
) -> None:
    app = opened(home, federation, hub)
    app.pipeline.run([DECEMBER])
    gone = app.pipeline.roster.active(DECEMBER)[:3]
    key_id = app.pipeline.following.trust.pseudonym_key
    assert key_id is not None
    persons = [one.person for one in gone]
    app.pipeline.roster.withdraw(persons, JANUARY, key_id.key_id, check=app.pipeline.following.check)
    app.pipeline.settle()
    app.pipeline.release(JANUARY)
    app.pipeline.submit(JANUARY)
    _, [december] = released(hub, DECEMBER)
    _, [january, anchor] = released(hub, JANUARY)
    stayed = [one for one in app.pipeline.roster.active(DECEMBER) if one not in gone]
    assert len(anchor) == len(january) == len(stayed) == len(december) - 3
    assert anchor == [december[one.slot] + january[row] for row, one in enumerate(stayed)]
    app.close()


def test_what_was_counted_then_is_totalled_even_if_records_changed_since(
    home: Path, federation: Federation, hub: SimulatedHub
) -> None:
    app = opened(home, federation, hub)
    app.pipeline.run([DECEMBER])
    app.close()
    _, [december] = released(hub, DECEMBER)
    with (home / "trips.csv").open("a") as file:
        file.write("late,13800000001,2021-01-09 08:00:00,90000\n")
    app = opened(home, federation, hub)
    app.pipeline.run([JANUARY])
    _, [january, anchor] = released(hub, JANUARY)
    assert anchor == [first + second for first, second in zip(december, january, strict=True)]
    assert all(path.stat().st_mode & 0o077 == 0 for path in (home / FOLDER).glob("*/*.npy"))
    app.close()
