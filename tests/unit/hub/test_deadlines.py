"""A hub reminds before a deadline, logs who is missing behind it, and closes nothing before it has passed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub.app import Hub
from privacy.deadlines import DAY_SECONDS, REMINDER_SECONDS
from privacy.envelope import Kind, open_envelope
from protos.problems import Refused
from protos.v1.evidence_pb2 import Missing
from runtime.logs import is_allowed
from tests.simulator import EPOCH, ISSUED_AT
from tests.unit.hub.test_accounts import close
from tests.unit.hub.world import World, begin, enrol, make_home, refused, stored

DAYS = 20
DUE_AT = ISSUED_AT + DAYS * DAY_SECONDS
BIKES, UTILITY = "bike-share", "utility"


def missing(world: World) -> list[Missing]:
    opened = [open_envelope(entry.data) for entry in stored(world.opened.home)]
    return [one.parse(Missing) for one in opened if one.kind is Kind.MISSING]


def epoch_view(world: World) -> dict[str, object]:
    found: dict[str, object] = json.loads(world.get("/v1/epochs"))[0]
    return found


def test_a_deadline_from_reminder_to_close(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    now = [ISSUED_AT]
    world = World(opened=make_home(tmp_path / "hub"), policy_changes={"deadline_days": DAYS})
    with Hub(world.opened, clock=lambda: now[0]) as hub:
        world.hub = hub
        enrol(begin(world))
        world.release(BIKES)
        hub.deadlines.remind()
        assert hub.deadlines.log_missing() == 0
        assert "due soon" not in caplog.text
        now[0] = DUE_AT - REMINDER_SECONDS
        hub.deadlines.remind()
        hub.deadlines.remind()
        reminders = [one for one in caplog.records if one.message == "due soon"]
        # What the log may not hold would be dropped before an operator sees it.
        assert all(
            is_allowed(name, getattr(reminders[0], name)) for name in ("role", "party", "epoch", "due_at")
        )
        assert [one.party for one in caplog.records if one.message == "due soon"] == [  # type: ignore[attr-defined]
            UTILITY,
            "operator-share",
        ]
        assert b"cgsp_hub_answers_due 2.0" in world.get("/metrics")
        [bikes_are_done] = [epoch_view(world)["due"]]
        assert [one["id"] for one in bikes_are_done] == [UTILITY, "operator-share"]  # type: ignore[attr-defined]
        early = refused(lambda: close(world, allow_missing=True))
        assert isinstance(early, Refused)
        assert UTILITY in early.message
        now[0] = DUE_AT
        assert hub.deadlines.log_missing() == 2
        assert hub.deadlines.log_missing() == 0
        assert [(one.role, one.party_id) for one in missing(world)] == [
            ("node", UTILITY),
            ("custodian", "operator-share"),
        ]
        assert b"cgsp_hub_answers_missing 2.0" in world.get("/metrics")
        assert [one["is_missing"] for one in epoch_view(world)["due"]] == [True, True]  # type: ignore[attr-defined]
        page = world.get("/").decode()
        assert "missing, was due by" in page
        close(world, allow_missing=True)
        with world.operator() as client:
            [status] = client.status().epochs
        assert [(one.id, one.is_missing) for one in status.due] == [("operator-share", True)]
    assert EPOCH in {one.epoch for one in missing(world)}
