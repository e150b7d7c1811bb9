"""The log's key is replaced by t of n, from a witnessed checkpoint of this very log, under a new origin."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from privacy import checkpoint, merkle
from privacy.checkpoint import Checkpoint
from privacy.envelope import Kind
from protos.problems import Problem, Refused, Unverified
from protos.v1.trust_pb2 import TrustRoot
from tests.simulator import EPOCH, ORIGIN, Federation, enrolled, key

NEXT = "cgsp.example/log-two"
WITNESS = checkpoint.witness_vkey("witness.example", key("witness").verify_key)


def witnessed() -> Federation:
    """The trust root asks for one witness."""
    federation = enrolled()
    root = federation.trust_root(version=2, previous=federation.state.trust.envelope_hash)
    root.witness_vkeys.append(str(WITNESS))
    root.witness_quorum = 1
    federation.publish_trust(root)
    return federation


def note(federation: Federation, *, size: int | None = None, by: str = "log", cosigned: bool = True) -> bytes:
    count = federation.state.size if size is None else size
    root = federation.state.root(count) if count <= federation.state.size else merkle.EMPTY_ROOT
    signed = checkpoint.sign_checkpoint(Checkpoint(ORIGIN, count, root), key(by))
    return checkpoint.cosign(signed, WITNESS, key("witness"), time=7) if cosigned else signed


def refused(change: Callable[[Federation, TrustRoot], None], *signers: str) -> Problem:
    federation = witnessed()
    root = federation.succession(NEXT, "log-two", note(federation))
    change(federation, root)
    data = federation.signed(Kind.TRUST_ROOT, root, *(signers or federation.root_names[:2]))
    with pytest.raises(Problem) as caught:
        federation.state.check(data, ())
    return caught.value


def named(root: TrustRoot, data: bytes) -> None:
    root.predecessor_checkpoint = data


def test_the_log_goes_on_with_its_state_and_chains() -> None:
    federation = witnessed()
    size, root = federation.state.size, federation.state.root()
    federation.publish_trust(federation.succession(NEXT, "log-two", note(federation)))
    old = federation.signed(Kind.RESERVATION, federation.reservation("bike-share"), "bike-share")
    with pytest.raises(Refused, match="meant for log"):
        federation.state.check(old, ())
    federation.origin, federation.log_key = NEXT, "log-two"
    for one in federation.enterprises:
        federation.release(one.id)
    federation.close()
    assert federation.state.root(size) == root
    assert EPOCH in federation.state.closes


def test_entries_behind_the_checkpoint_named_are_kept() -> None:
    federation = witnessed()
    named_checkpoint = note(federation)
    federation.release("bike-share")
    federation.publish_trust(federation.succession(NEXT, "log-two", named_checkpoint))
    assert EPOCH in federation.state.answers("bike-share")


def test_fewer_than_t_signers_cannot_replace_it() -> None:
    assert isinstance(refused(lambda *_: None, "operator"), Unverified)


@pytest.mark.parametrize(
    "change",
    [
        lambda hub, root: named(root, b""),
        lambda hub, root: named(root, b"nothing"),
        lambda hub, root: named(root, note(hub, cosigned=False)),
        lambda hub, root: named(root, note(hub, by="stranger")),
        lambda hub, root: named(root, note(hub, size=hub.state.size + 1)),
        lambda hub, root: setattr(root, "origin", ORIGIN),
        lambda hub, root: setattr(root, "origin", "other.example/log"),
        lambda hub, root: setattr(root, "log_vkey", str(checkpoint.log_vkey(NEXT, key("log").verify_key))),
        lambda hub, root: setattr(root, "log_subtree_vkey", ""),
    ],
)
def test_what_is_not_a_succession_of_this_log_is_refused(
    change: Callable[[Federation, TrustRoot], None],
) -> None:
    assert isinstance(refused(change), Unverified)


def test_a_checkpoint_of_another_log_of_that_key_is_refused() -> None:
    other = enrolled(batch_min=2)
    forked = checkpoint.sign_checkpoint(Checkpoint(ORIGIN, other.state.size, other.state.root()), key("log"))
    forked = checkpoint.cosign(forked, WITNESS, key("witness"), time=7)
    assert isinstance(refused(lambda hub, root: named(root, forked)), Unverified)
