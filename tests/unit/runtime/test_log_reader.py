"""Logs are read from a folder or over real HTTPS and gRPC; every read is bounded."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from privacy import keys, tiles
from privacy.checkpoint import NOTE_BYTES_MAX
from protos.problems import Malformed, Refused, Unavailable
from protos.v1.hub_pb2 import ReadBodiesRequest, ReadBodiesResponse
from protos.v1.hub_pb2_grpc import BodyServiceServicer, add_BodyServiceServicer_to_server
from protos.v1.problem_pb2 import REASON_ROLE_NOT_ALLOWED
from runtime.channels import require_role
from runtime.identity import Identity, Role
from runtime.log_reader import FolderLog, HttpLog, LogReader, first_entries
from runtime.servers import GrpcServer, ServerOptions
from tests.simulated_log import SimulatedLog
from tests.unit.runtime.https_server import HttpsServer

KEY = keys.generate(secrets.token_bytes)
Bodies = Sequence[tuple[int, int, bytes]]


def log_of(size: int) -> SimulatedLog:
    log = SimulatedLog("cgsp.example/log", KEY)
    log.append(*(b"entry %d" % number for number in range(size)))
    log.bodies_by_index = {1: [b"chunk", b"opening"], 1200: [b"a", b"b", b"c"]}
    return log


class Folder:
    """Serves a bundle folder over HTTPS as a hub does, the second body of an entry being private."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def answer(self, path: str, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        _, version, kind, *rest = (*path.split("/"), "", "")
        if (version, kind) == ("v1", "bodies"):
            index, position = int(rest[0]), int(rest[1])
            file = self.folder / f"bodies/{index // 1000}/{index}-{position}"
            if position % 2:
                return 403, {}, b'{"reason": 301, "message": "No.", "remedy": ""}'
        else:
            file = self.folder / path[1:]
        return (200, {}, file.read_bytes()) if file.is_file() else (404, {}, b"")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    log_of(600).write(tmp_path)
    return tmp_path


def check_reads(reader: LogReader, log: SimulatedLog) -> None:
    assert reader.checkpoint() == log.checkpoint()
    for tile in tiles.tiles_of(600):
        level = tile.level or 0
        assert reader.tile(level, tile.index, tile.width) == log.tile(level, tile.index, tile.width)
    for name in tiles.bundles_of(600):
        assert reader.entries(name.index, name.width) == log.entries(name.index, name.width)
    # Asked for by a checkpoint of before, when the tile was not yet full.
    assert reader.tile(0, 0, 5) == log.tile(0, 0, 5)
    assert reader.entries(1, 200) == log.entries(1, 200)
    gone: list[Callable[[], bytes]] = [
        lambda: reader.tile(3, 0, 1),
        lambda: reader.entries(9),
        lambda: reader.entries(9, 3),
    ]
    for missing in gone:
        with pytest.raises(Unavailable):
            missing()


def test_folder_is_a_log(bundle: Path) -> None:
    reader = FolderLog(bundle)
    check_reads(reader, log_of(600))
    assert reader.vkey() == str(log_of(0).vkey)
    assert reader.bodies(1) == [b"chunk", b"opening"]
    assert reader.bodies(2) == []
    assert reader.bodies(1200) == [b"a", b"b", b"c"]
    assert (reader.body(1, 1), reader.body(1, 2)) == (b"opening", None)


def test_folder_without_bodies_says_it_cannot_tell(bundle: Path) -> None:
    (bundle / "bodies/1/1200-1").unlink()
    assert FolderLog(bundle).bodies(1200) is None
    (bundle / "bodies").rename(bundle / "elsewhere")
    assert FolderLog(bundle).bodies(1) is None
    with pytest.raises(Unavailable, match="no folder"):
        FolderLog(bundle / "missing")


def test_oversized_files_are_refused(bundle: Path) -> None:
    (bundle / "checkpoint").write_bytes(b"x" * (NOTE_BYTES_MAX + 1))
    (bundle / "tile/0/000").write_bytes(b"x" * 8193)
    reader = FolderLog(bundle)
    for read in (reader.checkpoint, lambda: reader.tile(0, 0)):
        with pytest.raises(Malformed, match="larger than"):
            read()


def test_hub_is_a_log_over_https(bundle: Path, hub: Identity) -> None:
    with HttpsServer(hub, Folder(bundle).answer) as server, HttpLog(server.address, hub.ca_pem) as reader:
        check_reads(reader, log_of(600))
        assert reader.body(1, 0) == b"chunk"
        assert reader.body(1, 1) is None
        assert reader.body(1, 2) is None
        assert reader.bodies(1) is None
        (bundle / "checkpoint").write_bytes(b"x" * (NOTE_BYTES_MAX + 1))
        with pytest.raises(Malformed, match="larger than"):
            reader.checkpoint()


class BodyService(BodyServiceServicer):
    """Streams bodies given as (index, position, bytes), to auditors only."""

    def __init__(self, bodies: Bodies) -> None:
        self.bodies = bodies
        self.calls = 0

    def ReadBodies(self, request: ReadBodiesRequest, context: Any) -> Iterator[ReadBodiesResponse]:
        require_role(context, Role.AUDITOR, Role.NODE)
        self.calls += 1
        if request.end_index > 5000:
            raise Refused(REASON_ROLE_NOT_ALLOWED, "Not that far.")
        for index, position, body in self.bodies:
            if request.first_index <= index < request.end_index:
                yield ReadBodiesResponse(index=index, position=position, body=body)


def served(hub: Identity, service: BodyService) -> GrpcServer:
    server = GrpcServer(lambda: hub, ServerOptions("127.0.0.1:0", ["cgsp.v1.BodyService"]))
    add_BodyServiceServicer_to_server(service, server.server)
    return server


def private_log(hub: Identity, node: Identity, grpc_address: str) -> HttpLog:
    return HttpLog("127.0.0.1:1", hub.ca_pem, identity=node, grpc_address=grpc_address)


def test_private_bodies_come_through_the_body_service(hub: Identity, node: Identity) -> None:
    big = b"x" * (1 << 20)
    service = BodyService([(3, 0, b"a"), (3, 1, b""), (7, 0, big), (7, 1, big), (8, 0, b"z")])
    with served(hub, service) as server, private_log(hub, node, server.address) as reader:
        assert reader.bodies(3) == [b"a", b""]
        assert reader.bodies(4) == []
        assert dict(reader.bodies_range(0, 100)) == {3: [b"a", b""], 7: [big, big], 8: [b"z"]}
        assert service.calls == 3
        with pytest.raises(Refused, match="Not that far"):
            list(reader.bodies_range(0, 9999))


@pytest.mark.parametrize(
    "bodies",
    [
        [(3, 1, b"a")],
        [(3, 0, b"a"), (3, 2, b"b")],
        [(3, 0, b"a"), (3, 0, b"b")],
        [(7, 0, b"a"), (3, 0, b"b")],
        [(3, 0, b"a"), (7, 0, b"a"), (3, 0, b"b")],
    ],
)
def test_stream_out_of_order_is_malformed(hub: Identity, node: Identity, bodies: Bodies) -> None:
    with (
        served(hub, BodyService(bodies)) as server,
        private_log(hub, node, server.address) as reader,
        pytest.raises(Malformed, match="stream of bodies is broken"),
    ):
        list(reader.bodies_range(0, 100))


def test_bodies_that_were_not_asked_for_are_malformed(hub: Identity, node: Identity) -> None:
    class Stray(BodyService):
        def ReadBodies(self, request: ReadBodiesRequest, context: Any) -> Iterator[ReadBodiesResponse]:
            yield ReadBodiesResponse(index=99, position=0, body=b"a")

    with (
        served(hub, Stray([])) as server,
        private_log(hub, node, server.address) as reader,
        pytest.raises(Malformed, match="index out of order"),
    ):
        reader.bodies(3)


def test_without_an_identity_private_bodies_are_not_tried(hub: Identity, node: Identity) -> None:
    reader = HttpLog("127.0.0.1:1", hub.ca_pem)
    assert reader.bodies(1) is None
    with pytest.raises(Unavailable, match="with an identity"):
        list(reader.bodies_range(0, 1))


def test_unreachable_body_service_is_unavailable(hub: Identity, node: Identity) -> None:
    assert issubclass(grpc.RpcError, Exception)
    with private_log(hub, node, "127.0.0.1:1") as reader, pytest.raises(Unavailable):
        reader.bodies(1)


def test_bundle_is_cut_after_its_first_entries() -> None:
    bundle = tiles.encode_bundle([b"a", b"", b"bc"])
    assert first_entries(bundle, 2) == tiles.encode_bundle([b"a", b""])
    assert first_entries(bundle, 3) == bundle
    assert first_entries(b"\xff", 3) == b"\xff"
