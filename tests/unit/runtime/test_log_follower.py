"""Entries are handed out only under a signed root; the trust root moves only by its own rules."""

from __future__ import annotations

import secrets

import pytest

from privacy import checkpoint, codec, envelope, keys, merkle
from privacy.checkpoint import Checkpoint
from privacy.envelope import Kind
from privacy.keys import SigningKey
from protos.problems import Malformed, Unverified
from protos.v1 import trust_pb2
from runtime.log_follower import (
    Entry,
    TrustFollower,
    Witnesses,
    follow_trust_root,
    open_head,
    read_head,
)
from tests.simulated_log import SimulatedLog

ORIGIN = "cgsp.example/log"
LOG_KEY, ROOT_KEY, OTHER_KEY, HUB_KEY = (keys.generate(secrets.token_bytes, "k1") for _ in range(4))


def log_of(size: int) -> SimulatedLog:
    log = SimulatedLog(ORIGIN, LOG_KEY)
    log.append(*(b"entry %d" % number for number in range(size)))
    return log


def test_every_byte_of_the_checkpoint_counts() -> None:
    log = log_of(5)
    honest = log.checkpoint()
    for position in range(len(honest)):
        changed = honest[:position] + bytes([honest[position] ^ 1]) + honest[position + 1 :]
        with pytest.raises(Unverified):
            open_head(changed, log.vkey)


def test_checkpoint_of_another_key_or_origin_is_not_trusted() -> None:
    log = log_of(3)
    other = checkpoint.log_vkey(ORIGIN, OTHER_KEY.verify_key)
    elsewhere = checkpoint.log_vkey("cgsp.example/other", LOG_KEY.verify_key)
    for vkey in (other, elsewhere):
        with pytest.raises(Unverified, match="Checkpoint"):
            read_head(log, vkey)
    with pytest.raises(Malformed, match="verifier key"):
        read_head(log, "not a key")


def test_witness_quorum_is_required() -> None:
    log = log_of(3)
    witness_key = keys.generate(secrets.token_bytes)
    witness = checkpoint.witness_vkey("witness.example", witness_key.verify_key)
    silent = checkpoint.witness_vkey("silent.example", OTHER_KEY.verify_key)
    plain = log.checkpoint
    with pytest.raises(Unverified, match="0 witnesses cosigned"):
        read_head(log, log.vkey, Witnesses((witness, silent), 1))
    log.checkpoint = lambda: checkpoint.cosign(plain(), witness, witness_key, time=1)  # type: ignore[method-assign]
    assert read_head(log, log.vkey, Witnesses((witness, silent), 1)).size == 3
    with pytest.raises(Unverified, match="1 witnesses cosigned"):
        read_head(log, log.vkey, Witnesses((witness, silent), 2))


def trust_root(
    version: int = 1, previous: bytes = b"", signers: tuple[SigningKey, ...] = (ROOT_KEY,)
) -> bytes:
    message = trust_pb2.TrustRoot(
        version=version,
        previous=previous,
        origin=ORIGIN,
        root_keys=[ROOT_KEY.verify_key.to_wire()],
        root_threshold=1,
        log_vkey=str(checkpoint.log_vkey(ORIGIN, LOG_KEY.verify_key)),
        hub_key=HUB_KEY.verify_key.to_wire(),
        hub_ca=b"der",
        policy_keys=[ROOT_KEY.verify_key.to_wire()],
        policy_threshold=1,
    )
    return envelope.sign(codec.encode(message), Kind.TRUST_ROOT, signers)


FIRST = trust_root()
FIRST_HASH = envelope.envelope_hash(FIRST)
SECOND = trust_root(2, FIRST_HASH)


@pytest.mark.parametrize("pinned", [FIRST, FIRST_HASH.hex()], ids=["bytes", "fingerprint"])
def test_trust_root_is_followed_from_the_pinned_one(pinned: bytes | str) -> None:
    follower = TrustFollower(pinned)
    assert (follower.root is not None) is isinstance(pinned, bytes)
    assert follower.take(Entry(0, FIRST)) is isinstance(pinned, str)
    assert follower.take(Entry(1, b"not an envelope")) is False
    assert follower.take(Entry(2, envelope.sign(b"", Kind.POLICY, (ROOT_KEY,)))) is False
    assert follower.take(Entry(3, SECOND)) is True
    assert follower.root is not None and follower.root.version == 2


@pytest.mark.parametrize(
    "bad",
    [
        trust_root(3, FIRST_HASH),
        trust_root(2, b"\0" * 32),
        trust_root(2, FIRST_HASH, (OTHER_KEY,)),
    ],
)
def test_update_that_breaks_the_rules_is_not_followed(bad: bytes) -> None:
    follower = TrustFollower(FIRST)
    with pytest.raises(Unverified, match="Trust root"):
        follower.take(Entry(1, bad))
    assert follower.root is not None and follower.root.version == 1


def test_log_that_begins_with_another_trust_root_is_not_followed() -> None:
    impostor = trust_root(1, b"", (ROOT_KEY, OTHER_KEY))
    with pytest.raises(Unverified):
        follow_trust_root([Entry(0, impostor)], FIRST_HASH.hex())
    with pytest.raises(Unverified, match="does not hold"):
        follow_trust_root([], FIRST_HASH.hex())
    assert follow_trust_root([Entry(0, FIRST), Entry(1, SECOND)], FIRST).version == 2
    with pytest.raises(Malformed, match="64 lower-case hex"):
        TrustFollower("ab")


def test_head_says_what_was_signed() -> None:
    log = log_of(3)
    head = read_head(log, log.vkey)
    assert (head.origin, head.size, head.root) == (ORIGIN, 3, merkle.root(log.list))
    assert Checkpoint(head.origin, head.size, head.root).text in head.note
