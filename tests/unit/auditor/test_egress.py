"""What left a node is what is on record, both ways, or it is named."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from auditor import egress
from auditor.app import open_log
from auditor.cli import audit
from auditor.egress import Comparison, compare_egress, read_journal
from auditor.findings import Verdict
from privacy import envelope, kinds
from privacy.egress import EgressKind
from privacy.envelope import Kind
from privacy.standing import Role
from protos.problems import Malformed
from protos.v1 import release_pb2, roster_pb2
from tests.simulator import Federation, closed

BIKES = "bike-share"
TYPES: dict[Kind, Any] = {
    Kind.ROSTER_BATCH: roster_pb2.RosterBatch,
    Kind.RESERVATION: release_pb2.Reservation,
    Kind.RELEASE: release_pb2.Release,
}


class Journal:
    """A journal as an honest node writes it, of what the simulated enterprise sent."""

    def __init__(self, federation: Federation) -> None:
        self.rows: list[dict[str, Any]] = []
        self.add("join", (b"request",))
        for (_, enterprise_id), hashes in federation.batches.items():
            if enterprise_id == BIKES:
                for batch_hash in hashes:
                    self.add("blinded-batch", (), sha256=batch_hash, size=12 * 32 + 100)
        self.add("read", (b"checkpoint",))
        for entry in federation.entries:
            opened = envelope.open_envelope(entry.data)
            if opened.kind in TYPES and opened.parse(TYPES[opened.kind]).header.issuer == BIKES:
                self.add(opened.kind.value, (entry.data, *entry.bodies), envelope_hash=opened.envelope_hash)

    def add(
        self,
        kind: str,
        parts: tuple[bytes, ...],
        *,
        envelope_hash: bytes = b"",
        sha256: bytes = b"",
        size: int = 0,
    ) -> None:
        self.rows.append(
            {
                "time": 1_700_000_000,
                "destination": "hub.example:1",
                "kind": kind,
                "bytes": size or sum(map(len, parts)),
                "sha256": (sha256 or hashlib.sha256(b"".join(parts)).digest()).hex(),
                "envelope_hash": envelope_hash.hex(),
            }
        )

    def write(self, path: Path) -> Path:
        previous = bytes(32)
        for number, row in enumerate(self.rows, start=1):
            fields = (
                struct.pack(">QQQ", number, row["time"], row["bytes"]),
                row["destination"].encode(),
                row["kind"].encode(),
                bytes.fromhex(row["sha256"]),
                bytes.fromhex(row["envelope_hash"]),
            )
            digest = hashlib.sha256(previous)
            for one in fields:
                digest.update(struct.pack(">I", len(one)) + one)
            previous = digest.digest()
            row |= {"number": number, "chain": previous.hex()}
        path.write_text(json.dumps({"entries": self.rows}), encoding="utf-8")
        return path


@pytest.fixture(scope="module")
def federation() -> Federation:
    return closed()


@pytest.fixture
def journal(federation: Federation) -> Journal:
    return Journal(federation)


def compared(
    journal: Journal, federation: Federation, folder: Path, *, with_bodies: bool = True
) -> Comparison:
    trust_root = federation.write_bundle(folder / "bundle", with_bodies=with_bodies)
    with open_log(str(folder / "bundle"), trust_root) as (reader, root):
        return compare_egress(journal.write(folder / "journal.json"), reader, root, BIKES)


def places(found: Comparison) -> list[str]:
    return [place for place, _ in found.findings]


def test_an_honest_node_fits(journal: Journal, federation: Federation, tmp_path: Path) -> None:
    found = compared(journal, federation, tmp_path)
    assert found.verdict is Verdict.PASS, list(found.lines())
    assert (found.messages, found.batches) == (3, 2)


def test_a_retry_is_no_finding(journal: Journal, federation: Federation, tmp_path: Path) -> None:
    journal.rows.append(dict(journal.rows[-1]))
    assert compared(journal, federation, tmp_path).verdict is Verdict.PASS


def test_what_left_and_is_not_on_record(journal: Journal, federation: Federation, tmp_path: Path) -> None:
    journal.add("release", (b"x",), envelope_hash=bytes(32))
    journal.add("telemetry", (b"x",))
    found = compared(journal, federation, tmp_path)
    assert places(found) == [f"journal row {len(journal.rows) - 1}", f"journal row {len(journal.rows)}"]


def test_what_is_on_record_and_never_left(journal: Journal, federation: Federation, tmp_path: Path) -> None:
    journal.rows.pop()
    assert compared(journal, federation, tmp_path).findings[0][1].endswith("never sent it.")


def test_other_bytes_left(journal: Journal, federation: Federation, tmp_path: Path) -> None:
    journal.rows[-1]["sha256"] = bytes(32).hex()
    assert "Other bytes left" in compared(journal, federation, tmp_path).findings[0][1]


def test_without_bodies_it_is_open(journal: Journal, federation: Federation, tmp_path: Path) -> None:
    found = compared(journal, federation, tmp_path, with_bodies=False)
    assert found.verdict is Verdict.UNCHECKED


def test_a_batch_counted_but_never_sent(journal: Journal, federation: Federation, tmp_path: Path) -> None:
    journal.rows = [row for row in journal.rows if row["kind"] != "blinded-batch"]
    found = compared(journal, federation, tmp_path)
    assert "regulator" in found.findings[0][1]
    assert found.findings[0][0].startswith("batch ")


def test_a_batch_sent_but_never_counted_is_open(
    journal: Journal, federation: Federation, tmp_path: Path
) -> None:
    journal.add("blinded-batch", (), sha256=bytes(32), size=132)
    found = compared(journal, federation, tmp_path)
    assert (found.verdict, len(found.open)) == (Verdict.UNCHECKED, 1)


def test_more_elements_counted_than_left(journal: Journal, federation: Federation, tmp_path: Path) -> None:
    for row in journal.rows:
        if row["kind"] == "blinded-batch":
            row["bytes"] = 11 * 32
    assert "more elements" in compared(journal, federation, tmp_path).findings[0][1]


def test_a_changed_journal_is_found(journal: Journal, federation: Federation, tmp_path: Path) -> None:
    trust_root = federation.write_bundle(tmp_path / "bundle")
    path = journal.write(tmp_path / "journal.json")
    told = json.loads(path.read_text("utf-8"))
    told["entries"][2]["bytes"] += 1
    path.write_text(json.dumps(told), encoding="utf-8")
    with open_log(str(tmp_path / "bundle"), trust_root) as (reader, root):
        assert places(compare_egress(path, reader, root, BIKES))[0] == "journal row 3"
    path.write_text("[]", encoding="utf-8")
    with open_log(str(tmp_path / "bundle"), trust_root) as (reader, root), pytest.raises(Malformed):
        compare_egress(path, reader, root, BIKES)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bytes", -1),
        ("bytes", 1 << 64),
        ("time", float("inf")),
        ("number", "one"),
        ("destination", "\ud800"),
        ("kind", "\udfff"),
        ("chain", "xy"),
    ],
)
def test_a_field_that_no_journal_holds_is_malformed(
    journal: Journal, tmp_path: Path, field: str, value: Any
) -> None:
    path = journal.write(tmp_path / "journal.json")
    told = json.loads(path.read_text("utf-8"))
    told["entries"][1][field] = value
    path.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(Malformed, match="not an egress journal"):
        read_journal(path)


def test_the_command(journal: Journal, federation: Federation, tmp_path: Path) -> None:
    trust_root = federation.write_bundle(tmp_path / "bundle")
    path = journal.write(tmp_path / "journal.json")
    arguments = ["compare-egress", str(path), str(tmp_path / "bundle"), "--enterprise", BIKES]
    done = CliRunner().invoke(
        audit, [*arguments, "--trust-root", str(trust_root), "--json"], standalone_mode=False
    )
    assert json.loads(done.output)["verdict"] == "PASS"


def test_whatever_an_enterprise_may_log_can_be_compared_and_stands_in_its_journal() -> None:
    logged = kinds.signed_by(Role.ENTERPRISE)
    assert logged == set(egress._MESSAGES)
    assert {kind.value for kind in logged} <= set(EgressKind)
