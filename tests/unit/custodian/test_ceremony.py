"""The ceremony: every custodian gets its own share of one key, everybody the same public description."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from custodian.ceremony import Recipient, hold_ceremony
from custodian.setup import deal_key
from custodian.share import open_from_ceremony
from protos.problems import Conflict, Malformed, Unverified
from tests.unit.custodian.simulators import sealing_key, signing_key


def recipient(name: str) -> Recipient:
    return Recipient.of(name, signing_key(name), sealing_key(name))


def test_public_file_reads_back_and_every_change_is_refused() -> None:
    made = recipient("auditor")
    assert Recipient.decode(made.encode()) == made
    for change in (
        replace(made, id="operator"),
        replace(made, sealing_key=sealing_key("thief").public),
        replace(made, key=signing_key("thief").verify_key),
    ):
        with pytest.raises(Unverified):
            Recipient.decode(change.encode())
    for data in (b"", b"[]", b'{"id": "auditor"}', made.encode()[:-20]):
        with pytest.raises(Malformed):
            Recipient.decode(data)


def test_key_file_says_what_the_trust_root_needs() -> None:
    held = hold_ceremony(2, [recipient("one"), recipient("two"), recipient("three")], os.urandom)
    described = json.loads(held.key_file)
    assert described["custodians"] == {"one": 1, "two": 2, "three": 3}
    assert described["threshold"] == 2
    assert described["key_id"] == held.key.key_id.hex()
    assert [bytes.fromhex(item) for item in described["commitments"]] == list(held.key.commitments)


def test_one_custodian_twice_is_refused() -> None:
    same_key = Recipient.of("two", signing_key("two"), sealing_key("one"))
    for recipients in ([recipient("one"), recipient("one")], [recipient("one"), same_key]):
        with pytest.raises(Malformed):
            hold_ceremony(1, recipients, os.urandom)


def test_threshold_beyond_the_custodians_is_refused() -> None:
    with pytest.raises(Malformed):
        hold_ceremony(3, [recipient("one"), recipient("two")], os.urandom)


def test_files_are_private_and_never_overwritten(tmp_path: Path) -> None:
    paths = {}
    for name in ("one", "two"):
        paths[name] = tmp_path / f"{name}.pub"
        paths[name].write_bytes(recipient(name).encode())
    held = deal_key(2, paths, tmp_path / "out")
    for name, index in (("one", 1), ("two", 2)):
        path = tmp_path / "out" / f"{name}.share"
        assert path.stat().st_mode & 0o777 == 0o600
        share = open_from_ceremony(path.read_bytes(), sealing_key(name), custodian_id=name)
        assert share.share.index == index
        assert share.key == held.key
    with pytest.raises(Conflict):
        deal_key(2, paths, tmp_path / "out")
    with pytest.raises(Malformed):
        deal_key(1, {"two": paths["one"]}, tmp_path / "other")
