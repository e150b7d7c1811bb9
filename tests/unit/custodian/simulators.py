"""Counterparts of a custodian for tests: a hub with a real log in a folder, and enterprises that order."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import grpc

from custodian.ceremony import Ceremony, Recipient, hold_ceremony
from custodian.configuration import CustodianSettings, Home
from custodian.delivery import HubChain
from custodian.setup import Opened
from custodian.share import open_from_ceremony
from privacy import checkpoint, codec, envelope, merkle, pseudonyms, shares, tiles, trust
from privacy.checkpoint import Checkpoint
from privacy.envelope import Kind
from privacy.keys import SigningKey
from privacy.merkle import Tree
from privacy.pseudonyms import BlindedBatch, CustodianAnswer
from privacy.receipts import Receipt, sign_receipt
from privacy.sealing import SealingKey
from privacy.trust import TrustRoot
from protos.problems import Conflict, Refused, Unavailable
from protos.v1 import custodian_pb2, custodian_pb2_grpc, hub_pb2, hub_pb2_grpc, trust_pb2
from protos.v1.custodian_pb2 import CountReport, EvaluationOrder
from protos.v1.problem_pb2 import REASON_PEER_UNREACHABLE, REASON_SEQUENCE_REUSED, REASON_SEQUENCE_SKIPPED
from runtime.authority import CertificateAuthority
from runtime.channels import open_channel, require_role
from runtime.configuration import format_toml, write_private
from runtime.identity import Identity, Role, SpiffeName
from runtime.log_reader import FolderLog
from runtime.retries import unary
from runtime.servers import GrpcServer, ServerOptions
from tests.simulated_log import tile_bytes

DOMAIN = "test.cgsp.example"
ORIGIN = f"{DOMAIN}/log"
ENTERPRISE = "bikeshare"
CUSTODIANS = ("regulator", "auditor", "operator")


def signing_key(name: str) -> SigningKey:
    """Give a key that depends only on its name."""
    return SigningKey(hashlib.sha256(name.encode()).digest(), name=name)


def sealing_key(name: str) -> SealingKey:
    """Give a sealing key that depends only on its name."""
    return SealingKey(hashlib.sha256(b"seal" + name.encode()).digest())


def enterprise(
    enterprise_id: str = ENTERPRISE, *, quota: int = 900, suspended: bool = False
) -> trust_pb2.Enterprise:
    """Describe an enterprise for the trust root."""
    return trust_pb2.Enterprise(
        id=enterprise_id,
        name=enterprise_id,
        key=signing_key(enterprise_id).verify_key.to_wire(),
        evaluation_quota=quota,
        suspended=suspended,
    )


@dataclass
class SimulatedHub:
    """A log in a folder, and an intake that takes count reports as the hub does."""

    folder: Path
    entries: list[bytes] = field(default_factory=list)
    chains: dict[str, list[bytes]] = field(default_factory=dict)
    is_down: bool = False
    loses_answers: int = 0

    def publish(self, entry: bytes) -> int:
        """Append an entry and sign a new checkpoint."""
        self.entries.append(entry)
        self.write_log()
        return len(self.entries) - 1

    def write_log(self) -> None:
        """Write tiles, bundles and checkpoint."""
        tree = Tree(map(merkle.leaf_hash, self.entries))
        for tile in [*tiles.tiles_of(tree.size), *tiles.bundles_of(tree.size)]:
            path = self.folder / tile.path
            path.parent.mkdir(parents=True, exist_ok=True)
            start = tile.index * tiles.TILE_WIDTH
            bundle = tiles.encode_bundle(self.entries[start : start + tile.width])
            path.write_bytes(bundle if tile.level is None else tile_bytes(tree, tile))
        note = checkpoint.sign_checkpoint(Checkpoint(ORIGIN, tree.size, tree.root()), signing_key("log"))
        (self.folder / "checkpoint").write_bytes(note)

    @property
    def reader(self) -> FolderLog:
        """Read the log."""
        return FolderLog(self.folder)

    def reports(self, custodian_id: str) -> list[CountReport]:
        """Give the count reports taken from a custodian."""
        return [envelope.open_envelope(data).parse(CountReport) for data in self.chains.get(custodian_id, [])]

    def submit(self, custodian_id: str, data: bytes) -> bytes:
        """Take a count report and give the receipt; a repeated one gets its receipt again."""
        if self.is_down:
            raise Unavailable(REASON_PEER_UNREACHABLE, "The hub is down.")
        chain = self.chains.setdefault(custodian_id, [])
        if data not in chain:
            opened = envelope.open_envelope(data)
            envelope.verify(opened, [signing_key(custodian_id).verify_key])
            header = opened.parse(CountReport).header
            if header.sequence > len(chain) + 1:
                raise Refused(REASON_SEQUENCE_SKIPPED, "A report is missing.")
            if header.sequence <= len(chain):
                raise Conflict(REASON_SEQUENCE_REUSED, "Another report stands there.")
            assert header.previous == (envelope.envelope_hash(chain[-1]) if chain else bytes(32))
            chain.append(data)
            self.publish(data)
        if self.loses_answers:
            self.loses_answers -= 1
            raise Unavailable(REASON_PEER_UNREACHABLE, "The answer was lost.")
        receipt = Receipt(ORIGIN, self.entries.index(data), merkle.leaf_hash(data), 1_600_000_000)
        return sign_receipt(receipt, signing_key("hub"))

    def chain(self, custodian_id: str) -> HubChain:
        """Say where a custodian's chain stands."""
        chain = self.chains.get(custodian_id, [])
        return HubChain(len(chain) + 1, envelope.envelope_hash(chain[-1]) if chain else bytes(32))


@dataclass
class DirectIntake:
    """The hub's intake without a network, for one custodian."""

    hub: SimulatedHub
    custodian_id: str

    @contextmanager
    def connect(self) -> Iterator[Self]:
        """Connect."""
        yield self

    def submit(self, data: bytes) -> bytes:
        """Send one envelope."""
        return self.hub.submit(self.custodian_id, data)

    def chain(self) -> HubChain:
        """Ask for the chain."""
        return self.hub.chain(self.custodian_id)


class IntakeServicer(hub_pb2_grpc.IntakeServiceServicer):
    """The hub's intake over mutual TLS."""

    def __init__(self, hub: SimulatedHub) -> None:
        self._hub = hub

    def Submit(
        self, request_iterator: Iterable[hub_pb2.SubmitRequest], context: grpc.ServicerContext
    ) -> hub_pb2.SubmitResponse:
        peer = require_role(context, Role.CUSTODIAN)
        (part,) = list(request_iterator)
        return hub_pb2.SubmitResponse(receipt=self._hub.submit(peer.id, part.envelope))

    def GetChain(
        self, request: hub_pb2.GetChainRequest, context: grpc.ServicerContext
    ) -> hub_pb2.GetChainResponse:
        chain = self._hub.chain(require_role(context, Role.CUSTODIAN).id)
        return hub_pb2.GetChainResponse(next_sequence=chain.next_sequence, head=chain.head)


@dataclass
class Federation:
    """A hub, three custodians' homes and a published trust root; nothing runs yet."""

    folder: Path
    authority: CertificateAuthority
    hub: SimulatedHub
    ceremony: Ceremony
    roots: list[bytes] = field(default_factory=list)

    @classmethod
    def build(cls, folder: Path, authority: CertificateAuthority) -> Self:
        """Hold the ceremony and publish the first trust root."""
        log = folder / "log"
        log.mkdir()
        recipients = [Recipient.of(name, signing_key(name), sealing_key(name)) for name in CUSTODIANS]
        ceremony = hold_ceremony(2, recipients, os.urandom)
        federation = cls(folder, authority, SimulatedHub(log), ceremony)
        federation.publish_root(enterprise())
        return federation

    def publish_root(self, *enterprises: trust_pb2.Enterprise, with_key: bool = True) -> TrustRoot:
        """Sign and log the next version."""
        message = self._root_message(enterprises)
        if not with_key:
            message.ClearField("pseudonym_key")
        message.version = len(self.roots) + 1
        if self.roots:
            message.previous = trust.fingerprint(self.roots[-1])
        data = envelope.sign(codec.encode(message), Kind.TRUST_ROOT, [signing_key("root")])
        root = trust.from_wire(message, trust.fingerprint(data))
        self.roots.append(data)
        self.hub.publish(data)
        return root

    def _root_message(self, enterprises: Sequence[trust_pb2.Enterprise]) -> trust_pb2.TrustRoot:
        key = self.ceremony.key
        return trust_pb2.TrustRoot(
            origin=ORIGIN,
            root_keys=[signing_key("root").verify_key.to_wire()],
            root_threshold=1,
            log_vkey=str(checkpoint.log_vkey(ORIGIN, signing_key("log").verify_key)),
            hub_key=signing_key("hub").verify_key.to_wire(),
            hub_ca=self.authority.ca_der,
            policy_keys=[signing_key("policy").verify_key.to_wire()],
            policy_threshold=1,
            pseudonym_key=trust_pb2.PseudonymKey(
                key_id=key.key_id, threshold=key.threshold, commitments=key.commitments
            ),
            custodians=[
                trust_pb2.Custodian(
                    id=name,
                    name=name,
                    index=index,
                    address="127.0.0.1:1",
                    key=signing_key(name).verify_key.to_wire(),
                )
                for index, name in enumerate(CUSTODIANS, start=1)
            ],
            enterprises=enterprises,
            issued_at=1_600_000_000,
        )

    @property
    def root(self) -> TrustRoot:
        """Give the trust root in force."""
        return trust.describe(self.roots[-1])

    def identity(self, role: Role, party: str) -> Identity:
        """Issue a certificate."""
        servers = ("127.0.0.1",) if role in (Role.CUSTODIAN, Role.HUB) else ()
        return self.authority.issue_identity(SpiffeName(DOMAIN, role, party), server_names=servers)

    def home(self, name: str, *, hub_grpc: str = "127.0.0.1:1", **settings: object) -> Opened:
        """Make a custodian's home as init and import-share leave it."""
        folder = self.folder / name
        if not folder.exists():
            folder.mkdir(mode=0o700)
            home = Home(folder)
            home.write_keys(signing_key(name), sealing_key(name))
            self.identity(Role.CUSTODIAN, name).save(folder)
            write_private(home.trust_root, self.roots[0])
        opened = Opened(
            Home(folder),
            CustodianSettings.model_validate(
                {
                    "id": name,
                    "origin": ORIGIN,
                    "listen": "127.0.0.1:0",
                    "hub_grpc": hub_grpc,
                    "hub_https": "127.0.0.1:1",
                    "report_wait_seconds": 1,
                    "refresh_seconds": 1,
                }
                | settings
            ),
        )
        values = opened.settings.model_dump(exclude_defaults=True)
        write_private(opened.home.configuration, format_toml(values).encode())
        if not opened.home.share().exists():
            sealed = self.ceremony.sealed_shares[name]
            share = open_from_ceremony(sealed, sealing_key(name), custodian_id=name)
            opened.resting_share.write(share, secrets.token_bytes)
        return opened

    @contextmanager
    def serving_hub(self) -> Iterator[str]:
        """Run the hub's intake over mutual TLS; give its address."""
        identity = self.identity(Role.HUB, "hub")
        options = ServerOptions("127.0.0.1:0", ("cgsp.v1.IntakeService",), workers=4, grace_seconds=0.1)
        server = GrpcServer(lambda: identity, options)
        hub_pb2_grpc.add_IntakeServiceServicer_to_server(IntakeServicer(self.hub), server.server)
        with server:
            yield server.address

    def evaluate(
        self,
        address: str,
        name: str,
        batch: BlindedBatch,
        quorum: Sequence[int],
        *,
        caller: str = ENTERPRISE,
        order: bytes | None = None,
    ) -> CustodianAnswer:
        """Send an order to a serving custodian as an enterprise does."""
        identity = self.identity(Role.NODE, caller)
        custodian = SpiffeName(DOMAIN, Role.CUSTODIAN, name)
        with open_channel(address, identity, server_name=custodian.dns_name) as channel:
            stub = custodian_pb2_grpc.EvaluationServiceStub(channel)
            request = custodian_pb2.EvaluateRequest(
                order=order if order is not None else self.order(name, batch.blinded, quorum, caller=caller),
                blinded_elements=batch.blinded,
            )
            answer = unary(lambda: stub.Evaluate(request))
        return CustodianAnswer(CUSTODIANS.index(name) + 1, answer.evaluated_elements, answer.proof)

    def order(
        self,
        name: str,
        blinded: bytes,
        quorum: Sequence[int] = (1, 2),
        *,
        caller: str = ENTERPRISE,
        key: SigningKey | None = None,
        kind: Kind = Kind.EVALUATION_ORDER,
        **changes: object,
    ) -> bytes:
        """Sign an order for a batch, with some fields changed."""
        fields: dict[str, object] = {
            "origin": ORIGIN,
            "enterprise_id": caller,
            "custodian_id": name,
            "key_id": self.ceremony.key.key_id,
            "quorum": list(quorum),
            "elements": len(blinded) // 32,
            "batch_hash": pseudonyms.batch_hash(blinded),
            "issued_at": 1_600_000_000,
            "commitments_hash": shares.commitments_hash(self.ceremony.key.commitments),
        }
        message = EvaluationOrder(**(fields | changes))  # type: ignore[arg-type]
        return envelope.sign(codec.encode(message), kind, [key or signing_key(caller)])


def blind(*names: str) -> BlindedBatch:
    """Blind some identifiers."""
    return pseudonyms.blind_batch([b"demo\x1f" + name.encode() for name in names], os.urandom)
