"""A node acts only under a trust root that reached it by a way that does not depend on the hub."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from enterprise_node import membership
from enterprise_node.membership import CONNECTION_FILE, SIGNING_KEY_FILE, TRUST_ROOT_FILE, Membership
from protos.problems import Malformed, Problem, Refused, Unverified
from protos.v1.problem_pb2 import (
    REASON_CONFIGURATION_INVALID,
    REASON_NOT_REGISTERED,
    REASON_TOKEN_INVALID,
    REASON_TRUST_ROOT_INVALID,
)
from runtime.identity import Role
from runtime.joining import Joined, JoinToken
from tests.unit.enterprise_node.simulators import ENTERPRISE, ORIGIN, Federation


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def token(federation: Federation, *, role: Role = Role.NODE, pinned: bool = True) -> JoinToken:
    fingerprint = hashlib.sha256(federation.root_envelope).hexdigest() if pinned else ""
    return JoinToken("127.0.0.1:1", "0" * 64, "s" * 43, role, ENTERPRISE, ORIGIN, fingerprint)


def joined(federation: Federation, *, trust_root: bytes | None, origin: str = ORIGIN) -> Joined:
    return Joined(federation.node_identity(), "127.0.0.1:1", "127.0.0.1:2", origin, trust_root)


def test_what_joining_gave_is_read_back(home: Path, federation: Federation) -> None:
    key = membership.open_signing_key(home, ENTERPRISE)
    membership.keep(home, token(federation), joined(federation, trust_root=federation.root_envelope), None)
    read = Membership.load(home)
    assert (read.origin, read.enterprise_id, read.grpc_address) == (ORIGIN, ENTERPRISE, "127.0.0.1:1")
    assert read.trust_root == federation.root_envelope
    assert read.signing_key == key
    for name in (SIGNING_KEY_FILE, CONNECTION_FILE, TRUST_ROOT_FILE):
        assert (home / name).stat().st_mode & 0o077 == 0


def test_a_repeated_join_keeps_the_key(home: Path) -> None:
    assert membership.open_signing_key(home, ENTERPRISE) == membership.open_signing_key(home, ENTERPRISE)


def test_a_trust_root_only_the_hub_vouches_for_is_not_taken(home: Path, federation: Federation) -> None:
    with pytest.raises(Unverified) as caught:
        sent = joined(federation, trust_root=federation.root_envelope)
        membership.keep(home, token(federation, pinned=False), sent, None)
    assert caught.value.reason == REASON_TRUST_ROOT_INVALID
    assert "--trust-root" in caught.value.remedy
    assert not (home / CONNECTION_FILE).exists()


def test_a_trust_root_handed_over_as_a_file_is_taken(home: Path, federation: Federation) -> None:
    membership.open_signing_key(home, ENTERPRISE)
    membership.keep(
        home, token(federation, pinned=False), joined(federation, trust_root=None), federation.root_envelope
    )
    assert Membership.load(home).trust_root == federation.root_envelope


@pytest.mark.parametrize("cut", [0, 10, -1])
def test_a_file_that_is_no_trust_root_is_refused(home: Path, federation: Federation, cut: int) -> None:
    with pytest.raises(Problem):
        membership.keep(
            home, token(federation), joined(federation, trust_root=None), federation.root_envelope[:cut]
        )


def test_a_trust_root_of_another_log_is_refused(home: Path, federation: Federation) -> None:
    with pytest.raises(Unverified):
        membership.keep(
            home,
            token(federation),
            joined(federation, trust_root=None, origin="other.example/log"),
            federation.root_envelope,
        )


def test_a_token_for_somebody_else_is_refused(federation: Federation) -> None:
    membership.check_token(token(federation), ENTERPRISE)
    auditors = token(federation, role=Role.AUDITOR)
    for wrong, enterprise_id in ((auditors, ENTERPRISE), (token(federation), "other")):
        with pytest.raises(Refused) as caught:
            membership.check_token(wrong, enterprise_id)
        assert caught.value.reason == REASON_TOKEN_INVALID


def test_before_joining_a_node_is_told_how(home: Path) -> None:
    with pytest.raises(Refused) as caught:
        Membership.load(home)
    assert caught.value.reason == REASON_NOT_REGISTERED


@pytest.mark.parametrize("content", [b"", b"[]", b'{"origin": "x"}', b"\xff"])
def test_a_damaged_connection_file_is_named(home: Path, federation: Federation, content: bytes) -> None:
    membership.open_signing_key(home, ENTERPRISE)
    membership.keep(home, token(federation), joined(federation, trust_root=federation.root_envelope), None)
    (home / CONNECTION_FILE).write_bytes(content)
    with pytest.raises(Malformed) as caught:
        Membership.load(home)
    assert caught.value.reason == REASON_CONFIGURATION_INVALID
