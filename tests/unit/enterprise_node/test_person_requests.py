"""A person's own requests at the enterprise: tickets, export, correction; what others record is left out."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from enterprise_node.app import open_tickets
from enterprise_node.cli_person import COMMANDS, person
from enterprise_node.correct import correct
from enterprise_node.membership import Membership
from enterprise_node.person import show_person
from enterprise_node.person_export import content, export_person
from enterprise_node.workspace import open_workspace
from privacy import choices, codec, envelope
from privacy.account_changes import share_terms
from privacy.envelope import Kind, envelope_hash, open_envelope
from privacy.exports import PERSON, open_export
from privacy.selections import build_selection
from privacy.standing import HUB_ID, Role, Selection
from privacy.tickets import TICKET_SECONDS_MAX, subject_of
from protos.epochs import Epoch
from protos.problems import Malformed, Problem, Unavailable
from protos.v1.programme_pb2 import Choice, LinkTicket
from protos.v1.release_pb2 import Release
from protos.v1.roster_pb2 import RosterChunk
from runtime.pack_files import load_pack
from tests.unit.enterprise_node.simulated_hub import PACKS, SimulatedHub, open_node
from tests.unit.enterprise_node.simulators import ENTERPRISE, ORIGIN, Federation, signing_key

DECEMBER = Epoch(202012)
PACK = load_pack(PACKS / "trv.shared_bike" / "1")
RIDER = "13800000003"
CLASS = PACK.overlap_class


def recording(overlap_class: str, enterprise: str) -> Choice:
    choice = Choice()
    choice.recording.overlap_class, choice.recording.enterprise_id = overlap_class, enterprise
    return choice


def pooling(programme: str) -> Choice:
    choice = Choice()
    choice.pool.programme, choice.pool.consents = programme, True
    return choice


def membership(federation: Federation) -> Membership:
    return Membership(
        origin=ORIGIN,
        enterprise_id=ENTERPRISE,
        grpc_address="hub.test:1",
        https_address="hub.test:2",
        identity=federation.node_identity(),
        signing_key=signing_key(ENTERPRISE),
        trust_root=federation.root_envelope,
    )


def test_a_ticket_holds_for_somebody_enrolled_and_for_nobody_else(
    home: Path, federation: Federation, hub: SimulatedHub
) -> None:
    app = open_node(home, federation, hub)
    app.pipeline.run([DECEMBER])
    number = app.workspace.persons.find(RIDER)
    assert number is not None
    issued = open_tickets(app.workspace, membership(federation)).issue(number, "prove")
    at = issued.expires_at - TICKET_SECONDS_MAX
    taken = hub.state.participants.check_ticket(issued.ticket, purpose="prove", at=at)
    assert taken.enterprise_id == ENTERPRISE
    for who, purpose in ((9_999, "prove"), (number, "steal")):
        with pytest.raises(Problem):
            open_tickets(app.workspace, membership(federation)).issue(who, purpose)
    app.close()


def test_what_another_records_is_left_out_of_statement_and_cells_and_named(
    home: Path, federation: Federation, hub: SimulatedHub
) -> None:
    """The hub logs a selection before the reservation; exact figures show what the release said."""
    app = open_node(home, federation, hub, draw=lambda values, scale: values)
    app.pipeline.ingest()
    app.pipeline.wait_until_ready(DECEMBER)
    app.pipeline.enrol(DECEMBER)
    slots = {one.person: one.slot for one in app.pipeline.roster.active(DECEMBER)}
    rider, pooled = (app.workspace.persons.find(f"138{number:08d}") for number in (3, 4))
    assert rider is not None
    assert pooled is not None
    chain = hub.state.chain(Role.HUB, HUB_ID)
    header = envelope.header(
        ORIGIN, HUB_ID, sequence=chain.next_sequence, previous=chain.head, issued_at=1_700_000_000
    )
    built = build_selection(
        header,
        enterprise_id=ENTERPRISE,
        epoch=DECEMBER,
        salt=bytes(32),
        selection=Selection({CLASS: (slots[rider],)}, (slots[pooled],)),
    )
    data = envelope.sign(codec.encode(built.message), Kind.SELECTION, [signing_key("hub")])
    hub.submit(data, built.bodies)
    hub.log.losing = 2
    app.pipeline.release(DECEMBER)
    assert hub.log.losing == 0
    app.pipeline.submit(DECEMBER)
    [release] = [one for one in hub.log.list if open_envelope(one).kind is Kind.RELEASE]
    message = open_envelope(release).parse(Release)
    assert message.selection_hash == envelope_hash(data)
    exact = app.pipeline.releaser.exact(DECEMBER, app.pipeline.following.policy_for(DECEMBER))
    order = [one.person for one in app.pipeline.roster.active(DECEMBER)]
    grams = dict(zip(order, exact.vectors["statement/rides"].tolist(), strict=True))
    assert grams[rider] == 0
    assert grams[pooled] > 0
    counts = exact.vectors["histogram/domain_methodology_pooled/count"].tolist()
    assert counts == [8, 1]
    shown = content(app.workspace, membership(federation), rider)
    assert shown["months"][0]["credited_mg"]
    assert [one["recorded_elsewhere"] for one in shown["months"]] == [[CLASS], []]
    assert [(one["measure"], one["exact"]) for one in shown["released"]] == [("rides", 0)]
    assert any(CLASS in line for line in show_person(app.workspace, rider).lines())
    app.close()


def test_a_person_holds_the_proof_of_consent_that_the_log_hides(
    home: Path, federation: Federation, hub: SimulatedHub
) -> None:
    app = open_node(home, federation, hub)
    app.pipeline.run([DECEMBER])
    number = app.workspace.persons.find(RIDER)
    assert number is not None
    shown = content(app.workspace, membership(federation), number)
    assert shown["identifier"] == {"type": "cn_mobile", "value": RIDER}
    [slot] = shown["slots"]
    salt = bytes.fromhex(slot["salt"])
    chunks = [body for data, bodies in hub.received if is_roster(data) for body in bodies[::2]]
    chunk = RosterChunk.FromString(chunks[0])
    at = slice(32 * slot["slot"], 32 * slot["slot"] + 32)
    assert chunk.slots[at] == hashlib.sha256(salt + bytes.fromhex(slot["pseudonym"])).digest()
    assert chunk.consents[at] == hashlib.sha256(salt + slot["consent"].encode()).digest()
    assert (slot["from"], slot["until"]) == ("2020-12", None)
    app.close()


def is_roster(data: bytes) -> bool:
    return open_envelope(data).kind is Kind.ROSTER_BATCH


def test_an_export_holds_every_record_and_verifies_with_the_enterprises_key(
    home: Path, federation: Federation, hub: SimulatedHub
) -> None:
    app = open_node(home, federation, hub)
    app.pipeline.ingest()
    number = app.workspace.persons.find(RIDER)
    assert number is not None
    data = export_person(app.workspace, membership(federation), number)
    found = open_export(data, PERSON, [signing_key(ENTERPRISE).verify_key])
    assert len(found["records"]) == 3
    for at in range(0, len(data), 29):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(Problem):
            open_export(changed, PERSON, [signing_key(ENTERPRISE).verify_key])
    with pytest.raises(Unavailable):
        export_person(app.workspace, membership(federation), 9_999)
    app.close()


def test_a_correction_acts_like_any_other(home: Path, federation: Federation, hub: SimulatedHub) -> None:
    app = open_node(home, federation, hub)
    app.pipeline.ingest()
    workspace = app.workspace
    number = workspace.persons.find(RIDER)
    assert number is not None
    view = content(workspace, membership(federation), number)
    before = view["months"][0]["credited_mg"][PACK.id]
    record = view["records"][-1]["record"]
    done = correct(workspace, number, record, {"distance": "0"}, "the bike stood still", now=1)
    assert not done.is_late
    after = content(workspace, membership(federation), number)
    assert after["months"][0]["credited_mg"][PACK.id] < before
    assert [one["reason"] for one in after["corrections"]] == ["the bike stood still"]
    assert len(after["records"]) == len(view["records"])
    app.pipeline.ingest()
    assert content(workspace, membership(federation), number)["months"] == after["months"]
    with pytest.raises(Unavailable):
        correct(workspace, number + 1, record, {"distance": "0"}, "not mine", now=1)
    for inputs, reason in (
        ({}, "x"),
        ({"distance": "-5"}, "x"),
        ({"nothing": "1"}, "x"),
        ({"distance": "1"}, " "),
    ):
        with pytest.raises(Malformed):
            correct(workspace, number, record, inputs, reason, now=1)
    app.close()


def test_the_commands_correct_and_show(home: Path) -> None:
    with_home = ["--home", str(home), "--json", "--identifier", "-"]
    workspace = open_workspace(home)
    list(workspace.read())
    workspace.close()
    shown = CliRunner().invoke(person, ["show", *with_home], input=RIDER)
    record = json.loads(shown.output)["records"][0]["record"]
    arguments = ["correct", *with_home, "--record", record, "--set", "distance=1", "--reason", "odd"]
    corrected = CliRunner().invoke(person, arguments, input=RIDER)
    assert json.loads(corrected.output)["record"] == record
    only = CliRunner().invoke(person, ["show", *with_home, "--epoch", "2021-01"], input=RIDER)
    days = {one["day"][:7] for one in json.loads(only.output)["records"]}
    assert days == {"2021-01"} < {one["day"][:7] for one in json.loads(shown.output)["records"]}
    for wrong in (["--purpose", "fly"], ["--purpose", "choose", "--subject", "zz"], ["--purpose", "view"]):
        refused = CliRunner().invoke(COMMANDS["ticket"], [*with_home, *wrong], input="13900000000")
        assert refused.exit_code != 0
        assert not isinstance(refused.exception, ValueError)


@pytest.mark.parametrize(
    ("options", "purpose", "expected"),
    [
        (("--recording", "OC-TRIP=bank"), "choose", choices.subject(recording("OC-TRIP", "bank"))),
        (("--recording", "OC-TRIP="), "choose", choices.subject(recording("OC-TRIP", ""))),
        (("--pool", "city=yes"), "choose", choices.subject(pooling("city"))),
        (("--after", base64.b64encode(b"first").decode()), "merge", subject_of(b"first")),
        (
            ("--household", "aa" * 16, "--part", f"{'cc' * 16}=4000", "--part", f"{'bb' * 16}=6000"),
            "share",
            share_terms(b"\xaa" * 16, [(b"\xbb" * 16, 6_000), (b"\xcc" * 16, 4_000)]),
        ),
    ],
)
def test_a_ticket_names_what_was_agreed_to(
    home: Path,
    federation: Federation,
    hub: SimulatedHub,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    purpose: str,
    expected: bytes,
) -> None:
    """Nobody encodes and hashes by hand: the node names in the ticket what it was told."""
    app = open_node(home, federation, hub)
    app.pipeline.run([DECEMBER])
    app.close()
    monkeypatch.setattr(Membership, "load", lambda _: membership(federation))
    arguments = ["--home", str(home), "--json", "--identifier", "-", "--purpose", purpose, *options]
    done = CliRunner().invoke(COMMANDS["ticket"], arguments, input=RIDER)
    data = base64.b64decode(json.loads(done.stdout)["ticket"])
    ticket = open_envelope(data).parse(LinkTicket)
    assert (ticket.purpose, ticket.subject) == (purpose, expected)
    other = CliRunner().invoke(COMMANDS["ticket"], [*arguments, "--purpose", "view"], input=RIDER)
    assert isinstance(other.exception, Malformed)
