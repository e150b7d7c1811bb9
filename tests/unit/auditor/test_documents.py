"""What a hub hands to people holds offline, and nothing else does: not one byte of it may change."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from auditor.cli import audit as program
from auditor.documents import check_document, check_planting, check_settlement, read_roots
from hub.lookup import first_trust_root, settlement_of
from privacy import envelope, trust
from privacy.envelope import Kind
from privacy.trust import TrustRoot
from protos.epochs import next_epoch
from protos.problems import Malformed, Problem, Refused, Unverified
from protos.v1 import ledger_pb2, reward_pb2
from runtime.identity import Role
from tests.simulator import EPOCH, key
from tests.unit.accounting.programmes.programmes import NAMES, coupon, programme
from tests.unit.hub.redeeming import RewardWorld, call, reward_world
from tests.unit.hub.test_redemption import BIKES, REWARDS, end, get, reserve

NEXT = next_epoch(EPOCH)


@dataclass(frozen=True)
class Handed:
    """Documents of each kind, as they were handed out, and the trust root to hold them against."""

    folder: Path
    roots: list[TrustRoot]
    now: int

    def json(self, name: str) -> dict[str, Any]:
        return dict(json.loads((self.folder / name).read_bytes()))

    def holds(self, name: str) -> dict[str, Any]:
        return check_document(self.folder / name, self.roots, now=self.now).to_json()

    def changed(self, name: str, **values: Any) -> Path:
        path = self.folder / f"changed-{name}"
        path.write_text(json.dumps(self.json(name) | values), encoding="utf-8")
        return path


@pytest.fixture(scope="module")
def handed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handed]:
    folder = tmp_path_factory.mktemp("documents")
    with reward_world(folder / "hub") as world:
        earn = {"all": {"names": NAMES, "ratio": [1, 10]}}
        rewards = {name: REWARDS[name] for name in ("badge", "steady", "tree")}
        rewards["bus"] = coupon(cost_points=100, partner="bus")
        world.publish_programme(programme(first_epoch=EPOCH, earn=earn, rewards=rewards).canonical_bytes())
        world.figures[BIKES, EPOCH] = [10_000] * 12
        world.close_epoch()
        for person in (0, 1):
            world.prove(person, BIKES, NEXT)
        world.deposit("city", "city", 100_000)
        for name in ("badge", "steady"):
            (folder / f"{name}.json").write_text(json.dumps(certified(world, name)), encoding="utf-8")
        for _ in range(2):
            taken(world, "bus", 0)
        taken(world, "tree", 1, quantity=2)
        world.hub.parts.writer.call(world.hub.ledger.seal)
        # The writer publishes between two jobs: the checkpoint covers the segment now.
        world.hub.parts.writer.call(lambda connection: None)
        [planted] = get(world, "/v1/programmes/city/plantings/tree")
        assert get(world, f"/v1/programmes/city/plantings/tree?since={planted['number'] + 1}") == []
        (folder / "tree.json").write_text(json.dumps(planted), encoding="utf-8")
        settled = settlement_of(world.opened, "bus", 0, None, now=1)
        (folder / "bus").mkdir()
        (folder / "bus" / "statement").write_bytes(settled.envelope)
        (folder / "bus" / "lines").write_bytes(
            b"".join(len(one).to_bytes(4, "big") + one for one in settled.lines)
        )
        (folder / "root.dsse").write_bytes(first_trust_root(world.opened) or b"")
        yield Handed(folder, read_roots([folder / "root.dsse"]), world.hub.parts.clock())


def taken(world: RewardWorld, reward: str, person: int, **changes: Any) -> reward_pb2.RewardOrder:
    order = world.order("city", reward, **changes)
    reserve(world, order, world.order_ticket(order, person, BIKES))
    end(world, "Confirm", order)
    return order


def certified(world: RewardWorld, reward: str) -> dict[str, str]:
    order = taken(world, reward, 1)
    with world.rewards(Role.NODE, BIKES) as stub:
        answer = call(stub.GetCertificate, reward_pb2.GetCertificateRequest(order_key=order.key))
    return {
        "certificate": base64.b64encode(answer.certificate).decode(),
        "salt": answer.salt.hex(),
        "account": answer.account.hex(),
    }


def test_a_bank_reads_a_threshold_and_no_history(handed: Handed) -> None:
    said = handed.holds("steady.json")
    assert (said["grams_min"], said["first_epoch"], said["last_epoch"]) == (9_900, "2020-01", "2020-12")
    assert "at least 9,900 g" in said["sentence"]
    assert handed.holds("badge.json")["grams_min"] == 0
    lines = CliRunner().invoke(
        program,
        [
            "check-document",
            str(handed.folder / "steady.json"),
            "--trust-root",
            str(handed.folder / "root.dsse"),
        ],
        standalone_mode=False,
    )
    # The simulated hub's clock is not ours: its certificate ran out, and the program says so.
    assert isinstance(lines.exception, Unverified)
    assert "run out" in lines.exception.message


def test_a_planting_is_proved_by_the_log(handed: Handed) -> None:
    said = handed.holds("tree.json")
    assert (said["programme"], said["reward"], said["lots"]) == ("city", "tree", 1)
    result = CliRunner().invoke(
        program,
        [
            "check-document",
            str(handed.folder / "tree.json"),
            "--trust-root",
            str(handed.folder / "root.dsse"),
            "--json",
        ],
        standalone_mode=False,
    )
    assert json.loads(result.stdout)["entry"] == said["entry"]


def test_a_partner_checks_what_it_is_owed(handed: Handed) -> None:
    said = handed.holds("bus")
    assert (said["partner"], said["lines"], said["fen"]) == ("bus", 2, 1_000)


@pytest.mark.parametrize("name", ["badge.json", "tree.json"])
def test_no_byte_of_a_document_may_change(handed: Handed, name: str) -> None:
    document = handed.json(name)
    for field, value in document.items():
        if not isinstance(value, str):
            continue
        for at in range(0, len(value), 3 if field in ("salt", "account") else 17):
            other = value[:at] + ("0" if value[at] != "0" else "1") + value[at + 1 :]
            if _only_signatures(field, value, other):
                continue
            with pytest.raises((Malformed, Unverified, Refused)):
                check_document(handed.changed(name, **{field: other}), handed.roots, now=handed.now)


def _only_signatures(field: str, one: str, other: str) -> bool:
    """Tell whether a change is in a checkpoint's signatures; test_tlog_proof tells which must hold."""
    return field == "tlog_proof" and one.rpartition("\n\n")[0] == other.rpartition("\n\n")[0]


def test_no_byte_of_a_statement_or_its_lines_may_change(handed: Handed) -> None:
    statement = (handed.folder / "bus" / "statement").read_bytes()
    lines = (handed.folder / "bus" / "lines").read_bytes()
    for at in range(len(lines)):
        with pytest.raises((Malformed, Unverified)):
            check_settlement(statement, lines[:at] + bytes([lines[at] ^ 1]) + lines[at + 1 :], handed.roots)
    for at in range(0, len(statement), 5):
        broken = statement[:at] + bytes([statement[at] ^ 1]) + statement[at + 1 :]
        with pytest.raises(Problem):
            check_settlement(broken, lines, handed.roots)
    with pytest.raises(Malformed, match="cut off"):
        check_settlement(statement, lines[:-1], handed.roots)


@pytest.mark.parametrize("seconds", [-10_000, 91 * 86_400])
def test_a_certificate_holds_for_its_time(handed: Handed, seconds: int) -> None:
    with pytest.raises(Unverified, match="not valid now"):
        check_document(handed.folder / "badge.json", handed.roots, now=handed.now + seconds)


def test_a_certificate_of_somebody_else_is_none(handed: Handed) -> None:
    other = handed.changed("badge.json", account=bytes(16).hex())
    with pytest.raises(Unverified, match="another holder's"):
        check_document(other, handed.roots, now=handed.now)


def test_another_document_or_another_hubs_is_refused(handed: Handed, tmp_path: Path) -> None:
    forged = ledger_pb2.JournalSegment(first=0, count=1, operations_root=bytes(32))
    signed = envelope.sign(forged.SerializeToString(), Kind.JOURNAL_SEGMENT, [key("auditor")])
    with pytest.raises((Malformed, Unverified)):
        check_planting({**handed.json("tree.json"), "segment": signed.hex()}, handed.roots)
    other = tmp_path / "other.json"
    other.write_text("{}", encoding="utf-8")
    with pytest.raises(Malformed, match="neither"):
        check_document(other, handed.roots, now=handed.now)
    for text in ("[]", "{", '{"certificate": 1}', '{"certificate": "?"}', '{"tlog_proof": ""}'):
        other.write_text(text, encoding="utf-8")
        with pytest.raises(Malformed, match="damaged" if text.startswith("{") else "Envelope"):
            check_document(other, handed.roots, now=handed.now)


def test_fewer_witnesses_than_the_trust_root_asks_for_are_not_enough(handed: Handed) -> None:
    strict = [dataclasses.replace(handed.roots[0], witness_quorum=1)]
    with pytest.raises(Unverified, match="cosigned"):
        check_planting(handed.json("tree.json"), strict)
    assert trust.verify_first((handed.folder / "root.dsse").read_bytes()).witness_quorum == 0
