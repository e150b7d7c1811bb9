"""What leaves was kept before and journalled before; the same message is the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from google.protobuf.message import Message

from enterprise_node.chain import OwnChain
from enterprise_node.egress import EgressJournal
from enterprise_node.outbox import HubReads, Outbox
from enterprise_node.rpc import GrpcCustodians
from enterprise_node.store.database import Database
from enterprise_node.store.egress import EgressTable
from enterprise_node.store.outbox import OutboxTable
from enterprise_node.store.outward import SCHEMAS
from privacy.envelope import NO_PREVIOUS, Kind, envelope_hash, open_envelope
from protos.problems import InvariantBroken, Refused, Unavailable
from protos.v1.envelope_pb2 import Header
from protos.v1.problem_pb2 import REASON_EPOCH_CLOSED, REASON_PEER_UNREACHABLE
from protos.v1.release_pb2 import NOTHING_REASON_EMPTY_ROSTER, NothingToReport
from runtime.retries import RetryPolicy
from tests.simulated_log import SimulatedLog
from tests.unit.enterprise_node.simulators import ENTERPRISE, LOCAL_KEYS, ORIGIN, Federation, signing_key

IMPATIENT = RetryPolicy(attempts_max=3, first_seconds=0.001, wait_seconds_max=0.001)


class RecordingHub:
    """Takes everything, and looks into the journal at the moment of taking."""

    address = "hub.test:1"

    def __init__(self) -> None:
        self.received: list[tuple[bytes, list[bytes]]] = []
        self.failures: list[Exception] = []
        self.look: Callable[[], int] = lambda: 0
        self.journalled: list[int] = []

    def submit(self, envelope: bytes, bodies: Sequence[bytes]) -> bytes:
        self.received.append((envelope, list(bodies)))
        self.journalled.append(self.look())
        if self.failures:
            raise self.failures.pop(0)
        return b"receipt"


class World:
    """A chain, its outbox and a hub over one state file."""

    def __init__(self, folder: Path, hub: RecordingHub) -> None:
        self.database = Database(folder / "state.db", SCHEMAS)
        self.table = OutboxTable(self.database)
        self.journal = EgressJournal(self.database, EgressTable(self.database), lambda: 1.0)
        hub.look = lambda: len(self.journal.entries())
        self.chain = OwnChain(
            self.database,
            self.table,
            origin=ORIGIN,
            enterprise_id=ENTERPRISE,
            signing_key=signing_key(ENTERPRISE),
            keys=LOCAL_KEYS,
            clock=lambda: 1000.0,
        )
        self.outbox = Outbox(
            self.chain,
            self.table,
            self.journal,
            hub=hub,
            custodians=GrpcCustodians(Federation.build(count=2).node_identity()),
            check_receipt=lambda receipt, data: 5,
            policy=IMPATIENT,
            on_wait=lambda wait: None,
        )

    def append(self, epoch: int, bodies: Sequence[bytes] = ()) -> None:
        def build(header: Header) -> tuple[Message, Sequence[bytes]]:
            message = NothingToReport(header=header, epoch=epoch, reason=NOTHING_REASON_EMPTY_ROSTER)
            return message, bodies

        self.chain.append(Kind.NOTHING_TO_REPORT, epoch, build)


@pytest.fixture
def hub() -> RecordingHub:
    return RecordingHub()


@pytest.fixture
def world(tmp_path: Path, hub: RecordingHub) -> Iterator[World]:
    opened = World(tmp_path, hub)
    yield opened
    opened.database.close()


def test_messages_form_a_chain(world: World) -> None:
    for epoch in (202012, 202101, 202102):
        world.append(epoch)
    previous = NO_PREVIOUS
    for sequence, message in enumerate(world.table.unsent(), start=1):
        header = open_envelope(message.envelope).parse(NothingToReport).header
        assert (header.sequence, header.previous, header.issuer) == (sequence, previous, ENTERPRISE)
        previous = envelope_hash(message.envelope)


def test_what_waits_is_signed_anew_when_the_log_goes_on_under_another_origin(
    world: World, hub: RecordingHub
) -> None:
    for epoch in (202012, 202101, 202102):
        world.append(epoch, [b"body"])
    [first, *_] = world.table.unsent()
    world.table.receive(first.sequence, b"receipt", 5)
    world.chain.move("cgsp.example/log-two")
    assert world.chain.message(1) == world.table.get(1)
    assert world.chain.message(1).envelope == first.envelope
    previous = first.envelope_hash
    for sequence, message in enumerate(world.table.unsent(), start=2):
        opened = open_envelope(message.envelope)
        header = opened.parse(NothingToReport).header
        assert (header.origin, header.sequence) == ("cgsp.example/log-two", sequence)
        assert header.previous == previous
        previous = message.envelope_hash
        assert previous == envelope_hash(message.envelope)
        assert world.chain.bodies(sequence) == [b"body"]
    again = [message.envelope for message in world.table.unsent()]
    world.chain.move("cgsp.example/log-two")
    assert [message.envelope for message in world.table.unsent()] == again


def test_messages_go_out_in_order_and_once(world: World, hub: RecordingHub) -> None:
    world.append(202012, [b"first", b"second"])
    world.append(202101)
    assert world.outbox.deliver() == 2
    assert world.outbox.deliver() == 0
    assert [bodies for _, bodies in hub.received] == [[b"first", b"second"], []]
    assert [message.log_index for message in world.table.unseen()] == [5, 5]


def test_every_sending_is_journalled_before_it_leaves(world: World, hub: RecordingHub) -> None:
    hub.failures = [Unavailable(REASON_PEER_UNREACHABLE, "cut"), Unavailable(REASON_PEER_UNREACHABLE, "cut")]
    world.append(202012, [b"body"])
    world.outbox.deliver()
    assert hub.journalled == [1, 2, 3]
    assert len({entry.sha256 for entry in world.journal.entries()}) == 1
    assert len({(data, *bodies) for data, bodies in hub.received}) == 1


def test_a_refusal_is_told_and_keeps_the_message(world: World, hub: RecordingHub) -> None:
    hub.failures = [Refused(REASON_EPOCH_CLOSED, "closed")]
    world.append(202012)
    with pytest.raises(Refused):
        world.outbox.deliver()
    assert len(world.table.unsent()) == 1


def test_a_hub_that_stays_away_ends_the_wait(world: World, hub: RecordingHub) -> None:
    hub.failures = [Unavailable(REASON_PEER_UNREACHABLE, "down")] * 3
    world.append(202012)
    with pytest.raises(Unavailable):
        world.outbox.deliver()
    assert len(hub.received) == IMPATIENT.attempts_max


def test_bodies_lie_sealed(tmp_path: Path, world: World) -> None:
    world.append(202012, [b"salts-and-pseudonyms" * 10])
    world.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"salts-and-pseudonyms" not in stored
    assert world.chain.bodies(1) == [b"salts-and-pseudonyms" * 10]


def test_a_message_that_does_not_fit_the_log_is_never_kept(world: World) -> None:
    def build(header: Header) -> tuple[Message, Sequence[bytes]]:
        header.origin = "x" * 70_000
        return NothingToReport(header=header), ()

    with pytest.raises(InvariantBroken):
        world.chain.append(Kind.NOTHING_TO_REPORT, 202012, build)
    assert world.table.count() == 0


def test_reads_are_journalled_by_what_they_ask_for(world: World) -> None:
    log = SimulatedLog(ORIGIN, signing_key("log"))
    log.append(b"entry")
    reads = HubReads(log, world.journal, "hub.test:2")
    assert reads.checkpoint() == log.checkpoint()
    reads.tile(0, 0, 1)
    reads.entries(0, 1)
    reads.body(0, 0)
    assert reads.bodies(0) == []
    entries = world.journal.entries()
    assert [entry.kind for entry in entries] == ["read"] * 5
    paths = ("checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1", "bodies/0/0-0", "bodies/0")
    assert [entry.size for entry in entries] == [len(path) for path in paths]
