"""A real hub on loopback, driven by the simulated federation over mutual TLS."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import grpc
from sqlalchemy import func, select

from examples.federation.ports import held_address
from hub.app import Hub
from hub.configuration import Home, StoreSettings
from hub.log import VKEY_FILE
from hub.operator_client import OperatorClient
from hub.setup import Opened, Plan, init_home
from hub.store import entries
from hub.store.database import open_readers
from hub.store.location import PostgresServer
from hub.store.schema import body, entry
from privacy import envelope, keys
from privacy.acceptance import Admission
from privacy.checkpoint import log_vkey
from privacy.envelope import Kind
from privacy.receipts import open_receipt
from privacy.standing import HUB_ID
from protos.problems import Problem
from protos.v1 import hub_pb2, hub_pb2_grpc
from runtime.channels import open_channel
from runtime.configuration import open_home, write_atomic, write_private
from runtime.https import HttpsClient, client_context
from runtime.identity import Identity, Role, SpiffeName
from runtime.problems import problem_from_rpc_error
from tests.simulator import CUSTODIANS, ORIGIN, Federation, Logged, key

DOMAIN = "cgsp.example"
DOCUMENTS = (Kind.TRUST_ROOT, Kind.POLICY, Kind.PACK, Kind.PROGRAMME)


class Crash(BaseException):
    """The process dies here."""


@dataclass
class CrashAt:
    """Dies when a step is reached once more than `skip` times after the start."""

    name: str
    skip: int = 0
    is_armed: bool = False
    reached: list[str] = field(default_factory=list)

    def __call__(self, name: str) -> None:
        if not self.is_armed:
            return
        self.reached.append(name)
        if name == self.name and self.reached.count(name) > self.skip:
            raise Crash(name)


def make_home(folder: Path, server: PostgresServer | None = None) -> Opened:
    """Make a home whose hub and log keys are the simulator's, and whose database may be on a server."""
    root_keys = {name: key(name).verify_key for name in ("operator", "regulator", "auditor")}
    policy_keys = {name: root_keys[name] for name in ("operator", "regulator")}
    plan = Plan(ORIGIN, root_keys, 2, policy_keys, 1, held_address(), held_address())
    if server is not None:
        private = open_home(folder / "private", create=True)
        write_private(private / "store.dsn", server.dsn.encode())
        plan = replace(plan, store=StoreSettings(kind="postgresql", dsn_file="private/store.dsn"))
    home = init_home(folder, plan).home
    write_private(home.hub_key, keys.encode_private(key(HUB_ID)))
    write_private(home.log_key, keys.encode_private(key("log")))
    write_atomic(home.folder / VKEY_FILE, f"{log_vkey(ORIGIN, key('log').verify_key)}\n".encode())
    return Opened.load(home)


@dataclass
class World(Federation):
    """A federation whose every message goes to a running hub first."""

    opened: Opened = None  # type: ignore[assignment]
    hub: Hub = None  # type: ignore[assignment]
    receipts: list[bytes] = field(default_factory=list)

    def append(self, data: bytes, bodies: Sequence[bytes] = ()) -> Admission:
        """Send to the hub; what it takes is taken here too, after what the hub itself logged before it."""
        receipt = self.send(data, bodies)
        self.receipts.append(receipt)
        found = open_receipt(receipt, key(HUB_ID).verify_key, origin=self.origin, entry=data)
        if found.index > len(self.entries):
            self.follow(found.index)
        return super().append(data, bodies)

    def send(
        self,
        data: bytes,
        bodies: Sequence[bytes] = (),
        *,
        as_peer: tuple[Role, str] | None = None,
        identity: Identity | None = None,
    ) -> bytes:
        """Send an envelope as its issuer (or another) and give the receipt."""
        opened = envelope.open_envelope(data)
        role, party = as_peer or self.sender(opened)
        found = identity or self.identity(role, party)
        with self.channel(found) as channel:
            return send_over(channel, data, bodies, is_document=role is Role.OPERATOR)

    def sender(self, opened: envelope.Opened) -> tuple[Role, str]:
        """Say who sends a message."""
        if opened.kind in DOCUMENTS:
            return Role.OPERATOR, "operator"
        keyids = {one.keyid for one in opened.signatures}
        for name in CUSTODIANS:
            if key(name).keyid in keyids:
                return Role.CUSTODIAN, name
        for one in self.enterprises:
            if key(one.id).keyid in keyids:
                return Role.NODE, one.id
        return Role.NODE, self.enterprises[0].id

    def identity(self, role: Role, party: str) -> Identity:
        """Issue a certificate."""
        return self.opened.authority.issue_identity(SpiffeName(DOMAIN, role, party))

    @contextmanager
    def channel(self, identity: Identity) -> Iterator[grpc.Channel]:
        """Open a channel to the hub."""
        channel = open_channel(self.hub.grpc_address, identity)
        try:
            yield channel
        finally:
            channel.close()

    def operator(self) -> OperatorClient:
        """Open the operator's client."""
        return OperatorClient(self.opened)

    def https(self, identity: Identity | None = None) -> HttpsClient:
        """Open an HTTPS client."""
        context = client_context(self.opened.authority.ca_pem, identity)
        return HttpsClient(self.hub.https_address, context)

    def get(self, path: str, identity: Identity | None = None) -> bytes:
        """Fetch a path."""
        client = self.https(identity)
        try:
            return client.get(path, 16 << 20)
        finally:
            client.close()

    def follow(self, end: int | None = None) -> None:
        """Take what the hub itself has logged, up to an entry or all of it."""
        for logged in stored(self.opened.home)[len(self.entries) : end]:
            admission = self.state.check(logged.data, logged.bodies)
            self.state.apply(admission)
            self.entries.append(logged)
            if admission.kind is Kind.LINK_BATCH:
                rows = admission.rows
                for at in range(0, len(rows.pseudonyms), 16):  # type: ignore[union-attr, arg-type]
                    half = slice(at, at + 16)
                    held = (rows.accounts[half], admission.message.effective_epoch)  # type: ignore[union-attr]
                    self.linked[rows.pseudonyms[half]] = held  # type: ignore[union-attr, index]


def send_over(
    channel: grpc.Channel, data: bytes, bodies: Sequence[bytes], *, is_document: bool = False
) -> bytes:
    """Send one submission over a channel; raises the problem the hub answers with."""
    try:
        if is_document:
            publish = [hub_pb2.PublishRequest(envelope=data)]
            publish += [hub_pb2.PublishRequest(body=one) for one in bodies]
            return hub_pb2_grpc.OperatorServiceStub(channel).Publish(iter(publish)).receipt
        submit = [hub_pb2.SubmitRequest(envelope=data)]
        submit += [hub_pb2.SubmitRequest(body=one) for one in bodies]
        return hub_pb2_grpc.IntakeServiceStub(channel).Submit(iter(submit)).receipt
    except grpc.RpcError as error:
        raise problem_from_rpc_error(error) from None


@contextmanager
def running(opened: Opened, step: Callable[[str], None] = lambda name: None) -> Iterator[Hub]:
    """Run a hub over a home."""
    with Hub(opened, step=step, clock=lambda: 1_610_000_000) as hub:
        if isinstance(step, CrashAt):
            step.is_armed = True
        yield hub


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Make a home and run a hub with an empty log over it."""
    opened = make_home(folder)
    with running(opened) as hub:
        yield World(opened=opened, hub=hub)


def begin(found: World) -> World:
    """Log trust root, packs and policy."""
    found.publish_trust()
    for pack in found.packs:
        found.publish_pack(pack)
    found.publish_policy()
    return found


def enrol(found: World) -> World:
    """Count and enrol everybody; links are the hub's own affair."""
    for one in found.enterprises:
        for custodian_id in CUSTODIANS[:2]:
            found.count(custodian_id, one.id, len(one.persons))
        found.enrol(one.id, one.persons)
    return found


def stored(home: Home) -> list[Logged]:
    """Read what the database holds."""
    readers = open_readers(home.database)
    with readers.begin() as connection:
        found = list(entries.read_entries(connection))
        logged = [Logged(one.envelope, entries.read_bodies(connection, one.index)) for one in found]
    readers.dispose()
    return logged


def traces(home: Home) -> tuple[int, int, bytes]:
    """Count entries and bodies, and give the root: equal before and after, nothing was stored."""
    readers = open_readers(home.database)
    with readers.begin() as connection:
        count = connection.scalar(select(func.count()).select_from(entry)) or 0
        bodies = connection.scalar(select(func.count()).select_from(body)) or 0
        head = entries.tree_head(connection)
    readers.dispose()
    return count, bodies, head.root if head else b""


def refused(call: Callable[[], object]) -> Problem:
    """Give the problem a call is refused with."""
    try:
        call()
    except Problem as problem:
        return problem
    raise AssertionError("the call was not refused")
