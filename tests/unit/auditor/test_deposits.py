"""From a node whose hub takes nothing to the hub's own finding: deposit, missing, verification."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.app import Options, verify_source
from auditor.findings import Check, Result
from auditor.witness import Witness
from auditor.witness_home import WitnessHome, init_witness
from auditor.witness_server import WitnessServer
from privacy.deposits import format_request
from privacy.envelope import Kind, envelope_hash
from privacy.witnessing import Status
from runtime.posting import post
from tests.simulator import ISSUED_AT, ORIGIN, Federation, enrolled
from tests.unit.auditor.city import parts

DAYS = 20
DUE_AT = ISSUED_AT + DAYS * 86_400
RETAILER = "retailer"


@pytest.fixture
def home(tmp_path: Path) -> WitnessHome:
    made = init_witness(tmp_path / "witness", "witness.example/w1")
    made.follow(Federation(**parts()).log_vkey)
    return made


def awaited(home: WitnessHome) -> Federation:
    """Everybody but the retailer has answered; the witness stands in the trust root."""
    federation = enrolled(**parts(), policy_changes={"deadline_days": DAYS})
    root = federation.trust_root(version=2, previous=federation.state.trust.envelope_hash)
    root.witness_vkeys.append(str(home.keys.vkeys[0]))
    federation.publish_trust(root)
    federation.release("bike-share")
    return federation


def kept(folder: Path, data: bytes, statement: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "000004-reservation.envelope").write_bytes(data)
    (folder / "000004-reservation.deposit").write_bytes(statement)
    return folder


def checked(federation: Federation, folder: Path, deposits: Path) -> Result:
    trust_root = federation.write_bundle(folder / "bundle")
    options = Options(deposits=deposits)
    return verify_source(str(folder / "bundle"), trust_root, None, options).results[Check.DEPOSITS]


@pytest.mark.parametrize(("at", "is_found"), [(DUE_AT - 1, True), (DUE_AT, False)])
def test_missing_against_a_deposit_is_the_hubs_finding(
    home: WitnessHome, tmp_path: Path, at: int, is_found: bool
) -> None:
    federation = awaited(home)
    data = federation.signed(Kind.RESERVATION, federation.reservation(RETAILER), RETAILER)
    answer = Witness(home, clock=lambda: at).deposit(format_request(ORIGIN, envelope_hash(data)))
    assert answer.status is Status.OK
    index = federation.miss(RETAILER, issued_at=DUE_AT + 5).index
    result = checked(federation, tmp_path, kept(tmp_path / "deposits", data, answer.body))
    assert [one.place for one in result.findings] == ([f"entry {index}"] if is_found else [])
    assert all("the hub's finding" in one.message for one in result.findings)


def test_a_deposit_of_another_message_or_of_a_strangers_says_nothing(
    home: WitnessHome, tmp_path: Path
) -> None:
    federation = awaited(home)
    data = federation.signed(Kind.RESERVATION, federation.reservation(RETAILER), RETAILER)
    false = federation.signed(Kind.RESERVATION, federation.reservation(RETAILER), "stranger")
    federation.miss(RETAILER, issued_at=DUE_AT)
    witness = Witness(home, clock=lambda: DUE_AT - 1)
    word = witness.deposit(format_request(ORIGIN, envelope_hash(data))).body
    for number, (message, statement) in enumerate(
        ((false, word), (false, witness.deposit(format_request(ORIGIN, envelope_hash(false))).body))
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        result = checked(federation, folder, kept(folder / "deposits", message, statement))
        assert [one.place for one in result.findings] == ["000004-reservation.deposit"]


def test_the_witness_dates_hashes_of_its_logs_alone_over_http(home: WitnessHome) -> None:
    server = WitnessServer(Witness(home, clock=lambda: 7), "127.0.0.1:0")
    server.start()
    url = f"http://{server.address}"
    try:
        asked = {
            format_request(ORIGIN, bytes(32)): 200,
            format_request("other.example/log", bytes(32)): 404,
            b"nothing\n": 400,
            b"x" * 513: 413,
        }
        for body, status in asked.items():
            assert post(url, "/deposit", body, limit=4096).status == status
    finally:
        server.stop()
