"""Shares: opened by their custodian alone, at rest and on their way, and only if they fit the key."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from custodian.share import KeyShare, RestingShare, obstacle, open_from_ceremony, seal_for
from privacy import ristretto
from privacy.shares import Share
from protos.problems import Malformed, Unavailable, Unverified
from protos.v1.problem_pb2 import REASON_KEY_UNKNOWN, REASON_NOT_FOUND
from tests.unit.custodian.simulators import CUSTODIANS, Federation, sealing_key


@pytest.fixture
def share(federation: Federation) -> KeyShare:
    sealed = federation.ceremony.sealed_shares["auditor"]
    return open_from_ceremony(sealed, sealing_key("auditor"), custodian_id="auditor")


def test_each_custodian_opens_its_own_share_and_no_other(federation: Federation) -> None:
    for index, name in enumerate(CUSTODIANS, start=1):
        sealed = federation.ceremony.sealed_shares[name]
        assert open_from_ceremony(sealed, sealing_key(name), custodian_id=name).share.index == index
        for other in set(CUSTODIANS) - {name}:
            with pytest.raises(Unverified, match="for another custodian, or damaged"):
                open_from_ceremony(sealed, sealing_key(other), custodian_id=other)


def test_share_for_another_custodian_is_refused(share: KeyShare) -> None:
    sealed = seal_for(sealing_key("regulator").public, share)
    with pytest.raises(Unverified):
        open_from_ceremony(sealed, sealing_key("regulator"), custodian_id="regulator")


def test_share_off_the_polynomial_is_refused(share: KeyShare) -> None:
    wrong = replace(share, share=Share(2, ristretto.scalar_add(share.share.secret, ristretto.ONE)))
    sealed = seal_for(sealing_key("auditor").public, wrong)
    with pytest.raises(Unverified):
        open_from_ceremony(sealed, sealing_key("auditor"), custodian_id="auditor")


@pytest.mark.parametrize(
    "change", [{"index": 0}, {"secret": "00" * 32}, {"threshold": 3}, {"commitments": []}]
)
def test_malformed_shares_are_refused(share: KeyShare, change: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        KeyShare.decode(json.dumps(json.loads(share.encode()) | change).encode())
    with pytest.raises(Malformed):
        KeyShare.decode(b"not json")


def test_share_rests_sealed_and_private(share: KeyShare, tmp_path: Path) -> None:
    resting = RestingShare(tmp_path / "share.sealed", "auditor", sealing_key("auditor"))
    with pytest.raises(Unavailable) as caught:
        resting.read()
    assert caught.value.reason == REASON_NOT_FOUND
    resting.write(share, os.urandom)
    assert resting.read() == share
    data = resting.path.read_bytes()
    assert resting.path.stat().st_mode & 0o777 == 0o600
    assert share.share.secret not in data
    assert share.share.secret.hex().encode() not in data
    for other in (replace(resting, custodian_id="operator"), replace(resting, sealing_key=sealing_key("x"))):
        with pytest.raises(Unverified):
            other.read()


def test_every_changed_byte_of_a_resting_share_is_noticed(share: KeyShare, tmp_path: Path) -> None:
    resting = RestingShare(tmp_path / "share.sealed", "auditor", sealing_key("auditor"))
    resting.write(share, os.urandom)
    data = resting.path.read_bytes()
    for place in range(len(data)):
        resting.path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises((Malformed, Unverified)):
            resting.read()


def test_share_open_to_others_is_refused(share: KeyShare, tmp_path: Path) -> None:
    resting = RestingShare(tmp_path / "share.sealed", "auditor", sealing_key("auditor"))
    resting.write(share, os.urandom)
    resting.path.chmod(0o644)
    with pytest.raises(Malformed):
        resting.read()


def test_passphrase_opens_instead_of_the_key(share: KeyShare, tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text("correct horse\n")
    place = tmp_path / "share.sealed"
    resting = RestingShare(place, "auditor", sealing_key("auditor"), str(tmp_path / "passphrase"))
    resting.write(share, os.urandom)
    assert replace(resting, sealing_key=sealing_key("other")).read() == share
    with pytest.raises(Unverified):
        replace(resting, passphrase_file="").read()
    (tmp_path / "passphrase").write_text("wrong horse")
    with pytest.raises(Unverified):
        resting.read()


def test_share_is_used_only_under_a_trust_root_that_names_it(federation: Federation, share: KeyShare) -> None:
    assert obstacle(share, federation.root) is None
    without_key = replace(federation.root, pseudonym_key=None)
    problem = obstacle(share, without_key)
    assert isinstance(problem, Unverified)
    assert problem.reason == REASON_KEY_UNKNOWN
    other_index = replace(share, custodian_id="operator")
    assert obstacle(other_index, federation.root) is not None


def test_secret_is_not_shown(share: KeyShare) -> None:
    assert share.share.secret.hex() not in repr(share)
