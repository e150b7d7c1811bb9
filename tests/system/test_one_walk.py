"""One walk that two enterprises record is credited once, whoever enrolled its walker first.

Everything is real: files, custodians, hub, TLS. What is compared are both nodes' figures before noise.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from auditor.app import verify_source
from auditor.findings import Check, Verdict
from enterprise_node.app import open_tickets
from privacy import choices
from protos.epochs import Epoch, format_epoch
from protos.v1 import programme_pb2
from runtime.https import HttpsClient, client_context
from tests.system.walking_city import (
    APP,
    BANK,
    DECEMBER,
    JANUARY,
    STEP_CLASS,
    Exact,
    WalkingCity,
    walking_city,
)

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("walking-city")]

# Whom the app enrolled before the bank did, whom it enrolled after, and whom only one of them knows.
ANNA, BERT, CARL, DORA = (f"1380000000{number}" for number in range(1, 5))
STEPS, GRAMS, POINTS = 5_000, 100, 5
RECORDED_BY = {
    DECEMBER: {ANNA: APP, BERT: BANK, CARL: APP, DORA: BANK},
    # Anna has chosen the bank in between.
    JANUARY: {ANNA: BANK, BERT: BANK, CARL: APP, DORA: BANK},
}
ANSWER_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Walked:
    """The city after two months, each node's figures before noise, what the portal said to Anna."""

    city: WalkingCity
    exact: Mapping[tuple[str, Epoch], Exact]
    chosen: Mapping[str, Any]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walked]:
    with walking_city(tmp_path_factory.mktemp("walks")) as city:
        enrol_in_both_orders(city)
        exact = {(name, DECEMBER): city.nodes[name].release(DECEMBER) for name in (APP, BANK)}
        chosen = choose(city, ANNA, BANK)
        exact |= {(name, JANUARY): city.nodes[name].release(JANUARY) for name in (BANK, APP)}
        for epoch in (DECEMBER, JANUARY):
            city.close(epoch)
        yield Walked(city, exact, chosen)


def enrol_in_both_orders(city: WalkingCity) -> None:
    """Let the app enrol Anna before the bank does, and the bank Bert before the app does."""
    app, bank = city.nodes[APP], city.nodes[BANK]
    for epoch in (DECEMBER, JANUARY):
        app.write_walks(epoch, (ANNA, BERT, CARL), STEPS)
        bank.write_walks(epoch, (ANNA, BERT, DORA), STEPS)
    app.write_register(ANNA, CARL)
    assert app.enrol(DECEMBER) == 2
    bank.write_register(ANNA, BERT, DORA)
    assert bank.enrol(DECEMBER) == 3
    app.write_register(ANNA, BERT, CARL)
    assert app.enrol(DECEMBER) == 1


def choose(city: WalkingCity, mobile: str, recorder: str) -> dict[str, Any]:
    """Say at the portal who records one's walks, logged in by the app."""
    choice = programme_pb2.Choice()
    choice.recording.overlap_class, choice.recording.enterprise_id = STEP_CLASS, recorder
    ticket = signed_in(city, APP, mobile, "choose", choices.subject(choice))
    return post(
        city, "/v1/my/choices/recording", overlap_class=STEP_CLASS, enterprise=recorder, ticket=ticket
    )


def signed_in(city: WalkingCity, enterprise: str, mobile: str, purpose: str, subject: bytes = b"") -> str:
    """Have an enterprise sign that a person is logged in."""
    with city.nodes[enterprise].opened() as node:
        number = node.workspace.persons.find(mobile)
        assert number is not None
        issued = open_tickets(node.workspace, node.membership).issue(number, purpose, subject)
    return base64.b64encode(issued.ticket).decode()


def post(city: WalkingCity, path: str, **body: Any) -> dict[str, Any]:
    """Ask the portal."""
    client = HttpsClient(city.hub.https_address, client_context(city.opened_hub.authority.ca_pem))
    try:
        found: dict[str, Any] = json.loads(
            client.post_json(path, json.dumps(body).encode(), ANSWER_BYTES_MAX)
        )
    finally:
        client.close()
    return found


@pytest.mark.parametrize("epoch", [DECEMBER, JANUARY])
def test_both_nodes_figures_before_noise_add_up_to_one_walk(walked: Walked, epoch: Epoch) -> None:
    for mobile, recorder in RECORDED_BY[epoch].items():
        for name in (APP, BANK):
            found, recorded = walked.exact[name, epoch], int(name == recorder)
            assert found.grams.get(mobile, 0) == recorded * GRAMS
            assert found.points.get(mobile, 0) == recorded * POINTS
            assert found.committed_mg.get(mobile, 0) == recorded * GRAMS * 1_000
    assert {ANNA, BERT} <= walked.exact[APP, epoch].grams.keys() & walked.exact[BANK, epoch].grams.keys()


@pytest.mark.parametrize("epoch", [DECEMBER, JANUARY])
def test_the_cells_of_both_add_up_to_one_walk_a_person(walked: Walked, epoch: Epoch) -> None:
    for name in (APP, BANK):
        mine = sum(recorder == name for recorder in RECORDED_BY[epoch].values())
        cells = walked.exact[name, epoch].cells
        assert {one: sum(cells[one]) for one in cells} == {
            one: mine * (GRAMS if one.endswith("/sum") else 1) for one in cells
        }
        assert len(cells) == 4


def test_the_person_is_told_who_records_what_from_when(walked: Walked) -> None:
    assert walked.chosen["from"] == format_epoch(JANUARY)
    ticket = signed_in(walked.city, BANK, ANNA, "view")
    seen = post(walked.city, "/v1/my/account", ticket=ticket)["account"]
    elsewhere = [one for one in seen["lines"] if one["what"] == "recorded elsewhere"]
    assert {(one["enterprise"], one["epoch"], one["overlap_class"]) for one in elsewhere} == {
        (BANK, format_epoch(DECEMBER), STEP_CLASS),
        (APP, format_epoch(JANUARY), STEP_CLASS),
    }
    assert seen["account"] == walked.chosen["account"]
    assert [one["enterprise"] for one in seen["choices"]] == [BANK]


def test_an_auditor_confirms_every_selection_ticket_and_account(walked: Walked, tmp_path: Path) -> None:
    walked.city.run("export", "--out", str(tmp_path / "bundle"), at_home=True)
    report = verify_source(str(tmp_path / "bundle"), walked.city.trust_root, None)
    assert report.results.findings == ()
    assert report.results.verdict is Verdict.PASS
    # Four reservations, each under what the log selects for it; Anna's choice and no other ticket.
    assert report.results[Check.SELECTIONS].examined == 4
    assert report.results[Check.TICKETS].examined == 1
    assert report.results[Check.ACCOUNTS].examined > 0
