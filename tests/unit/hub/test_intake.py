from __future__ import annotations

import datetime
import hashlib
from fractions import Fraction
from functools import partial

import pytest

from privacy import codec, envelope, merkle
from privacy.claims import ratio
from privacy.envelope import Kind
from privacy.receipts import open_receipt
from privacy.standing import Role as Issuer
from protos.problems import Conflict, Malformed, Problem, Refused, Unavailable, Unverified
from protos.v1 import hub_pb2, hub_pb2_grpc
from protos.v1 import problem_pb2 as reasons
from runtime.authority import CertificateAuthority
from runtime.identity import Role, SpiffeName
from tests.simulator import CUSTODIANS, EPOCH, ORIGIN, Logged, key
from tests.unit.accounting.programmes.programmes import coupon, programme
from tests.unit.hub.world import DOMAIN, World, begin, refused, send_over, stored, traces

NODE = "bike-share"


def signed_reservation(world: World, **changes: object) -> bytes:
    message = world.reservation(NODE)
    message.header.CopyFrom(world.header(Issuer.ENTERPRISE, NODE, **changes))
    return world.signed(Kind.RESERVATION, message, NODE)


def expect(
    world: World, reason: int, kind: type[Problem], data: bytes, bodies: list[bytes], **how: object
) -> None:
    """The hub refuses with this reason and a remedy or a clear message, and keeps nothing."""
    before = traces(world.opened.home)
    problem = refused(lambda: world.send(data, bodies, **how))  # type: ignore[arg-type]
    assert (type(problem), problem.reason) == (kind, reason), problem
    assert problem.message
    assert traces(world.opened.home) == before


def test_what_is_taken_stands_in_the_log_with_its_bodies(shared: World) -> None:
    assert stored(shared.opened.home) == [Logged(entry.data, entry.bodies) for entry in shared.entries]


def test_every_receipt_names_its_entry(shared: World) -> None:
    for index, (receipt, entry) in enumerate(zip(shared.receipts, shared.entries, strict=True)):
        opened = open_receipt(receipt, key("hub").verify_key, origin=ORIGIN, entry=entry.data)
        assert (opened.index, opened.leaf_hash) == (index, merkle.leaf_hash(entry.data))


def test_a_duplicate_gets_the_first_receipt_byte_for_byte(shared: World) -> None:
    before = traces(shared.opened.home)
    for receipt, entry in zip(shared.receipts, shared.entries, strict=True):
        assert shared.send(entry.data, entry.bodies) == receipt
    assert traces(shared.opened.home) == before


def test_a_duplicate_of_another_party_is_refused(shared: World) -> None:
    entry = next(one for one in shared.entries if envelope.open_envelope(one.data).kind is Kind.ROSTER_BATCH)
    how = {"as_peer": (Role.NODE, "utility")}
    expect(shared, reasons.REASON_ROLE_NOT_ALLOWED, Refused, entry.data, entry.bodies, **how)


def test_a_message_in_another_partys_name_is_refused(shared: World) -> None:
    data = signed_reservation(shared)
    how = {"as_peer": (Role.NODE, "utility")}
    expect(shared, reasons.REASON_ROLE_NOT_ALLOWED, Refused, data, [], **how)


@pytest.mark.parametrize("role", [Role.CUSTODIAN, Role.OPERATOR, Role.AUDITOR])
def test_a_role_sends_only_its_own_kinds(shared: World, role: Role) -> None:
    data = signed_reservation(shared)
    expect(shared, reasons.REASON_ROLE_NOT_ALLOWED, Refused, data, [], as_peer=(role, NODE))


def test_a_wrong_signature_is_refused(shared: World) -> None:
    message = shared.reservation(NODE)
    broken = bytearray(shared.signed(Kind.RESERVATION, message, NODE))
    place = bytes(broken).index(message.nonce)
    broken[place] ^= 1
    expect(shared, reasons.REASON_SIGNATURE_INVALID, Unverified, bytes(broken), [])


def test_a_signature_by_an_unknown_key_is_refused(shared: World) -> None:
    data = shared.signed(Kind.RESERVATION, shared.reservation(NODE), "stranger")
    expect(shared, reasons.REASON_KEY_UNKNOWN, Unverified, data, [])


def test_a_foreign_certificate_never_reaches_the_hub(shared: World) -> None:
    stranger = CertificateAuthority.create(DOMAIN)
    identity = stranger.issue_identity(SpiffeName(DOMAIN, Role.NODE, NODE))
    trusting = type(identity)(identity.key_pem, identity.certificate_pem, shared.opened.authority.ca_pem)
    expect(
        shared,
        reasons.REASON_PEER_UNREACHABLE,
        Unavailable,
        signed_reservation(shared),
        [],
        identity=trusting,
    )


def test_an_expired_certificate_never_reaches_the_hub(shared: World) -> None:
    long_ago = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    name = SpiffeName(DOMAIN, Role.NODE, NODE)
    identity = shared.opened.authority.issue_identity(name, days=1, now=long_ago)
    data = signed_reservation(shared)
    expect(shared, reasons.REASON_PEER_UNREACHABLE, Unavailable, data, [], identity=identity)


def test_a_skipped_sequence_is_refused(shared: World) -> None:
    sequence = shared.state.chain(Issuer.ENTERPRISE, NODE).next_sequence + 1
    data = signed_reservation(shared, sequence=sequence)
    expect(shared, reasons.REASON_SEQUENCE_SKIPPED, Refused, data, [])


def test_a_repeated_sequence_is_a_conflict(shared: World) -> None:
    sequence = shared.state.chain(Issuer.ENTERPRISE, NODE).next_sequence - 1
    data = signed_reservation(shared, sequence=sequence)
    expect(shared, reasons.REASON_SEQUENCE_REUSED, Conflict, data, [])


def test_another_origin_is_refused(shared: World) -> None:
    data = signed_reservation(shared, origin="other.example/log")
    expect(shared, reasons.REASON_WRONG_ORIGIN, Refused, data, [])


def test_an_over_budget_reservation_is_refused(enrolled: World) -> None:
    enrolled.reserve(NODE)
    expect(enrolled, reasons.REASON_BUDGET_EXCEEDED, Refused, signed_reservation(enrolled), [])


def test_a_cheaper_claim_than_the_policys_is_refused(shared: World) -> None:
    message = shared.reservation(NODE)
    message.charges[0].claim.scale *= 2
    epsilon = message.charges[0].claim.epsilon
    epsilon.CopyFrom(ratio(Fraction(epsilon.numerator, epsilon.denominator * 2)))
    data = shared.signed(Kind.RESERVATION, message, NODE)
    expect(shared, reasons.REASON_CLAIM_WRONG, Refused, data, [])


def test_missing_changed_and_surplus_chunks_are_refused(enrolled: World) -> None:
    built = enrolled.release_message(NODE, enrolled.reserve(NODE))
    data = enrolled.signed(Kind.RELEASE, built.message, NODE)
    body = built.bodies[0]
    expect(enrolled, reasons.REASON_BODY_TRUNCATED, Malformed, data, [])
    expect(enrolled, reasons.REASON_BODY_MISMATCH, Malformed, data, [body[:-8]])
    expect(enrolled, reasons.REASON_BODY_MISMATCH, Malformed, data, [bytes([*body[:-1], body[-1] ^ 1])])
    expect(enrolled, reasons.REASON_BODY_MISMATCH, Malformed, data, [body, body])
    expect(enrolled, reasons.REASON_BODY_TRUNCATED, Malformed, data, [body, b""])
    enrolled.append(data, built.bodies)


def test_a_release_without_a_reservation_is_refused(shared: World) -> None:
    built = shared.release_message(NODE, bytes(32))
    data = shared.signed(Kind.RELEASE, built.message, NODE)
    expect(shared, reasons.REASON_RESERVATION_UNKNOWN, Refused, data, built.bodies)


def test_a_policy_over_an_unknown_pack_is_refused(shared: World) -> None:
    message = shared.policy_message(version=2)
    message.packs[0].sha256 = hashlib.sha256(b"another pack").digest()
    data = shared.signed(Kind.POLICY, message, "operator")
    expect(shared, reasons.REASON_PACK_UNKNOWN, Refused, data, [])


def test_a_policy_signed_by_too_few_is_refused(shared: World) -> None:
    data = shared.signed(Kind.POLICY, shared.policy_message(version=2), "auditor")
    expect(shared, reasons.REASON_KEY_UNKNOWN, Unverified, data, [])


def test_nothing_is_taken_before_the_trust_root(empty: World) -> None:
    message = shared_policy(empty)
    expect(empty, reasons.REASON_TRUST_ROOT_INVALID, Unverified, message, [])
    begin(empty)


def shared_policy(world: World) -> bytes:
    return world.signed(Kind.POLICY, world.policy_message(), "operator")


def test_an_oversized_envelope_is_refused_before_it_is_read(shared: World) -> None:
    with shared.channel(shared.identity(Role.NODE, NODE)) as channel:
        problem = refused(lambda: send_over(channel, bytes(65_536), []))
    assert problem.reason == reasons.REASON_MESSAGE_TOO_LARGE


def test_bytes_that_are_no_envelope_are_refused(shared: World) -> None:
    with shared.channel(shared.identity(Role.NODE, NODE)) as channel:
        problem = refused(lambda: send_over(channel, b"\xff\xff", []))
    assert problem.reason == reasons.REASON_MALFORMED_MESSAGE


def test_a_body_before_the_envelope_is_refused(shared: World) -> None:
    with shared.channel(shared.identity(Role.NODE, NODE)) as channel:
        stub = hub_pb2_grpc.IntakeServiceStub(channel)
        from runtime.retries import unary

        problem = refused(lambda: unary(lambda: stub.Submit(iter([hub_pb2.SubmitRequest(body=b"x")]))))
    assert problem.reason == reasons.REASON_WRONG_SHAPE


def test_one_partys_haste_is_bounded(empty: World) -> None:
    data = shared_policy(empty)
    met = set()
    with empty.channel(empty.identity(Role.CUSTODIAN, CUSTODIANS[0])) as channel:
        for _ in range(2000):
            met.add(refused(lambda: send_over(channel, data, [])).reason)
            if reasons.REASON_RATE_EXCEEDED in met:
                break
    assert met == {reasons.REASON_ROLE_NOT_ALLOWED, reasons.REASON_RATE_EXCEEDED}
    with empty.channel(empty.identity(Role.NODE, NODE)) as channel:
        assert refused(lambda: send_over(channel, data, [])).reason == reasons.REASON_ROLE_NOT_ALLOWED


def test_a_chain_is_told_to_its_owner(shared: World) -> None:
    with shared.channel(shared.identity(Role.NODE, NODE)) as channel:
        answer = hub_pb2_grpc.IntakeServiceStub(channel).GetChain(hub_pb2.GetChainRequest())
    chain = shared.state.chain(Issuer.ENTERPRISE, NODE)
    assert (answer.next_sequence, answer.head) == (chain.next_sequence, chain.head)
    assert answer.log_size == len(shared.entries)


def test_any_changed_byte_of_an_envelope_is_refused(shared: World) -> None:
    data = signed_reservation(shared)
    before = traces(shared.opened.home)
    with shared.channel(shared.identity(Role.NODE, NODE)) as channel:
        for place in range(0, len(data), 7):
            changed = bytes([*data[:place], data[place] ^ 0x01, *data[place + 1 :]])
            assert refused(lambda changed=changed: send_over(channel, changed, []))  # type: ignore[misc]
    assert traces(shared.opened.home) == before


def test_a_message_of_the_hub_cannot_be_sent_from_outside(shared: World) -> None:
    close = shared.close_message(EPOCH)
    data = envelope.sign(codec.encode(close), Kind.EPOCH_CLOSE, [key("hub")])
    for role in (Role.NODE, Role.CUSTODIAN, Role.OPERATOR):
        expect(shared, reasons.REASON_ROLE_NOT_ALLOWED, Refused, data, [], as_peer=(role, "hub-two"))


def test_a_programme_is_published_by_two_and_is_one(shared: World) -> None:
    before = traces(shared.opened.home)
    good = condition_programme("points > 1")
    renamed = partial(shared.publish_programme, good, id="other")
    shapeless = partial(shared.publish_programme, b'{"id":"city","version":1,"first_epoch":202512}')
    unasked = partial(shared.publish_programme, condition_programme("wallet > 1"))
    for act in (renamed, shapeless, unasked):
        assert refused(act).reason == reasons.REASON_PROGRAMME_INVALID
    assert traces(shared.opened.home) == before
    shared.publish_programme(good)
    assert list(shared.state.programmes) == ["city"]


def condition_programme(eligible: str) -> bytes:
    rewards = {"bus": coupon(eligible=eligible)}
    return programme(first_epoch=202512, rewards=rewards).canonical_bytes()
