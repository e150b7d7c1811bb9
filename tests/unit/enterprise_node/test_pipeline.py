"""A node goes from raw files to the log, and what it says there is what it may say."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from enterprise_node.app import App
from enterprise_node.overview import overview
from enterprise_node.persons import RegisterEntry
from enterprise_node.store.releases import ReleaseState
from privacy.envelope import Kind, open_envelope
from privacy.releases import parse_statement_chunk
from privacy.standing import AnswerKind
from protos.epochs import Epoch
from protos.problems import Conflict, Problem, Refused, Unverified
from protos.v1 import policy_pb2
from protos.v1.problem_pb2 import (
    REASON_CEILING_EXCEEDED,
    REASON_CLAIM_WRONG,
    REASON_EPOCH_NOT_READY,
    REASON_HISTORY_INCONSISTENT,
    REASON_LOG_AHEAD,
    REASON_PACK_UNKNOWN,
    REASON_ROSTER_WRONG,
)
from protos.v1.release_pb2 import Release
from runtime.pack_files import load_pack
from tests.unit.enterprise_node.simulated_hub import PACKS, RIDERS, SimulatedHub, open_node, write_home
from tests.unit.enterprise_node.simulators import ENTERPRISE, Federation

DECEMBER, JANUARY = Epoch(202012), Epoch(202101)
PACK = load_pack(PACKS / "trv.shared_bike" / "1")


def no_noise(values: NDArray[np.int64], scale: int) -> NDArray[np.int64]:
    return values


@pytest.fixture
def app(home: Path, federation: Federation, hub: SimulatedHub) -> Iterator[App]:
    opened = open_node(home, federation, hub, draw=no_noise)
    yield opened
    opened.close()


def kinds(hub: SimulatedHub) -> list[Kind]:
    return [open_envelope(data).kind for data in hub.log.list]


def released(hub: SimulatedHub) -> list[tuple[Release, list[int]]]:
    """Give every release in the log with its statement's rows."""
    found = []
    for index, data in enumerate(hub.log.list):
        opened = open_envelope(data)
        if opened.kind is Kind.RELEASE:
            chunks = [parse_statement_chunk(body) for body in hub.log.bodies_by_index[index]]
            found.append((opened.parse(Release), [gram for chunk in chunks for gram in chunk.grams()]))
    return found


def test_a_run_takes_raw_files_to_the_log(app: App, hub: SimulatedHub) -> None:
    app.pipeline.run([DECEMBER, JANUARY])
    assert kinds(hub)[3:] == [
        Kind.ROSTER_BATCH,
        *(Kind.RESERVATION, Kind.RELEASE),
        *(Kind.RESERVATION, Kind.RELEASE),
    ]
    answers = hub.state.answers(ENTERPRISE)
    assert {epoch: answer.kind for epoch, answer in answers.items()} == {
        DECEMBER: AnswerKind.RELEASE,
        JANUARY: AnswerKind.RELEASE,
    }
    figures = overview(app.workspace.database)
    assert (figures.enrolled, figures.statements, figures.messages_waiting) == (RIDERS, 2 * RIDERS, 0)
    assert [one.state for one in figures.epochs] == [ReleaseState.COMMITTED] * 2


def test_every_slot_gets_a_row_and_every_cell_a_value_zeros_included(app: App, hub: SimulatedHub) -> None:
    app.pipeline.run([DECEMBER, JANUARY])
    (december, rows), (_, later) = released(hub)
    # Two days of 1 km times rider, 48.7 g each km, clamped at 500 g a day: rider 10 rides 10 km a day.
    exact = sorted(2 * 487 * rider // 10 for rider in range(1, 11))
    assert sorted(rows)[-10:] == exact
    assert rows.count(0) == RIDERS - 10
    assert sorted(later)[-5:] == [97] * 5
    assert [len(table.values) for table in december.tables] == [4, 4, 2, 2]
    assert sum(december.tables[1].values) == 10


def test_slots_stand_in_an_order_that_says_nothing_of_activity(app: App, hub: SimulatedHub) -> None:
    app.pipeline.run([DECEMBER])
    persons = [item.person for item in app.pipeline.roster.active(DECEMBER)]
    # Persons are numbered in the register's order; a sorted roster has probability 1 / 30!.
    assert sorted(persons) == list(range(1, RIDERS + 1))
    assert persons != sorted(persons)


def test_a_second_run_does_nothing_new(app: App, hub: SimulatedHub) -> None:
    app.pipeline.run([DECEMBER])
    before = len(hub.received)
    app.pipeline.run([DECEMBER])
    assert len(hub.received) == before


def test_the_charge_equals_the_preview(app: App, hub: SimulatedHub) -> None:
    app.pipeline.ingest()
    app.pipeline.enrol(DECEMBER)
    shown = app.pipeline.preview(DECEMBER).to_json()
    app.pipeline.release(DECEMBER)
    charged = overview(app.workspace.database).epochs[0].to_json()["epsilon"]
    assert list(shown["charge"].values()) == list(charged.values()) == ["1/2", "1"]
    assert shown["remaining"] == {"person-day": "1/2", "person-month": "1"}
    assert app.pipeline.preview(DECEMBER).to_json()["remaining"] == {"person-day": "0", "person-month": "0"}
    assert shown["active_slots"] == RIDERS
    assert shown["series"][0]["standard_deviation"] == 1415
    assert {item["name"] for item in shown["series"]} == {
        "statement/rides",
        *(f"histogram/region_domain/{kind}" for kind in ("sum", "count")),
        *(f"histogram/domain_methodology_pooled/{kind}" for kind in ("sum", "count")),
    }


def test_sizes_of_what_leaves_do_not_depend_on_behaviour(
    tmp_path: Path, federation: Federation, home: Path
) -> None:
    idle = tmp_path / "idle"
    write_home(idle)
    (idle / "trips.csv").write_text("trip,mobile,start,metres\n")
    sizes = []
    for folder in (home, idle):
        hub = SimulatedHub(federation)
        hub.publish_policy(PACK)
        app = open_node(folder, federation, hub)
        app.pipeline.run([DECEMBER])
        sizes.append([(len(data), [len(body) for body in bodies]) for data, bodies in hub.received[3:]])
        app.close()
    assert sizes[0] == sizes[1]


def test_an_empty_roster_reports_nothing(app: App, hub: SimulatedHub) -> None:
    app.pipeline.release(DECEMBER)
    app.pipeline.submit(DECEMBER)
    assert hub.state.answers(ENTERPRISE)[DECEMBER].kind is AnswerKind.NOTHING_TO_REPORT
    assert app.pipeline.releaser.state(DECEMBER) is ReleaseState.COMMITTED
    assert overview(app.workspace.database).statements == 0


def test_nothing_is_not_reported_while_persons_wait_to_be_enrolled(app: App, hub: SimulatedHub) -> None:
    app.pipeline.ingest()
    with pytest.raises(Refused) as caught:
        app.pipeline.release(DECEMBER)
    assert caught.value.reason == REASON_ROSTER_WRONG
    assert "cgsp-node enrol --effective 2020-12" in caught.value.remedy
    app.pipeline.enrol(JANUARY)
    app.pipeline.release(DECEMBER)
    app.pipeline.submit(DECEMBER)
    assert hub.state.answers(ENTERPRISE)[DECEMBER].kind is AnswerKind.NOTHING_TO_REPORT


def test_an_epoch_that_has_not_ended_is_not_released(
    home: Path, federation: Federation, hub: SimulatedHub
) -> None:
    app = open_node(home, federation, hub, today=datetime.date(2020, 12, 31))
    with pytest.raises(Refused) as caught:
        app.pipeline.release(DECEMBER)
    assert caught.value.reason == REASON_EPOCH_NOT_READY
    app.close()


def test_fewer_persons_than_a_batch_wait(home: Path, federation: Federation) -> None:
    hub = SimulatedHub(federation)
    hub.publish_policy(PACK, roster_batch_min=RIDERS + 1)
    app = open_node(home, federation, hub)
    app.pipeline.ingest()
    with pytest.raises(Refused) as caught:
        app.pipeline.enrol(DECEMBER)
    assert caught.value.reason == REASON_ROSTER_WRONG
    assert app.pipeline.enrol(DECEMBER, or_wait=True).waiting == RIDERS
    app.close()


def test_withdrawn_persons_have_no_row_in_the_epochs_after(app: App, hub: SimulatedHub) -> None:
    app.pipeline.run([DECEMBER])
    key_id = app.pipeline.following.trust.pseudonym_key.key_id  # type: ignore[union-attr]
    app.pipeline.roster.withdraw([1, 2], JANUARY, key_id, check=app.pipeline.following.check)
    app.pipeline.run([DECEMBER, JANUARY])
    assert [len(rows) for _, rows in released(hub)] == [RIDERS, RIDERS - 2]


def test_whoever_consents_no_longer_is_withdrawn_before_the_next_release(app: App, hub: SimulatedHub) -> None:
    app.pipeline.run([DECEMBER])
    app.workspace.persons.register([RegisterEntry("13800000003", None, None, consented=False)])
    assert app.pipeline.enrol(JANUARY).withdrawn == 1
    app.pipeline.run([JANUARY])
    assert [len(rows) for _, rows in released(hub)] == [RIDERS, RIDERS - 1]
    assert app.pipeline.enrol(Epoch(202102)).withdrawn == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"reach_grams": 499}, REASON_CLAIM_WRONG),
        ({"sum_reach_grams": 4999}, REASON_CLAIM_WRONG),
        ({"count_reach": 3}, REASON_CLAIM_WRONG),
        ({"reserve_z": policy_pb2.Ratio(numerator=11, denominator=2)}, REASON_CEILING_EXCEEDED),
        ({"day_clamp_grams": 10_001, "reach_grams": 10_001}, REASON_CEILING_EXCEEDED),
        ({"month_clamp_grams": 300_001, "sum_reach_grams": 300_001}, REASON_CEILING_EXCEEDED),
    ],
)
def test_a_policy_the_node_must_not_follow_is_refused_before_anything_is_charged(
    home: Path, federation: Federation, changes: dict[str, Any], reason: int
) -> None:
    hub = SimulatedHub(federation)
    hub.publish_policy(PACK, **changes)
    app = open_node(home, federation, hub)
    with pytest.raises(Refused) as caught:
        app.pipeline.run([DECEMBER])
    assert caught.value.reason == reason
    assert Kind.RESERVATION not in kinds(hub)
    assert overview(app.workspace.database).epochs == ()
    app.close()


def test_a_policy_over_another_pack_of_the_same_id_is_refused(home: Path, federation: Federation) -> None:
    hub = SimulatedHub(federation)
    hub.publish_policy(PACK, body=PACK.canonical_bytes() + b" ")
    app = open_node(home, federation, hub)
    with pytest.raises(Refused) as caught:
        app.pipeline.run([DECEMBER])
    assert caught.value.reason == REASON_PACK_UNKNOWN
    app.close()


def test_a_restored_or_twin_node_draws_nothing(
    tmp_path: Path, home: Path, federation: Federation, hub: SimulatedHub
) -> None:
    first = open_node(home, federation, hub)
    first.pipeline.run([DECEMBER])
    first.close()
    twin = tmp_path / "twin"
    write_home(twin)
    draws: list[int] = []

    def counted(values: NDArray[np.int64], scale: int) -> NDArray[np.int64]:
        draws.append(scale)
        return values

    app = open_node(twin, federation, hub, draw=counted)
    with pytest.raises(Conflict) as caught:
        app.pipeline.run([JANUARY])
    assert caught.value.reason == REASON_LOG_AHEAD
    with pytest.raises(Conflict) as caught:
        app.pipeline.release(JANUARY)
    assert caught.value.reason == REASON_LOG_AHEAD
    assert draws == []
    assert overview(app.workspace.database).epochs == ()
    app.close()


def test_a_receipt_whose_place_holds_another_entry_is_noticed(app: App, hub: SimulatedHub) -> None:
    app.pipeline.ingest()
    hub.is_merging = False
    with pytest.raises(Problem):
        app.pipeline.enrol(DECEMBER)
    hub.log.append(hub.log.list[1])
    with pytest.raises(Unverified) as caught:
        app.pipeline.settle()
    assert caught.value.reason == REASON_HISTORY_INCONSISTENT


def test_the_journal_holds_the_log_entry_by_entry(
    app: App, hub: SimulatedHub, federation: Federation
) -> None:
    app.pipeline.run([DECEMBER, JANUARY])
    entries = app.journal.entries()
    to_hub = [entry for entry in entries if entry.kind not in ("read", "blinded-batch")]
    assert [entry.envelope_hash for entry in to_hub] == [
        hashlib.sha256(data).digest() for data in hub.log.list[3:]
    ]
    for entry, (data, bodies) in zip(to_hub, hub.received[3:], strict=True):
        assert entry.sha256 == hashlib.sha256(b"".join((data, *bodies))).digest()
        assert entry.size == len(data) + sum(map(len, bodies))
    batches = {entry.sha256 for entry in entries if entry.kind == "blinded-batch"}
    assert batches <= set().union(*(custodian.batches for custodian in federation.custodians))
