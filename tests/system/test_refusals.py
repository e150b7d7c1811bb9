"""What a running hub refuses: each time with a reason number and a remedy; nothing is stored or lost."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest

from enterprise_node.membership import Membership
from examples.federation.founding import hub_addresses
from examples.federation.layout import ENTERPRISES, ORIGIN
from hub.configuration import Home
from hub.operator_client import OperatorClient
from hub.setup import Opened
from privacy import codec, envelope, keys, releases
from privacy.acceptance import LogState
from privacy.claims import ratio
from privacy.envelope import Kind
from privacy.keys import SigningKey
from privacy.policy import Policy
from protos.epochs import Epoch
from protos.problems import Conflict, Malformed, Problem, Refused, Unavailable, Unverified
from protos.v1 import hub_pb2, hub_pb2_grpc, policy_pb2, problem_pb2, release_pb2, roster_pb2
from runtime.authority import CertificateAuthority
from runtime.channels import open_channel
from runtime.identity import Identity
from runtime.log_reader import FolderLog
from runtime.retries import unary
from tests.system.small_federation import SmallFederation
from tests.tiled_log import read_entries

pytestmark = pytest.mark.system

NEXT_EPOCH = Epoch(202102)
LAST_EPOCH = Epoch(202101)


@dataclass(frozen=True)
class Insider:
    """An enterprise's own key and certificate, used by hand."""

    member: Membership
    address: str
    log: LogState

    @property
    def policy(self) -> Policy:
        """Give the policy in force."""
        return self.log.policy_for(NEXT_EPOCH)

    def call(self, stub_call: Any, identity: Identity | None = None) -> Any:
        """Make one call of the intake service."""
        channel = open_channel(self.address, identity or self.member.identity, timeout_seconds=10)
        with channel:
            return unary(lambda: stub_call(hub_pb2_grpc.IntakeServiceStub(channel)))

    def chain(self) -> hub_pb2.GetChainResponse:
        """Ask where the enterprise's chain stands."""
        answer = self.call(lambda stub: stub.GetChain(hub_pb2.GetChainRequest()))
        assert isinstance(answer, hub_pb2.GetChainResponse)
        return answer

    def submit(self, data: bytes, bodies: Sequence[bytes] = (), identity: Identity | None = None) -> bytes:
        """Send an envelope with bodies; give the receipt."""

        def parts() -> Iterator[hub_pb2.SubmitRequest]:
            yield hub_pb2.SubmitRequest(envelope=data)
            for body in bodies:
                yield hub_pb2.SubmitRequest(body=body)

        return bytes(self.call(lambda stub: stub.Submit(parts()), identity).receipt)

    def header(self, *, sequence: int | None = None, previous: bytes | None = None) -> Any:
        """Give the next header of the chain, or one that differs."""
        chain = self.chain()
        return envelope.header(
            ORIGIN,
            self.member.enterprise_id,
            sequence=chain.next_sequence if sequence is None else sequence,
            previous=chain.head if previous is None else previous,
            issued_at=int(time.time()),
        )

    def reservation(self, header: Any, epoch: Epoch = NEXT_EPOCH) -> release_pb2.Reservation:
        """Give an honest reservation."""
        return releases.build_reservation(header, epoch=epoch, policy=self.policy, nonce=bytes(range(32)))

    def signed(self, message: Any, kind: Kind, key: SigningKey | None = None) -> bytes:
        """Sign a message with the enterprise's key, or another."""
        return envelope.sign(codec.encode(message), kind, [key or self.member.signing_key])


@pytest.fixture
def insider(federation: SmallFederation) -> Insider:
    bundle = FolderLog(federation.layout.bundle)
    log = replayed(bundle)
    member = Membership.load(federation.layout.node(ENTERPRISES[1]))
    return Insider(member, hub_addresses(federation.layout)[0], log)


@pytest.fixture(autouse=True)
def nothing_is_stored(federation: SmallFederation, insider: Insider) -> Iterator[None]:
    before = insider.chain()
    yield
    assert insider.chain() == before


def assert_told(problem: pytest.ExceptionInfo[Problem], *reasons: int) -> None:
    assert problem.value.reason in reasons, str(problem.value)
    assert problem.value.message
    assert problem.value.remedy


def replayed(reader: FolderLog) -> LogState:
    """Take the exported log in, as any verifier would."""
    state = LogState()
    for entry in read_entries(reader, reader.vkey()):
        state.apply(state.check(entry.data, reader.bodies(entry.index), entry.index))
    return state


def test_repeated_submission_gets_the_first_receipt(federation: SmallFederation, insider: Insider) -> None:
    reader = FolderLog(federation.layout.bundle)
    own = [
        entry
        for entry in read_entries(reader, reader.vkey())
        if envelope.open_envelope(entry.data).kind is Kind.RESERVATION
        and envelope.open_envelope(entry.data).parse(release_pb2.Reservation).header.issuer
        == insider.member.enterprise_id
    ]
    first = insider.submit(own[0].data)
    assert first == insider.submit(own[0].data)


def test_wrong_signature_is_refused(insider: Insider) -> None:
    data = bytearray(insider.signed(insider.reservation(insider.header()), Kind.RESERVATION))
    at = bytes(data).index(insider.member.signing_key.keyid.encode()) - 10
    data[at] ^= 1
    with pytest.raises(Unverified) as problem:
        insider.submit(bytes(data))
    assert_told(problem, problem_pb2.REASON_SIGNATURE_INVALID)


def test_foreign_key_is_refused(insider: Insider) -> None:
    stranger = keys.generate(lambda size: bytes([7]) * size, "stranger")
    with pytest.raises(Unverified) as problem:
        insider.submit(insider.signed(insider.reservation(insider.header()), Kind.RESERVATION, stranger))
    assert_told(problem, problem_pb2.REASON_KEY_UNKNOWN)


def test_skipped_sequence_is_refused(insider: Insider) -> None:
    header = insider.header(sequence=insider.chain().next_sequence + 1)
    with pytest.raises(Refused) as problem:
        insider.submit(insider.signed(insider.reservation(header), Kind.RESERVATION))
    assert_told(problem, problem_pb2.REASON_SEQUENCE_SKIPPED)


def test_used_sequence_is_refused(insider: Insider) -> None:
    header = insider.header(sequence=1, previous=envelope.NO_PREVIOUS)
    with pytest.raises(Conflict) as problem:
        insider.submit(insider.signed(insider.reservation(header), Kind.RESERVATION))
    assert_told(problem, problem_pb2.REASON_SEQUENCE_REUSED)


def test_second_history_is_refused(insider: Insider) -> None:
    header = insider.header(previous=bytes(32))
    with pytest.raises(Unverified) as problem:
        insider.submit(insider.signed(insider.reservation(header), Kind.RESERVATION))
    assert_told(problem, problem_pb2.REASON_HISTORY_INCONSISTENT)


def test_claim_below_the_policys_scale_is_refused(insider: Insider) -> None:
    reservation = insider.reservation(insider.header())
    claim = reservation.charges[0].claim
    claim.scale //= 2
    claim.epsilon.CopyFrom(ratio(Fraction(claim.reach, claim.scale)))
    with pytest.raises(Refused) as problem:
        insider.submit(insider.signed(reservation, Kind.RESERVATION))
    assert_told(problem, problem_pb2.REASON_CLAIM_WRONG, problem_pb2.REASON_BUDGET_EXCEEDED)


def test_second_charge_for_an_epoch_is_over_budget(insider: Insider) -> None:
    reservation = insider.reservation(insider.header(), LAST_EPOCH)
    with pytest.raises((Refused, Conflict)) as problem:
        insider.submit(insider.signed(reservation, Kind.RESERVATION))
    assert_told(
        problem,
        problem_pb2.REASON_BUDGET_EXCEEDED,
        problem_pb2.REASON_EPOCH_CLOSED,
        problem_pb2.REASON_ALREADY_RELEASED,
    )


def test_release_without_reservation_is_refused(insider: Insider) -> None:
    message = release_pb2.Release(
        header=insider.header(), epoch=NEXT_EPOCH, policy_hash=insider.policy.policy_hash
    )
    message.reservation_hash = bytes(32)
    with pytest.raises(Refused) as problem:
        insider.submit(insider.signed(message, Kind.RELEASE))
    assert_told(problem, problem_pb2.REASON_RESERVATION_UNKNOWN)


@pytest.mark.parametrize("cut", [1, 8, 100_000])
def test_truncated_chunk_is_refused(federation: SmallFederation, insider: Insider, cut: int) -> None:
    """The bodies of the enterprise's own roster batch, cut; signed as its next message."""
    chunk_message, bodies = next_roster_batch(federation, insider)
    cut_bodies = [bodies[0][: -cut or None], *bodies[1:]]
    with pytest.raises(Malformed) as problem:
        insider.submit(insider.signed(chunk_message, Kind.ROSTER_BATCH), cut_bodies)
    assert_told(
        problem,
        problem_pb2.REASON_BODY_TRUNCATED,
        problem_pb2.REASON_BODY_MISMATCH,
        problem_pb2.REASON_MALFORMED_MESSAGE,
    )


def test_unknown_pack_is_refused(federation: SmallFederation, insider: Insider) -> None:
    policy = policy_pb2.Policy()
    policy.CopyFrom(logged_policy(federation))
    policy.version += 1
    policy.first_epoch = NEXT_EPOCH
    policy.packs[0].sha256 = bytes(32)
    regulator = keys.decode_private(federation.layout.key("regulator").read_bytes())
    data = envelope.sign(codec.encode(policy), Kind.POLICY, [regulator])
    with (
        OperatorClient(Opened.load(Home(federation.layout.hub))) as operator,
        pytest.raises(Refused) as problem,
    ):
        operator.publish(data)
    assert_told(problem, problem_pb2.REASON_PACK_UNKNOWN)


def test_expired_certificate_is_refused(federation: SmallFederation, insider: Insider) -> None:
    authority = CertificateAuthority.load(Home(federation.layout.hub).private)
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=400)
    expired = authority.issue_identity(insider.member.identity.name, days=30, now=long_ago)
    with pytest.raises((Unverified, Unavailable)) as problem:
        insider.submit(
            insider.signed(insider.reservation(insider.header()), Kind.RESERVATION), identity=expired
        )
    assert_told(problem, problem_pb2.REASON_CERTIFICATE_INVALID, problem_pb2.REASON_PEER_UNREACHABLE)


def test_foreign_certificate_is_refused(insider: Insider) -> None:
    other = CertificateAuthority.create("elsewhere.example")
    made = other.issue_identity(insider.member.identity.name)
    foreign = Identity(made.key_pem, made.certificate_pem, insider.member.identity.ca_pem)
    with pytest.raises((Unverified, Unavailable)) as problem:
        insider.submit(
            insider.signed(insider.reservation(insider.header()), Kind.RESERVATION), identity=foreign
        )
    assert_told(problem, problem_pb2.REASON_CERTIFICATE_INVALID, problem_pb2.REASON_PEER_UNREACHABLE)


def test_other_partys_certificate_is_refused(federation: SmallFederation, insider: Insider) -> None:
    other = Membership.load(federation.layout.node(ENTERPRISES[0])).identity
    with pytest.raises(Refused) as problem:
        insider.submit(
            insider.signed(insider.reservation(insider.header()), Kind.RESERVATION), identity=other
        )
    assert_told(problem, problem_pb2.REASON_ROLE_NOT_ALLOWED)


def next_roster_batch(federation: SmallFederation, insider: Insider) -> tuple[Any, list[bytes]]:
    """Give a batch of one chunk that would be next, built from the enterprise's own first one."""
    reader = FolderLog(federation.layout.bundle)
    for entry in read_entries(reader, reader.vkey()):
        opened = envelope.open_envelope(entry.data)
        if opened.kind is not Kind.ROSTER_BATCH:
            continue
        message = opened.parse(roster_pb2.RosterBatch)
        if message.header.issuer == insider.member.enterprise_id:
            message.header.CopyFrom(insider.header())
            message.effective_epoch = NEXT_EPOCH
            message.first_slot = message.count
            return message, list(reader.bodies(entry.index) or ())
    raise AssertionError("no roster batch in the log")


def logged_policy(federation: SmallFederation) -> policy_pb2.Policy:
    """Give the policy as it was signed."""
    reader = FolderLog(federation.layout.bundle)
    for entry in read_entries(reader, reader.vkey()):
        opened = envelope.open_envelope(entry.data)
        if opened.kind is Kind.POLICY:
            return opened.parse(policy_pb2.Policy)
    raise AssertionError("no policy in the log")
