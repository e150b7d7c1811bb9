"""Pushed records are durable before they are acknowledged, and become activities once, whatever breaks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from enterprise_node.client import Activity, ActivityClient
from enterprise_node.rpc import ActivityServicer
from enterprise_node.spool import PushedRecord, RefusedRecord, Spool, Taken
from enterprise_node.workspace import Workspace
from protos.problems import Malformed, Problem, Refused, Unavailable
from protos.v1 import node_pb2, node_pb2_grpc
from protos.v1.problem_pb2 import REASON_BUSY, REASON_NOT_FOUND, REASON_ROLE_NOT_ALLOWED
from runtime.authority import CertificateAuthority
from runtime.identity import Identity, Role, SpiffeName
from runtime.retries import RetryPolicy
from runtime.servers import GrpcServer, ServerOptions
from tests.fault_proxy import FaultProxy
from tests.unit.enterprise_node.homes import ANNA, BERT, TRIPS, Home, home_at, kept

DOMAIN = "test.cgsp.example"
SOURCE = TRIPS.replace('path = "trips*.csv"', 'kind = "push"')
# gRPC itself waits a second and more before it opens a broken connection again.
IMPATIENT = RetryPolicy(attempts_max=600, first_seconds=0.01, wait_seconds_max=0.1, total_seconds_max=60)


def values(trip: str, mobile: str = ANNA, km: str = "1") -> dict[str, str]:
    return {"trip": trip, "mobile": mobile, "start": "2021-01-05 08:00:00", "km": km}


def activities(count: int) -> list[Activity]:
    return [Activity(f"key-{number}", values(f"t{number}")) for number in range(count)]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_at(tmp_path / "home", SOURCE)


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority.create(DOMAIN)


def identity(authority: CertificateAuthority, enterprise: str = "wheels", role: Role = Role.NODE) -> Identity:
    return authority.issue_identity(SpiffeName(DOMAIN, role, enterprise), server_names=("127.0.0.1",))


@contextmanager
def served(spool: Spool, authority: CertificateAuthority) -> Iterator[str]:
    own = identity(authority)
    options = ServerOptions("127.0.0.1:0", ("cgsp.v1.ActivityService",), workers=6, grace_seconds=0.1)
    server = GrpcServer(lambda: own, options)
    servicer = ActivityServicer("wheels", spool.take)
    node_pb2_grpc.add_ActivityServiceServicer_to_server(servicer, server.server)
    with server:
        yield server.address


def client(address: str, authority: CertificateAuthority, *, batch_records: int = 10) -> ActivityClient:
    return ActivityClient(
        address, identity(authority), "trips", policy=IMPATIENT, batch_records=batch_records
    )


def take(workspace: Workspace, *records: PushedRecord) -> Taken:
    return workspace.spool().take("trips", records)


def test_pushed_records_become_activities(home: Home, authority: CertificateAuthority) -> None:
    with home.opened() as workspace, served(workspace.spool(), authority) as address:
        with client(address, authority) as pusher:
            summary = pusher.record(activities(25))
        assert (summary.accepted, summary.known, summary.quarantined) == (25, 0, [])
        assert kept(workspace) == []
    assert sum(report.outcome.taken for report in home.read() if report.outcome) == 25
    assert home.read() == []
    with home.opened() as workspace:
        assert len(kept(workspace)) == 25
        assert workspace.database.value("SELECT count(*) FROM push_batch") == 0


@pytest.mark.parametrize("cut_after_bytes", [2_000, 4_500, 9_000, 20_000])
def test_a_dropped_connection_loses_and_doubles_nothing(
    home: Home, authority: CertificateAuthority, cut_after_bytes: int
) -> None:
    with home.opened() as workspace, served(workspace.spool(), authority) as address:
        with (
            FaultProxy(address, cut_after_bytes=cut_after_bytes, cuts=4) as proxy,
            client(proxy.address, authority) as pusher,
        ):
            summary = pusher.record(iter(activities(400)))
            assert proxy.connections > 1
        assert summary.accepted + summary.known == 400
        list(workspace.read())
        assert len(kept(workspace)) == 400


def test_a_lost_acknowledgement_is_asked_for_again(home: Home, authority: CertificateAuthority) -> None:
    """The node has kept the records when the connection dies; sending them again changes nothing."""
    with home.opened() as workspace:
        failing = FailsOnce(workspace.spool())
        with served(workspace.spool(), authority) as address, client(address, authority) as pusher:
            pusher._stub = failing.over(pusher._stub)
            summary = pusher.record(activities(30))
        # How many requests the node had kept when the connection died is the race: one at least.
        assert summary.accepted + summary.known == 30
        assert summary.known >= 10
        list(workspace.read())
        assert len(kept(workspace)) == 30


@pytest.mark.parametrize("lost", [0, 1, 7])
def test_a_request_lost_on_the_way_is_sent_again(
    home: Home, authority: CertificateAuthority, lost: int
) -> None:
    """A stream may lose a request and end well; the answers behind it are not taken for its own."""
    with home.opened() as workspace:
        with served(workspace.spool(), authority) as address, client(address, authority) as pusher:
            send = pusher._stub.RecordActivities
            calls: list[int] = []

            def losing(requests: Iterable[node_pb2.RecordActivitiesRequest], timeout: float) -> object:
                calls.append(1)
                left = [one for place, one in enumerate(requests) if (len(calls), place) != (1, lost)]
                return send(iter(left), timeout=timeout)

            pusher._stub.RecordActivities = losing  # type: ignore[assignment]
            summary = pusher.record(activities(80))
        assert len(calls) == 2
        assert summary.accepted + summary.known == 80
        list(workspace.read())
        assert len(kept(workspace)) == 80


class FailsOnce:
    """Loses the first answer of the first call after the node has kept the records."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._is_over = False

    def over(self, stub: node_pb2_grpc.ActivityServiceStub) -> node_pb2_grpc.ActivityServiceStub:
        send = stub.RecordActivities

        def record(requests: object, timeout: float) -> Iterator[object]:
            answers = send(requests, timeout=timeout)  # type: ignore[arg-type]
            if not self._is_over:
                self._is_over = True
                next(iter(answers))
                answers.cancel()
                raise Lost
            return answers

        stub.RecordActivities = record  # type: ignore[assignment]
        return stub


class Lost(grpc.RpcError):
    """The status gRPC gives when a connection breaks."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return "Socket closed"

    def trailing_metadata(self) -> tuple[()]:
        return ()


def test_a_killed_node_has_what_it_acknowledged(home: Home) -> None:
    with home.opened() as workspace:
        taken = take(workspace, *(PushedRecord(one.key, one.values) for one in activities(5)))
        assert taken.accepted == 5
        # No close: another process opens what the first left.
        home.read()
        with home.opened() as other:
            assert len(kept(other)) == 5


def test_keys_make_repetition_harmless(home: Home) -> None:
    first, other = PushedRecord("a", values("t1")), PushedRecord("a", values("t1", km="2"))
    with home.opened() as workspace:
        assert take(workspace, first, first) == Taken(1, 1, ())
        assert take(workspace, first) == Taken(0, 1, ())
        assert take(workspace, other) == Taken(0, 0, (RefusedRecord("a", "idempotency_key", "key-reused"),))
        list(workspace.read())
        assert take(workspace, first) == Taken(0, 1, ())


def test_corrections_come_under_keys_of_their_own(home: Home) -> None:
    for key, km in (("a", "1"), ("b", "2"), ("c", "1"), ("d", "3"), ("e", "1")):
        with home.opened() as workspace:
            take(workspace, PushedRecord(key, values("t1", km=km)))
        home.read()
    with home.opened() as workspace:
        assert [row[-1] for row in kept(workspace)] == [1000]
        assert workspace.files.totals()["trips"].corrected == 4


@pytest.mark.parametrize(
    ("record", "column", "reason"),
    [
        (PushedRecord("", values("t1")), "idempotency_key", "missing-value"),
        (PushedRecord("k" * 129, values("t1")), "idempotency_key", "missing-value"),
        (PushedRecord("a", {**values("t1"), "mood": "good"}), "mood", "unknown-column"),
        (PushedRecord("a", {**values("t1"), "km": "1\0"}), "km", "wrong-type"),
        (PushedRecord("a", {**values("t1"), "km": "1" * 65_537}), "km", "wrong-type"),
    ],
    ids=["no key", "long key", "column", "nul", "long value"],
)
def test_what_can_be_no_row_is_refused_at_the_door(
    home: Home, record: PushedRecord, column: str, reason: str
) -> None:
    with home.opened() as workspace:
        taken = take(workspace, record, PushedRecord("good", values("t2")))
    assert taken.accepted == 1
    assert [(one.column, one.reason) for one in taken.refused] == [(column, reason)]


def test_refusals_come_with_their_remedy(home: Home, authority: CertificateAuthority) -> None:
    with (
        home.opened() as workspace,
        served(workspace.spool(), authority) as address,
        client(address, authority) as pusher,
    ):
        summary = pusher.record([Activity("a", {"mood": "good"})])
    assert [(one.key, one.column, one.reason) for one in summary.quarantined] == [
        ("a", "mood", "unknown-column")
    ]
    assert "declares" in summary.quarantined[0].remedy


def test_bad_rows_wait_sealed_for_a_mended_mapping(home: Home) -> None:
    with home.opened() as workspace:
        take(workspace, PushedRecord("a", values("t1", km="1.0001")), PushedRecord("b", values("t2", BERT)))
    assert home.outcome().quarantined == 1
    assert [report.outcome for report in home.read()] == [None]
    home.configure(
        SOURCE.replace("decimals = 3", "decimals = 4").replace(
            'unit = "km" }', 'unit = "km", rounding = "down" }'
        )
    )
    outcome = home.outcome()
    assert (outcome.taken, outcome.repeated, outcome.quarantined) == (1, 1, 0)
    with home.opened() as workspace:
        assert workspace.quarantine.total() == 0
        assert workspace.database.value("SELECT count(*) FROM push_batch") == 0


def test_any_text_arrives_as_it_was_sent(home: Home) -> None:
    trips = ['say "hi"', "北京,路", "two\nlines", " led ", "=1+1"]
    with home.opened() as workspace:
        take(workspace, *(PushedRecord(trip, values(trip)) for trip in trips))
    home.read()
    with home.opened() as workspace:
        assert sorted(str(row[0]) for row in kept(workspace)) == sorted(trip.strip() for trip in trips)


def test_pieces_are_bounded(home: Home) -> None:
    with home.opened() as workspace:
        for number in range(10):
            take(workspace, PushedRecord(f"k{number}", values(f"t{number}")))
        source = workspace.open_source(workspace.configuration.source[0], "mapping")
        pieces = list(replace(source, piece_bytes=300).pieces())  # type: ignore[type-var]
    assert len(pieces) > 2
    assert max(piece.file.size for piece in pieces) <= 300


def test_a_full_spool_says_so_and_a_read_one_takes_again(home: Home) -> None:
    with home.opened() as workspace:
        small = replace(workspace.spool(), waiting_bytes_max=10)
        small.take("trips", [PushedRecord("a", values("t1"))])
        with pytest.raises(Unavailable, match="fills the spool") as caught:
            small.take("trips", [PushedRecord("b", values("t2"))])
        assert caught.value.reason == REASON_BUSY
        list(workspace.read())
        assert small.take("trips", [PushedRecord("b", values("t2"))]).accepted == 1


def test_limits_and_names(home: Home) -> None:
    with home.opened() as workspace:
        with pytest.raises(Unavailable) as caught:
            workspace.spool().take("other", [])
        assert caught.value.reason == REASON_NOT_FOUND
        with pytest.raises(Malformed, match="10001 records"):
            take(workspace, *[PushedRecord("a", {})] * 10_001)


@pytest.mark.parametrize(
    "other", [("rival", Role.NODE), ("wheels", Role.HUB), ("wheels", Role.AUDITOR)], ids=str
)
def test_nobody_else_may_push(home: Home, authority: CertificateAuthority, other: tuple[str, Role]) -> None:
    with home.opened() as workspace, served(workspace.spool(), authority) as address:
        pusher = client(address, authority)
        stranger = ActivityClient(address, identity(authority, *other), "trips", policy=IMPATIENT)
        stranger._stub = pusher._stub if other == ("wheels", Role.NODE) else _stub(address, authority, other)
        with pytest.raises(Refused) as caught:
            stranger.record(activities(1))
        pusher.close()
        stranger.close()
    assert caught.value.reason == REASON_ROLE_NOT_ALLOWED


def _stub(
    address: str, authority: CertificateAuthority, other: tuple[str, Role]
) -> node_pb2_grpc.ActivityServiceStub:
    from runtime.channels import open_channel

    return node_pb2_grpc.ActivityServiceStub(open_channel(address, identity(authority, *other)))


def test_a_client_meets_only_its_own_node(home: Home, authority: CertificateAuthority) -> None:
    once = RetryPolicy(attempts_max=1)
    with home.opened() as workspace, served(workspace.spool(), authority) as address:
        with (
            ActivityClient(address, identity(authority, "rival"), "trips", policy=once) as stranger,
            pytest.raises(Problem),
        ):
            stranger.record(activities(1))
        assert workspace.database.value("SELECT count(*) FROM push_key") == 0


def test_no_identifier_lies_in_the_spool(home: Home) -> None:
    with home.opened() as workspace:
        take(workspace, PushedRecord(f"order of {ANNA}", values("t1")))
        assert workspace.database.value("SELECT count(*) FROM push_key") == 1
    written = [path for path in home.folder.rglob("*") if path.is_file() and path.name != "node.toml"]
    assert written and not [path for path in written if ANNA.encode() in path.read_bytes()]


def test_the_example_pushes_a_file(
    home: Home, authority: CertificateAuthority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from examples.push_client import push

    file = tmp_path / "trips.csv"
    file.write_text(f"trip,mobile,start,km\nt1,{ANNA},2021-01-05 08:00:00,1\n", encoding="utf-8")
    holder = tmp_path / "client"
    holder.mkdir(mode=0o700)
    identity(authority).save(holder)
    with home.opened() as workspace, served(workspace.spool(), authority) as address:
        arguments = [
            "--home",
            str(holder),
            "--node",
            address,
            "--source",
            "trips",
            "--key",
            "trip",
            str(file),
        ]
        for said in ("1 accepted, 0 known before", "0 accepted, 1 known before"):
            assert push.main(arguments, standalone_mode=False) is None
            assert said in capsys.readouterr().out
