"""Counterparts of a node for tests: custodians over real mutual TLS, a hub with a real log."""

from __future__ import annotations

import hashlib
import secrets
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Self

import grpc

from enterprise_node.local_keys import LocalKeys, derive_keys
from privacy import beacon, checkpoint, codec, envelope, trust
from privacy.envelope import Kind
from privacy.keys import SigningKey
from privacy.pseudonyms import evaluate_batch
from privacy.shares import Dealing, Share, deal
from privacy.trust import TrustRoot
from protos.problems import Refused, Unavailable
from protos.v1 import trust_pb2
from protos.v1.custodian_pb2 import (
    EvaluateBeaconRequest,
    EvaluateBeaconResponse,
    EvaluateRequest,
    EvaluateResponse,
    EvaluationOrder,
    EvaluationServiceGetStatusRequest,
    EvaluationServiceGetStatusResponse,
)
from protos.v1.custodian_pb2_grpc import (
    EvaluationServiceServicer,
    add_EvaluationServiceServicer_to_server,
)
from protos.v1.problem_pb2 import REASON_NOT_FOUND, REASON_QUOTA_EXCEEDED, REASON_RATE_EXCEEDED
from runtime.authority import CertificateAuthority
from runtime.channels import require_role
from runtime.identity import Identity, Role, SpiffeName
from runtime.servers import GrpcServer, ServerOptions
from tests.simulator import beacon_dealing

ORIGIN = "test.cgsp.example/log"
DOMAIN = "test.cgsp.example"
ENTERPRISE = "bikeshare"
LOCAL_KEYS: LocalKeys = derive_keys(b"k" * 32)


def signing_key(name: str) -> SigningKey:
    """Give a key that depends only on its name."""
    return SigningKey(hashlib.sha256(name.encode()).digest(), name=name)


class SimulatedCustodian(EvaluationServiceServicer):
    """Evaluates like a real custodian, counts what it did, and can be told to lie or to vanish."""

    def __init__(self, custodian_id: str, share: Share, identity: Identity) -> None:
        self.id = custodian_id
        self.share = share
        self.orders: list[EvaluationOrder] = []
        self.batches: set[bytes] = set()
        self.is_lying = False
        self.quota = 1_000_000
        # How often it still refuses as too fast.
        self.hasty = 0
        self._identity = identity
        self._server: GrpcServer | None = None
        self.address = "127.0.0.1:0"

    def start(self) -> None:
        options = ServerOptions(self.address, ("cgsp.v1.EvaluationService",), workers=2, grace_seconds=0.1)
        self._server = GrpcServer(lambda: self._identity, options)
        add_EvaluationServiceServicer_to_server(self, self._server.server)
        self._server.start()
        self.address = self._server.address

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def EvaluateBeacon(
        self, request: EvaluateBeaconRequest, context: grpc.ServicerContext
    ) -> EvaluateBeaconResponse:
        raise Unavailable(REASON_NOT_FOUND, "This custodian has no share of a beacon key.")

    def Evaluate(self, request: EvaluateRequest, context: grpc.ServicerContext) -> EvaluateResponse:
        peer = require_role(context, Role.NODE)
        opened = envelope.open_envelope(request.order)
        assert opened.kind is Kind.EVALUATION_ORDER
        envelope.verify(opened, [signing_key(peer.id).verify_key])
        order = opened.parse(EvaluationOrder)
        assert (order.enterprise_id, order.custodian_id, order.origin) == (peer.id, self.id, ORIGIN)
        assert order.batch_hash == hashlib.sha256(request.blinded_elements).digest()
        assert order.elements * 32 == len(request.blinded_elements)
        if self.hasty:
            self.hasty -= 1
            raise Refused(REASON_RATE_EXCEEDED, "Too fast.", remedy="Send the same batch again in 1 s.")
        if order.batch_hash not in self.batches and order.elements > self.quota:
            raise Refused(REASON_QUOTA_EXCEEDED, "The enterprise's quota here is used up.")
        self.quota -= order.elements
        self.orders.append(order)
        self.batches.add(order.batch_hash)
        share = Share(self.share.index, (5).to_bytes(32, "little")) if self.is_lying else self.share
        answer = evaluate_batch(share, list(order.quorum), request.blinded_elements, secrets.token_bytes)
        return EvaluateResponse(evaluated_elements=answer.evaluated, proof=answer.proof, quota_left=1)

    def GetStatus(
        self, request: EvaluationServiceGetStatusRequest, context: grpc.ServicerContext
    ) -> EvaluationServiceGetStatusResponse:
        return EvaluationServiceGetStatusResponse(custodian_id=self.id)


@dataclass
class Federation:
    """Everything a node meets: certificates, custodians, the trust root."""

    authority: CertificateAuthority
    dealing: Dealing
    custodians: list[SimulatedCustodian]
    root: TrustRoot = field(init=False)
    root_envelope: bytes = b""

    @classmethod
    def build(cls, *, threshold: int = 2, count: int = 3) -> Self:
        authority = CertificateAuthority.create(DOMAIN)
        dealing = deal(threshold=threshold, count=count, random=secrets.token_bytes)
        custodians = [
            SimulatedCustodian(
                f"custodian-{share.index}",
                share,
                authority.issue_identity(
                    SpiffeName(DOMAIN, Role.CUSTODIAN, f"custodian-{share.index}"),
                    server_names=("127.0.0.1",),
                ),
            )
            for share in dealing.shares
        ]
        return cls(authority, dealing, custodians)

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        for custodian in self.custodians:
            custodian.start()
            self._stack.callback(custodian.stop)
        self.root_envelope = self._sign_root()
        self.root = trust.verify_first(self.root_envelope)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def node_identity(self, enterprise_id: str = ENTERPRISE) -> Identity:
        name = SpiffeName(DOMAIN, Role.NODE, enterprise_id)
        return self.authority.issue_identity(name, server_names=("127.0.0.1",))

    def rotate(self) -> bytes:
        """Give the custodians shares of another key; give the trust root that says so, to be logged."""
        self.dealing = deal(
            threshold=self.dealing.threshold, count=len(self.custodians), random=secrets.token_bytes
        )
        for custodian, share in zip(self.custodians, self.dealing.shares, strict=True):
            custodian.share = share
        data = self._sign_root(version=2, previous=trust.fingerprint(self.root_envelope))
        self.root = trust.verify_update(self.root, data)
        return data

    def _sign_root(self, *, version: int = 1, previous: bytes = b"") -> bytes:
        root_key = signing_key("root")
        message = trust_pb2.TrustRoot(
            version=version,
            previous=previous,
            origin=ORIGIN,
            root_keys=[root_key.verify_key.to_wire()],
            root_threshold=1,
            log_vkey=str(checkpoint.log_vkey(ORIGIN, signing_key("log").verify_key)),
            hub_key=signing_key("hub").verify_key.to_wire(),
            hub_ca=self.authority.ca_der,
            policy_keys=[signing_key("policy").verify_key.to_wire()],
            policy_threshold=1,
            pseudonym_key=trust_pb2.PseudonymKey(
                key_id=self.dealing.key_id,
                threshold=self.dealing.threshold,
                commitments=self.dealing.commitments,
            ),
            beacon_key=trust_pb2.BeaconKey(
                key_id=beacon.key_id(beacon_dealing().commitments[0]),
                threshold=beacon_dealing().threshold,
                commitments=beacon_dealing().commitments,
            ),
            custodians=[
                trust_pb2.Custodian(
                    id=custodian.id,
                    name=custodian.id,
                    index=custodian.share.index,
                    address=custodian.address,
                    key=signing_key(custodian.id).verify_key.to_wire(),
                )
                for custodian in self.custodians
            ],
            enterprises=[
                trust_pb2.Enterprise(
                    id=ENTERPRISE,
                    name="Bikes",
                    name_zh="单车",
                    key=signing_key(ENTERPRISE).verify_key.to_wire(),
                    evaluation_quota=100_000,
                )
            ],
            issued_at=1_600_000_000,
        )
        return envelope.sign(codec.encode(message), Kind.TRUST_ROOT, [root_key])
