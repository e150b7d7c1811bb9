"""The ceremony without a dealer, through its files: all end with one key, and whoever cheats is named."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from custodian import exchange, steps
from custodian.ceremony import Recipient
from custodian.cli import custodian
from custodian.exchange import Party, Plan
from custodian.setup import Opened
from custodian.share import KeyFile, Purpose, open_from_ceremony
from privacy import beacon, ristretto, sealing, shares
from privacy.pseudonyms import combine_batch, evaluate_batch
from privacy.shares import Share
from privacy.trust import BeaconKey
from protos.problems import Conflict, Malformed, Problem, Refused, Unavailable, Unverified
from tests.unit.custodian.simulators import CUSTODIANS, Federation, blind, sealing_key, signing_key

Forge = Callable[[Plan, dict[str, Any]], None]


@dataclass
class Table:
    """A folder that all custodians reach, and their homes."""

    folder: Path
    homes: dict[str, Path]
    publics: dict[str, Path]

    def begin(self, threshold: int = 2) -> Plan:
        return steps.begin(self.publics, self.folder, threshold=threshold)

    def exchange(self, *names: str) -> None:
        for name in names or self.homes:
            steps.exchange(self.homes[name], self.folder)

    def finish(self, *names: str) -> dict[str, steps.Finished]:
        return {name: steps.finish(self.homes[name], self.folder) for name in names or self.homes}


@pytest.fixture
def table(federation: Federation, tmp_path: Path) -> Table:
    homes, publics = {}, {}
    for name in CUSTODIANS:
        homes[name] = federation.home(name).home.folder
        publics[name] = homes[name] / "custodian.pub"
        publics[name].write_bytes(Recipient.of(name, signing_key(name), sealing_key(name)).encode())
    return Table(tmp_path / "session", homes, publics)


def party(name: str) -> Party:
    signing, sealing_ = signing_key(name), sealing_key(name)
    return Party(Recipient.of(name, signing, sealing_), signing, sealing_)


def forge(table: Table, name: str, change: Forge, kind: str = "contribution") -> None:
    """Change what a custodian shows, signed by itself."""
    agreed = exchange.read_plan((table.folder / steps.PLAN_FILE).read_bytes())
    path = table.folder / f"{name}.{kind}"
    body = json.loads(json.loads(path.read_bytes())["body"])
    change(agreed, body)
    tag = exchange._CONTRIBUTION if kind == "contribution" else exchange._CERTIFICATE
    path.write_bytes(exchange._signed(tag, body, signing_key(name)))


def test_all_end_with_one_key_and_any_quorum_works(table: Table) -> None:
    table.begin()
    table.exchange()
    table.exchange()
    ended = table.finish()
    key = next(iter(ended.values())).share.key
    assert {one.share.key for one in ended.values()} == {key}
    described = KeyFile.decode((table.folder / "pseudonym-key.json").read_bytes())
    assert described == KeyFile(key, {name: index for index, name in enumerate(CUSTODIANS, start=1)})
    opened = {}
    for index, name in enumerate(CUSTODIANS, start=1):
        sealed = (table.folder / f"{name}.share").read_bytes()
        opened[index] = open_from_ceremony(sealed, sealing_key(name), custodian_id=name).share
    found = set()
    for quorum in ((1, 2), (1, 3), (2, 3)):
        batch = blind("one", "two")
        answers = [evaluate_batch(opened[index], quorum, batch.blinded, os.urandom) for index in quorum]
        found.add(tuple(combine_batch(batch, answers, key, quorum)))
    assert len(found) == 1


def test_a_beacon_key_is_drawn_and_renewed_like_the_other_and_says_what_it_is_for(
    table: Table, tmp_path: Path
) -> None:
    steps.begin(table.publics, table.folder, threshold=2, purpose=Purpose.BEACON)
    table.exchange()
    table.exchange()
    ended = table.finish()
    assert not (table.folder / "pseudonym-key.json").exists()
    file = table.folder / "beacon-key.json"
    described = KeyFile.decode(file.read_bytes())
    assert described.purpose is Purpose.BEACON
    key_id = beacon.key_id(described.key.commitments[0])
    assert {one.share.key_id for one in ended.values()} == {key_id}
    key = BeaconKey(key_id, 2, described.key.commitments)
    parts = [beacon.evaluate(ended[name].share.share, b"input", os.urandom) for name in CUSTODIANS[:2]]
    value = beacon.combine(parts, b"input", key)
    for name, home in table.homes.items():
        Opened.load(home).resting(Purpose.BEACON).write(ended[name].share, os.urandom)
    renewed = dataclasses.replace(table, folder=tmp_path / "refresh")
    steps.begin_refresh(table.publics, renewed.folder, key_file=file)
    renewed.exchange()
    renewed.exchange()
    fresh = renewed.finish()
    again = KeyFile.decode((renewed.folder / "beacon-key.json").read_bytes())
    assert again.key.commitments != described.key.commitments
    key = BeaconKey(key_id, 2, again.key.commitments)
    parts = [beacon.evaluate(fresh[name].share.share, b"input", os.urandom) for name in CUSTODIANS[1:]]
    assert beacon.combine(parts, b"input", key) == value


def test_no_secret_lies_open_in_the_folder(table: Table) -> None:
    table.begin()
    table.exchange()
    table.exchange()
    ended = table.finish()
    for path in table.folder.iterdir():
        for one in ended.values():
            secret = one.share.share.secret
            assert secret not in path.read_bytes()
            assert secret.hex().encode() not in path.read_bytes()


def test_each_step_says_who_is_missing_and_repeats_the_same_bytes(table: Table) -> None:
    table.begin()
    first = steps.exchange(table.homes["regulator"], table.folder)
    assert first.contributions_missing == ["auditor", "operator"]
    assert first.certificates_missing == list(CUSTODIANS)
    with pytest.raises(Unavailable, match="auditor, operator"):
        steps.finish(table.homes["regulator"], table.folder)
    path = table.folder / "regulator.contribution"
    said = path.read_bytes()
    path.unlink()
    table.exchange("regulator")
    assert path.read_bytes() == said
    table.exchange("auditor", "operator", "regulator")
    with pytest.raises(Unavailable, match=r"auditor\.certificate"):
        table.finish("regulator")


def test_file_changed_under_a_custodians_name_is_noticed_by_it(table: Table) -> None:
    table.begin()
    table.exchange("regulator")
    other = exchange.contribute(
        exchange.read_plan((table.folder / steps.PLAN_FILE).read_bytes()), party("regulator"), os.urandom
    )
    (table.folder / "regulator.contribution").write_bytes(other)
    with pytest.raises(Malformed, match="not what this custodian wrote"):
        table.exchange("regulator")


def _shifted(agreed: Plan, body: dict[str, Any]) -> None:
    """Deal the regulator a scalar off the polynomial."""
    secret = agreed.context + bytes([2, 1]) + ristretto.scalar(7)
    body["sealed"]["1"] = sealing.seal_to(secret, agreed.recipients[1].sealing_key).hex()


def _replayed(agreed: Plan, body: dict[str, Any]) -> None:
    """Give the regulator what was sealed to somebody else's place."""
    body["sealed"]["1"] = sealing.seal_to(
        agreed.context + bytes([2, 3]) + ristretto.scalar(7), agreed.recipients[1].sealing_key
    ).hex()


def _left_out(agreed: Plan, body: dict[str, Any]) -> None:
    del body["sealed"]["1"]


def _unproven(agreed: Plan, body: dict[str, Any]) -> None:
    body["proof"] = "11" * 64


def _recommitted(agreed: Plan, body: dict[str, Any]) -> None:
    body["commitments"][1] = ristretto.base_mult(ristretto.scalar(5)).hex()


def _elsewhere(agreed: Plan, body: dict[str, Any]) -> None:
    body["session"] = bytes(32).hex()


@pytest.mark.parametrize("change", [_shifted, _replayed, _left_out, _unproven, _recommitted, _elsewhere])
def test_cheat_is_named_and_nothing_is_certified(table: Table, change: Forge) -> None:
    table.begin()
    table.exchange("auditor", "operator")
    forge(table, "auditor", change)
    with pytest.raises(Unverified, match="custodian auditor"):
        table.exchange("regulator")
    assert not (table.folder / "regulator.certificate").exists()


def test_every_changed_byte_of_a_contribution_is_noticed(table: Table) -> None:
    agreed = table.begin()
    data = exchange.contribute(agreed, party("auditor"), os.urandom)
    read = exchange.read_contribution(agreed, 2, data)
    for place in range(0, len(data), 7):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        try:
            found = exchange.read_contribution(agreed, 2, changed)
        except Problem:
            continue
        # Outside the signed body only white space may change.
        assert (found.contribution, found.sealed) == (read.contribution, read.sealed)


def test_two_contributions_of_one_custodian_are_found_out_by_the_certificates(table: Table) -> None:
    agreed = table.begin()
    table.exchange()
    steps.exchange(table.homes["regulator"], table.folder)
    second = exchange.contribute(agreed, party("operator"), os.urandom)
    (table.folder / "operator.contribution").write_bytes(second)
    table.exchange("auditor")
    with pytest.raises(Unverified, match="regulator saw another contribution of operator"):
        table.finish("auditor")


def test_certificate_that_lies_about_the_transcript_is_refused(table: Table) -> None:
    table.begin()
    table.exchange()
    table.exchange()

    def lie(_: Plan, body: dict[str, Any]) -> None:
        body["transcript"] = bytes(32).hex()

    forge(table, "operator", lie, "certificate")
    with pytest.raises(Unverified, match="operator"):
        table.finish("regulator")


def test_key_file_of_another_key_is_not_taken_for_this_sessions(table: Table) -> None:
    table.begin()
    table.exchange()
    table.exchange()
    table.finish("regulator")
    path = table.folder / "pseudonym-key.json"
    path.write_bytes(path.read_bytes().replace(b'"threshold": 2', b'"threshold": 3'))
    with pytest.raises(Conflict, match="another key"):
        table.finish("auditor")
    assert not (table.folder / "auditor.share").exists()


def test_stranger_and_exchanged_keys_are_refused(table: Table, tmp_path: Path) -> None:
    table.publics["operator"].write_bytes(
        Recipient.of("operator", signing_key("operator"), sealing_key("x")).encode()
    )
    table.begin()
    with pytest.raises(Refused, match="operator"):
        table.exchange("operator")
    del table.publics["operator"]
    smaller = Table(tmp_path / "other", table.homes, table.publics)
    smaller.begin()
    with pytest.raises(Refused):
        smaller.exchange("operator")
    with pytest.raises(Conflict):
        smaller.begin()
    with pytest.raises(Malformed):
        Table(tmp_path / "third", table.homes, table.publics).begin(threshold=3)


def key_file(federation: Federation, tmp_path: Path) -> Path:
    path = tmp_path / "pseudonym-key.json"
    path.write_bytes(federation.ceremony.key_file)
    return path


def test_refresh_of_a_dealers_key_keeps_it(federation: Federation, table: Table, tmp_path: Path) -> None:
    steps.begin_refresh(table.publics, table.folder, key_file=key_file(federation, tmp_path))
    table.exchange()
    table.exchange()
    ended = table.finish()
    old, new = federation.ceremony.key, ended["auditor"].share.key
    assert new.key_id == old.key_id
    assert new.commitments[0] == old.commitments[0]
    assert new.commitments != old.commitments
    with pytest.raises(Unverified):
        shares.verify_share(Share(2, ended["auditor"].share.share.secret), old.commitments)


def test_refresh_is_among_the_registered_custodians(
    federation: Federation, table: Table, tmp_path: Path
) -> None:
    described = json.loads(federation.ceremony.key_file)
    described["custodians"] = {"regulator": 2, "auditor": 1, "operator": 3}
    path = tmp_path / "swapped.json"
    path.write_text(json.dumps(described))
    steps.begin_refresh(table.publics, table.folder, key_file=path)
    with pytest.raises(Unverified, match="than the trust root"):
        table.exchange("regulator")


def test_refresh_needs_the_share_of_the_commitments_it_renews(table: Table, tmp_path: Path) -> None:
    commitments = [ristretto.base_mult(ristretto.scalar(number)).hex() for number in (5, 6)]
    path = tmp_path / "other.json"
    indices = {name: index for index, name in enumerate(CUSTODIANS, start=1)}
    described = {"threshold": 2, "commitments": commitments, "custodians": indices}
    described["key_id"] = shares.key_id(bytes.fromhex(commitments[0])).hex()
    path.write_text(json.dumps(described))
    steps.begin_refresh(table.publics, table.folder, key_file=path)
    table.exchange("auditor", "operator")
    with pytest.raises(Refused, match="holds no share"):
        table.exchange("regulator")


def test_commands_lead_through_the_whole_ceremony(table: Table) -> None:
    run = CliRunner().invoke
    named = [word for name, path in table.publics.items() for word in ("--recipient", f"{name}={path}")]
    folder = str(table.folder)
    begun = run(custodian, ["ceremony", "begin", "--threshold", "2", *named, "--out", folder, "--json"])
    assert begun.exit_code == 0, begun.output
    for _ in range(2):
        for home in table.homes.values():
            done = run(custodian, ["ceremony", "exchange", "--home", str(home), folder, "--json"])
            assert json.loads(done.stdout)["session"] == json.loads(begun.stdout)["session"]
    assert json.loads(done.stdout)["certificates_missing"] == []
    ended = [
        run(custodian, ["ceremony", "finish", "--home", str(home), folder, "--json"])
        for home in table.homes.values()
    ]
    assert [json.loads(one.stdout)["index"] for one in ended] == [1, 2, 3]
    assert len({json.loads(one.stdout)["key_id"] for one in ended}) == 1


def test_dealers_ceremony_stays_one_command(table: Table) -> None:
    named = [word for name, path in table.publics.items() for word in ("--recipient", f"{name}={path}")]
    words = ["ceremony", "--threshold", "2", *named, "--out", str(table.folder), "--json"]
    done = CliRunner().invoke(custodian, words)
    assert set(json.loads(done.stdout)["shares"]) == set(CUSTODIANS)


def test_commands_refuse_half_a_ceremony(table: Table) -> None:
    run = CliRunner().invoke
    for words in (
        ["ceremony"],
        ["ceremony", "--threshold", "2", "begin", "--out", "x"],
        ["ceremony", "begin", "--out", str(table.folder), "--recipient", "a=b"],
    ):
        assert run(custodian, words).exit_code == 2
