"""Generation without a dealer and refresh: any quorum works, old shares do not, a cheat is named."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy import generation, pseudonyms, ristretto, shares
from privacy.generation import Contributed, Contribution, Generated, Received, Session
from privacy.pseudonyms import PseudonymKeyView
from privacy.shares import Share
from protos.problems import Malformed, Unverified
from protos.v1.problem_pb2 import REASON_PROOF_INVALID

NAMES = {1: "regulator", 2: "auditor", 3: "operator"}
IDENTIFIERS = [b"demo\x1fone", b"demo\x1ftwo"]
SESSION = Session(bytes(32), 2, NAMES)


def dealt(session: Session) -> dict[int, Contributed]:
    return {index: generation.contribute(session, index, os.urandom) for index in session.participants}


def received(rounds: Mapping[int, Contributed], index: int) -> dict[int, Received]:
    return {dealer: Received(one.contribution, one.secrets[index]) for dealer, one in rounds.items()}


def generated(session: Session, held: Mapping[int, Share] | None = None) -> dict[int, Generated]:
    rounds = dealt(session)
    return {
        index: generation.join(session, index, received(rounds, index), held=held[index] if held else None)
        for index in session.participants
    }


def refreshed(session: Session, before: Mapping[int, Generated]) -> tuple[Session, dict[int, Generated]]:
    renewal = replace(session, context=os.urandom(32), refreshed=before[1].commitments)
    return renewal, generated(renewal, {index: one.share for index, one in before.items()})


def named(
    shares_used: Mapping[int, Share], commitments: tuple[bytes, ...], quorum: tuple[int, ...]
) -> list[bytes]:
    key = PseudonymKeyView(len(commitments), commitments)
    batch = pseudonyms.blind_batch(IDENTIFIERS, os.urandom)
    answers = [
        pseudonyms.evaluate_batch(shares_used[index], quorum, batch.blinded, os.urandom) for index in quorum
    ]
    return pseudonyms.combine_batch(batch, answers, key, quorum)


sizes = st.integers(1, 5).flatmap(lambda count: st.tuples(st.integers(1, count), st.just(count)))


@settings(max_examples=12, deadline=None)
@given(size=sizes)
def test_every_quorum_gives_the_same_pseudonyms(size: tuple[int, int]) -> None:
    threshold, count = size
    session = Session(os.urandom(32), threshold, {index: f"c{index}" for index in range(1, count + 1)})
    ended = generated(session)
    assert len({one.commitments for one in ended.values()}) == 1
    held = {index: one.share for index, one in ended.items()}
    found = {
        tuple(named(held, ended[1].commitments, quorum))
        for quorum in combinations(range(1, count + 1), threshold)
    }
    assert len(found) == 1


def test_nobodys_own_secret_is_the_keys() -> None:
    rounds = dealt(SESSION)
    ended = generation.join(SESSION, 1, received(rounds, 1))
    publics = [one.contribution.commitments[0] for one in rounds.values()]
    assert ended.commitments[0] == ristretto.total(b"".join(publics))
    assert ended.commitments[0] not in publics


def test_refresh_keeps_key_and_pseudonyms() -> None:
    before = generated(SESSION)
    _, after = refreshed(SESSION, before)
    assert shares.key_id(after[1].commitments[0]) == shares.key_id(before[1].commitments[0])
    assert after[1].commitments[1:] != before[1].commitments[1:]
    old = {index: one.share for index, one in before.items()}
    new = {index: one.share for index, one in after.items()}
    expected = named(old, before[1].commitments, (1, 2))
    for quorum in combinations(NAMES, 2):
        assert named(new, after[1].commitments, quorum) == expected


def test_old_shares_are_useless_after_a_refresh() -> None:
    before = generated(SESSION)
    _, after = refreshed(SESSION, before)
    for stale in (1, 2):
        mixed = {index: one.share for index, one in after.items()} | {stale: before[stale].share}
        with pytest.raises(Unverified, match=f"custodian {stale}") as caught:
            named(mixed, after[1].commitments, (1, 2))
        assert caught.value.reason == REASON_PROOF_INVALID
    # Even unproven, the sum of an old and a new share is another key's evaluation.
    weights = [shares.lagrange_weight(index, (1, 2)) for index in (1, 2)]
    joined = ristretto.scalar_add(
        ristretto.scalar_mul(weights[0], before[1].share.secret),
        ristretto.scalar_mul(weights[1], after[2].share.secret),
    )
    assert ristretto.base_mult(joined) != before[1].commitments[0]


def test_refresh_may_leave_a_custodian_out_for_good() -> None:
    before = generated(SESSION)
    renewal = Session(os.urandom(32), 2, {1: "regulator", 3: "operator"}, before[1].commitments)
    after = generated(renewal, {index: before[index].share for index in (1, 3)})
    new = {index: one.share for index, one in after.items()} | {2: before[2].share}
    old = {index: one.share for index, one in before.items()}
    assert named(new, after[1].commitments, (1, 3)) == named(old, before[1].commitments, (1, 2))
    with pytest.raises(Unverified, match="custodian 2"):
        named(new, after[1].commitments, (1, 2))


def test_refresh_of_a_refresh_still_keeps_the_pseudonyms() -> None:
    first = generated(SESSION)
    session, second = refreshed(SESSION, first)
    _, third = refreshed(session, second)
    names = [
        named({index: one.share for index, one in ended.items()}, ended[1].commitments, (2, 3))
        for ended in (first, third)
    ]
    assert names[0] == names[1]


def changed(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("is_refresh", [False, True])
def test_every_changed_byte_names_the_one_who_sent_it(is_refresh: bool) -> None:
    session, held = SESSION, None
    if is_refresh:
        before = generated(SESSION)
        session, held = replace(SESSION, refreshed=before[1].commitments), before[1].share
    rounds = dealt(session)
    good = received(rounds, 1)
    generation.join(session, 1, good, held=held)
    sent = good[2]
    forged = [replace(sent, secret=changed(sent.secret, place)) for place in range(32)]
    forged += [
        replace(sent, contribution=replace(sent.contribution, proof=changed(sent.contribution.proof, place)))
        for place in range(64)
    ]
    for row, commitment in enumerate(sent.contribution.commitments):
        for place in range(32):
            rows = list(sent.contribution.commitments)
            rows[row] = changed(commitment, place)
            forged.append(replace(sent, contribution=Contribution(tuple(rows), sent.contribution.proof)))
    for one in forged:
        with pytest.raises(Unverified, match="custodian auditor") as caught:
            generation.join(session, 1, {**good, 2: one}, held=held)
        assert caught.value.reason == REASON_PROOF_INVALID


def test_commitment_chosen_against_the_others_is_named() -> None:
    """A rogue key: the sum would be the attacker's own, but it cannot prove that it knows its part."""
    rounds = dealt(SESSION)
    others = ristretto.add(*(rounds[index].contribution.commitments[0] for index in (1, 3)))
    mine = rounds[2].contribution
    minus = ristretto.mult(ristretto.scalar(-1), others)
    rogue = Contribution((ristretto.add(mine.commitments[0], minus), *mine.commitments[1:]), mine.proof)
    with pytest.raises(Unverified, match="custodian auditor"):
        generation.join(SESSION, 1, {**received(rounds, 1), 2: Received(rogue, rounds[2].secrets[1])})


def test_polynomial_that_vanishes_at_somebodys_index_is_named() -> None:
    slope = ristretto.scalar_random(os.urandom)
    constant = ristretto.scalar_sub(ristretto.ZERO, slope)
    rounds = dealt(SESSION)
    commitments = (ristretto.base_mult(constant), ristretto.base_mult(slope))
    nonce = ristretto.scalar_random(os.urandom)
    proof = generation._prove(SESSION, 2, constant, commitments, nonce)
    vanishing = Received(Contribution(commitments, proof), ristretto.ZERO)
    with pytest.raises(Unverified, match="custodian auditor"):
        generation.join(SESSION, 1, {**received(rounds, 1), 2: vanishing})


def test_contribution_of_another_session_index_or_length_is_refused() -> None:
    rounds = dealt(SESSION)
    other = replace(SESSION, context=b"\x01" * 32)
    for session, dealer, contribution in (
        (other, 2, rounds[2].contribution),
        (SESSION, 3, rounds[2].contribution),
        (SESSION, 2, Contribution(rounds[2].contribution.commitments[:1], rounds[2].contribution.proof)),
        (SESSION, 2, Contribution((), rounds[2].contribution.proof)),
        (SESSION, 2, replace(rounds[2].contribution, proof=b"")),
    ):
        with pytest.raises(Unverified):
            generation.check_contribution(session, dealer, contribution)


def test_everybody_must_have_contributed() -> None:
    rounds = dealt(SESSION)
    partly = received(rounds, 1)
    del partly[3]
    with pytest.raises(Malformed, match="operator"):
        generation.join(SESSION, 1, partly)


def test_refresh_needs_the_share_it_renews() -> None:
    before = generated(SESSION)
    renewal = replace(SESSION, refreshed=before[1].commitments)
    rounds = dealt(renewal)
    with pytest.raises(Malformed):
        generation.join(renewal, 1, received(rounds, 1))
    with pytest.raises(Malformed):
        generation.join(renewal, 1, received(rounds, 1), held=before[2].share)
    with pytest.raises(Malformed):
        generation.join(SESSION, 1, received(dealt(SESSION), 1), held=before[1].share)


def test_sessions_that_cannot_be_are_refused() -> None:
    commitments = generated(SESSION)[1].commitments
    for fields in (
        {"context": b"short"},
        {"threshold": 0},
        {"threshold": 4},
        {"participants": {0: "nobody"}, "threshold": 1},
        {"refreshed": commitments[:1]},
        {"refreshed": commitments[:1], "threshold": 1},
        {"refreshed": (bytes(32), bytes(32))},
    ):
        with pytest.raises(Malformed):
            replace(SESSION, **fields)


def test_transcript_holds_everything_that_was_shown() -> None:
    rounds = {index: one.contribution for index, one in dealt(SESSION).items()}
    found = {generation.transcript(SESSION, rounds)}
    found.add(generation.transcript(replace(SESSION, context=b"\x01" * 32), rounds))
    found.add(generation.transcript(replace(SESSION, participants=NAMES | {3: "other"}), rounds))
    found.add(generation.transcript(SESSION, {**rounds, 1: rounds[2]}))
    found.add(generation.transcript(SESSION, {1: rounds[1], 2: rounds[2]}))
    assert len(found) == 5


def test_secrets_are_not_shown() -> None:
    made = generation.contribute(SESSION, 1, os.urandom)
    assert all(
        secret.hex() not in repr(made) and repr(secret) not in repr(made) for secret in made.secrets.values()
    )
