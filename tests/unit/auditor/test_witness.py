"""A witness keeps its word: the standard's status codes, no two histories, evidence of whoever tried."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from auditor.cli import audit
from auditor.witness import Witness, visit
from auditor.witness_home import WitnessHome, init_witness
from auditor.witness_server import WitnessServer
from privacy import checkpoint, merkle
from privacy.checkpoint import Checkpoint
from privacy.merkle import leaf_hash
from privacy.witnessing import SIZE_TYPE, AddCheckpoint, Status, format_request, parse_lines
from protos.problems import Conflict, Malformed, Unverified
from runtime.log_reader import FolderLog
from tests.simulator import ORIGIN, closed, enrolled, key

LOG_KEY = key("log")
VKEY = checkpoint.log_vkey(ORIGIN, LOG_KEY.verify_key)
NOW = 1_700_000_000
LEAVES = [leaf_hash(b"entry %d" % number) for number in range(40)]
OTHER = [*LEAVES[:5], leaf_hash(b"another history"), *LEAVES[6:]]


def signed(leaves: list[bytes], *, by: str = "log", origin: str = ORIGIN) -> bytes:
    return checkpoint.sign_checkpoint(Checkpoint(origin, len(leaves), merkle.root_of_hashes(leaves)), key(by))


def request(old: int, leaves: list[bytes], note: bytes | None = None) -> bytes:
    proof = merkle.consistency_proof(leaves, old) if old <= len(leaves) else []
    return format_request(AddCheckpoint(old, tuple(proof), note or signed(leaves)))


@pytest.fixture
def home(tmp_path: Path) -> WitnessHome:
    made = init_witness(tmp_path / "witness", "witness.example/w1")
    made.follow(VKEY)
    return made


@pytest.fixture
def witness(home: WitnessHome) -> Witness:
    return Witness(home, clock=lambda: NOW)


def test_growth_is_cosigned_with_both_keys(witness: Witness, home: WitnessHome) -> None:
    for old, new in ((0, 3), (3, 3), (3, 8), (8, 33)):
        note = signed(LEAVES[:new])
        answer = witness.add_checkpoint(request(old, LEAVES[:new], note))
        assert answer.status is Status.OK, answer
        cosigned = checkpoint.append_lines(note, answer.body)
        for vkey in home.keys.vkeys:
            assert checkpoint.verify_cosignature(cosigned, vkey) == NOW
        assert checkpoint.cosigners(cosigned, home.keys.vkeys) == {"witness.example/w1"}
        assert parse_lines(checkpoint.parse_note(note), answer.body, home.keys.vkeys) == answer.body
    assert home.cosigned(ORIGIN).size == 33


def test_a_first_checkpoint_of_an_empty_log(witness: Witness) -> None:
    assert witness.add_checkpoint(request(0, [])).status is Status.OK
    false = checkpoint.sign_checkpoint(Checkpoint(ORIGIN, 0, bytes(32)), LOG_KEY)
    assert witness.add_checkpoint(request(0, [], false)).status is Status.UNPROCESSABLE_ENTITY


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", Status.BAD_REQUEST),
        (b"old 01\n\n" + signed(LEAVES[:3]), Status.BAD_REQUEST),
        (b"old 0\nAAAA\n\n" + signed(LEAVES[:3]), Status.BAD_REQUEST),
        (b"old 0\n\nno checkpoint\n", Status.BAD_REQUEST),
        (b"old 0\n" + b"A" * 43 + b"=\n" * 64 + b"\n" + signed(LEAVES[:3]), Status.BAD_REQUEST),
        (request(9, LEAVES[:8]), Status.BAD_REQUEST),
        (request(0, LEAVES[:3], signed(LEAVES[:3], origin="other.example/log")), Status.NOT_FOUND),
        (request(0, LEAVES[:3], signed(LEAVES[:3], by="operator")), Status.FORBIDDEN),
        (request(3, LEAVES[:8]), Status.CONFLICT),
    ],
)
def test_what_is_refused_at_once(witness: Witness, body: bytes, status: Status) -> None:
    assert witness.add_checkpoint(body).status is status


def test_a_false_signature_beside_the_true_one_is_forbidden(witness: Witness) -> None:
    note = signed(LEAVES[:3])
    false = signed(LEAVES[:4]).rpartition(b"\n\n")[2]
    assert witness.add_checkpoint(request(0, LEAVES[:3], note + false)).status is Status.FORBIDDEN


def test_unknown_keys_are_ignored(witness: Witness) -> None:
    stranger = checkpoint.subtree_vkey("stranger.example", key("stranger"))
    note = checkpoint.cosign(signed(LEAVES[:3]), stranger, key("stranger"), time=1)
    assert witness.add_checkpoint(request(0, LEAVES[:3], note)).status is Status.OK


def test_the_known_size_is_told(witness: Witness) -> None:
    witness.add_checkpoint(request(0, LEAVES[:8]))
    answer = witness.add_checkpoint(request(0, LEAVES[:9]))
    assert (answer.status, answer.body, answer.content_type) == (Status.CONFLICT, b"8\n", SIZE_TYPE)


@pytest.mark.parametrize(
    ("old", "leaves"),
    [(8, OTHER[:8]), (8, OTHER[:20])],
    ids=["another root at the same size", "a fork further on"],
)
def test_a_fork_is_refused_and_kept(
    witness: Witness, home: WitnessHome, old: int, leaves: list[bytes]
) -> None:
    first = signed(LEAVES[:8])
    witness.add_checkpoint(request(0, LEAVES[:8], first))
    assert witness.add_checkpoint(request(old, leaves)).status is Status.UNPROCESSABLE_ENTITY
    kept = json.loads(home.evidence()[0].read_text("utf-8"))
    assert kept["cosigned_before"].encode() == first
    # Both histories bear the log's own signature: that is the proof.
    assert checkpoint.open_checkpoint(kept["request"].partition("\n\n")[2].encode(), VKEY)
    assert home.cosigned(ORIGIN).root == merkle.root_of_hashes(LEAVES[:8])
    assert witness.add_checkpoint(request(8, LEAVES[:9])).status is Status.OK


def test_any_byte_of_a_proof_changed_is_refused(witness: Witness) -> None:
    witness.add_checkpoint(request(0, LEAVES[:7]))
    proof = merkle.consistency_proof(LEAVES[:33], 7)
    for number, item in enumerate(proof):
        for position in range(len(item)):
            changed = item[:position] + bytes([item[position] ^ 1]) + item[position + 1 :]
            lines = (*proof[:number], changed, *proof[number + 1 :])
            body = format_request(AddCheckpoint(7, lines, signed(LEAVES[:33])))
            assert witness.add_checkpoint(body).status is Status.UNPROCESSABLE_ENTITY


def test_memory_outlives_the_process_and_is_never_turned_back(home: WitnessHome) -> None:
    Witness(home, clock=lambda: NOW).add_checkpoint(request(0, LEAVES[:8]))
    again = Witness(WitnessHome(home.folder), clock=lambda: NOW)
    assert again.add_checkpoint(request(0, OTHER[:8])).status is Status.CONFLICT
    next((home.folder / "state").iterdir()).write_text("{", encoding="utf-8")
    with pytest.raises(Unverified):
        again.add_checkpoint(request(8, LEAVES[:9]))


def test_two_histories_at_once_get_one_cosignature(home: WitnessHome) -> None:
    answers: list[Status] = []
    homes = [WitnessHome(home.folder) for _ in range(8)]
    bodies = [request(0, (LEAVES if number % 2 else OTHER)[:8]) for number in range(8)]

    def ask(number: int) -> None:
        answers.append(Witness(homes[number], clock=lambda: NOW).add_checkpoint(bodies[number]).status)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [Status.OK] + [Status.CONFLICT] * 7


def test_a_witness_is_made_once_and_a_log_keeps_its_key(home: WitnessHome) -> None:
    with pytest.raises(Conflict):
        init_witness(home.folder, "witness.example/w1")
    with pytest.raises(Conflict):
        home.follow(checkpoint.log_vkey(ORIGIN, key("operator").verify_key))
    with pytest.raises(Malformed):
        init_witness(home.folder.parent / "other", "two words")


@pytest.fixture
def server(witness: Witness) -> Iterator[WitnessServer]:
    served = WitnessServer(witness, "127.0.0.1:0")
    served.start()
    yield served
    served.stop()


def call(server: WitnessServer, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes, str]:
    connection = http.client.HTTPConnection(server.address, timeout=5)
    connection.request(method, path, body)
    response = connection.getresponse()
    found = response.status, response.read(), response.headers.get("Content-Type", "")
    connection.close()
    return found


def test_over_http(server: WitnessServer) -> None:
    assert call(server, "POST", "/add-checkpoint", request(0, LEAVES[:8]))[0] == 200
    assert call(server, "POST", "/add-checkpoint", request(0, LEAVES[:9])) == (409, b"8\n", SIZE_TYPE)
    assert call(server, "POST", "/other", b"")[0] == 404
    assert call(server, "GET", "/add-checkpoint")[0] == 404
    assert call(server, "GET", "/livez")[0] == 200
    assert call(server, "POST", "/add-checkpoint", b"x" * 200_000)[0] == 413


def test_once_cosigns_a_folder_and_refuses_its_fork(tmp_path: Path) -> None:
    home = init_witness(tmp_path / "witness", "witness.example/w1")
    witness = Witness(home, clock=lambda: NOW)
    grown = enrolled()
    root = grown.state.trust
    grown.write_bundle(tmp_path / "first")
    assert visit(home, witness, FolderLog(tmp_path / "first"), root).size == len(grown.entries)
    grown.release("bike-share")
    grown.write_bundle(tmp_path / "second")
    seen = visit(home, witness, FolderLog(tmp_path / "second"), root)
    assert (seen.before, seen.size) == (len(grown.entries) - 2, len(grown.entries))
    for fork in (enrolled(), closed(batch_min=2)):
        fork.write_bundle(tmp_path / f"fork-{len(fork.entries)}")
        with pytest.raises(Unverified, match="Not cosigned"):
            visit(home, witness, FolderLog(tmp_path / f"fork-{len(fork.entries)}"), root)
    assert len(home.evidence()) == 2


def test_the_commands(tmp_path: Path) -> None:
    home = ["--home", str(tmp_path / "witness"), "--json"]
    made = CliRunner().invoke(audit, ["witness", "init", "--name", "witness.example/w1", *home])
    assert len(json.loads(made.output)["vkeys"]) == 2
    trust_root = enrolled().write_bundle(tmp_path / "bundle")
    arguments = ["once", str(tmp_path / "bundle"), "--trust-root", str(trust_root)]
    out = tmp_path / "cosigned"
    once = CliRunner().invoke(audit, ["witness", *arguments, "--out", str(out), *home])
    assert json.loads(once.output)["size"] > 0, once.output
    vkeys = WitnessHome(tmp_path / "witness").keys.vkeys
    assert checkpoint.cosigners(out.read_bytes(), vkeys) == {"witness.example/w1"}
    shown = CliRunner().invoke(audit, ["witness", "show", *home])
    assert json.loads(shown.output)["evidence"] == []
