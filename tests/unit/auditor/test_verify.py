"""A whole audit: clean logs pass, dishonesty is found and named, what is missing is never a pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auditor.app import verify, verify_source
from auditor.findings import Check, Results, Verdict
from auditor.report import Report
from privacy import checkpoint, codec, envelope, rosters, trust
from privacy.charges import ALL_ENTERPRISES
from privacy.checkpoint import Checkpoint
from privacy.envelope import Kind
from privacy.merkle import Tree, leaf_hash
from privacy.standing import HUB_ID, Role
from protos.epochs import Epoch
from protos.v1 import books_pb2, custodian_pb2
from protos.v1.release_pb2 import NOTHING_REASON_DECLARED_OUTAGE
from tests import simulator
from tests.simulator import CUSTODIANS, EPOCH, Federation, Logged, begun, closed, enrolled, key
from tests.unit.auditor.city import audited, found, metered, parts, real_packs

JANUARY = Epoch(202101)


def city(*epochs: Epoch, **changes: Any) -> Federation:
    return closed(*epochs, **{**parts(), **changes})


def tampered_close(federation: Federation, change: Callable[[books_pb2.EpochClose], Any]) -> None:
    """Log a close the rules accept and the books contradict."""
    message = federation.close_message()
    change(message)
    federation.append(federation.signed(Kind.EPOCH_CLOSE, message, HUB_ID))


def released(**changes: Any) -> Federation:
    federation = enrolled(**{**parts(), **changes})
    for one in federation.enterprises:
        federation.release(one.id)
    return federation


# What holds passes.


def test_a_clean_log_passes_with_every_check_made(tmp_path: Path) -> None:
    report = audited(city(EPOCH, JANUARY), tmp_path)
    assert report.verdict is Verdict.PASS
    assert report.verdict.exit_code == 0
    for result in report.results.all():
        # Receipts and deposits are handed over by nodes, programmes and tickets are optional: none here.
        optional = (
            Check.LEDGERS,
            Check.ISSUANCES,
            Check.RECEIPTS,
            Check.DEPOSITS,
            Check.PROGRAMMES,
            Check.TICKETS,
            Check.COMMITMENTS,
            Check.BEACONS,
        )
        assert result.examined > 0 or result.check in optional, result.check
    assert report.figures["accounts"]["epoch"] == "2021-01"
    assert report.figures["accounts"]["accounts"] == 20
    assert report.figures["accounts"]["in_two_or_more"] == 6
    cost = {"person_day": "3/2", "person_month": "33/2", "active_days": 31, "enterprises": 1}
    assert report.figures["cost"]["retailer"] == cost
    assert report.figures["cost"][ALL_ENTERPRISES]["person_day"] == "3"
    assert sum("whole cost" in line for line in report.lines()) == 3
    assert set(report.figures["population"]) == {"2020-12", "2021-01"}
    assert report.figures["population"]["2020-12"]["grams"]["halfwidth_95"] > 0


def test_the_report_is_json_and_text(tmp_path: Path) -> None:
    report = audited(city(), tmp_path)
    told = json.loads(json.dumps(report.to_json()))
    assert told["verdict"] == "PASS"
    assert [one["check"] for one in told["checks"]] == [check.value for check in Check]
    text = "\n".join(report.lines())
    assert text.startswith("PASS")
    assert "全部核验通过" in text


def test_an_empty_log_but_for_its_trust_root_passes_what_there_is(tmp_path: Path) -> None:
    federation = Federation(**parts())
    federation.publish_trust()
    assert audited(federation, tmp_path).verdict is Verdict.PASS


def test_a_person_who_comes_back_needs_no_new_evaluation(tmp_path: Path) -> None:
    federation = city()
    federation.enrol("bike-share", [], effective=JANUARY, withdrawn=[3])
    federation.enrol("bike-share", [3], effective=JANUARY)
    for one in federation.enterprises:
        federation.release(one.id, JANUARY)
    federation.close(JANUARY)
    assert found(audited(federation, tmp_path)) == []


def test_changed_trust_roots_are_followed(tmp_path: Path) -> None:
    federation = city()
    before = federation.state.trust
    root = federation.trust_root(version=2, previous=before.envelope_hash)
    root.enterprises[0].key.CopyFrom(key("renewed").verify_key.to_wire())
    federation.publish_trust(root)
    message = federation.reservation("bike-share", JANUARY)
    federation.append(federation.signed(Kind.RESERVATION, message, "renewed"))
    assert audited(federation, tmp_path).verdict is Verdict.PASS


# What is missing is never a pass.


def test_without_bodies_nothing_passes(tmp_path: Path) -> None:
    report = audited(city(), tmp_path, with_bodies=False)
    assert report.verdict is Verdict.UNCHECKED
    assert report.verdict.exit_code == 3
    assert found(report) == []
    unchecked = {result.check for result in report.results.all() if result.unchecked}
    assert {Check.BODIES, Check.ACCOUNTS, Check.PACKS, Check.PSEUDONYMS} <= unchecked
    assert "not at hand" in "\n".join(report.lines())


def test_one_entrys_bodies_missing_is_unchecked(tmp_path: Path) -> None:
    federation = city()
    federation.write_bundle(tmp_path / "bundle")
    index = next(number for number, entry in enumerate(federation.entries) if len(entry.bodies) == 2)
    for position in range(2):
        (tmp_path / f"bundle/bodies/0/{index}-{position}").unlink()
    report = verify_source(str(tmp_path / "bundle"), tmp_path / "trust-root", None)
    assert report.verdict is not Verdict.PASS


def test_another_trust_root_checks_nothing(tmp_path: Path) -> None:
    federation = city()
    federation.write_bundle(tmp_path / "bundle")
    other = tmp_path / "other"
    other.write_bytes(Federation(**parts()).signed(Kind.TRUST_ROOT, federation.trust_root(), "operator"))
    report = verify_source(str(tmp_path / "bundle"), other, None)
    assert found(report) == [("trust-root", "trust root")]
    assert report.verdict is Verdict.FINDINGS


def test_a_log_that_begins_otherwise_than_pinned_is_found(tmp_path: Path) -> None:
    federation = city()
    federation.write_bundle(tmp_path / "bundle")
    again = tmp_path / "again"
    again.write_bytes(federation.signed(Kind.TRUST_ROOT, federation.trust_root(), "operator", "auditor"))
    report = verify_source(str(tmp_path / "bundle"), again, None)
    assert ("trust-root", "entry 0") in found(report)


# A dishonest hub.


@pytest.mark.parametrize(
    "change",
    [
        lambda message: setattr(message, "total_mg", message.total_mg + 1),
        lambda message: setattr(message, "accounts", message.accounts + 1),
        lambda message: setattr(message, "accounts_in_two_or_more", 0),
        lambda message: setattr(message, "accounts_root", bytes(32)),
    ],
)
def test_books_off_by_one_are_found(tmp_path: Path, change: Callable[[Any], Any]) -> None:
    federation = released()
    tampered_close(federation, change)
    report = audited(federation, tmp_path)
    assert found(report) == [("accounts", f"entry {federation.state.size - 1}")]
    assert report.verdict.exit_code == 1


def test_a_release_left_out_of_the_books_is_found(tmp_path: Path) -> None:
    federation = enrolled(**parts())
    for one in federation.enterprises:
        federation.release(one.id)
    kept = federation.entries
    federation.entries = [entry for entry in kept if entry is not kept[-1]]
    message = federation.close_message()
    federation.entries = kept
    federation.append(federation.signed(Kind.EPOCH_CLOSE, message, HUB_ID))
    assert ("accounts", f"entry {federation.state.size - 1}") in found(audited(federation, tmp_path))


@pytest.mark.parametrize("forgotten", [0, 8, 19])
def test_a_person_the_hub_gives_no_account_is_found(tmp_path: Path, forgotten: int) -> None:
    federation = begun(Federation(**parts()))
    for one in federation.enterprises:
        for custodian_id in CUSTODIANS[:2]:
            federation.count(custodian_id, one.id, len(one.persons))
        federation.enrol(one.id, one.persons, effective=EPOCH)
    federation.link([person for person in range(20) if person != forgotten])
    for one in federation.enterprises:
        federation.release(one.id)
    federation.close()
    assert found(audited(federation, tmp_path)) == [("accounts", "links")]


def test_silence_is_a_finding(tmp_path: Path) -> None:
    federation = enrolled(**parts())
    federation.release("bike-share")
    federation.close()
    report = audited(federation, tmp_path)
    assert found(report) == [("completeness", f"entry {federation.state.size - 1}")]
    assert "retailer" in report.results.findings[0].message


def test_a_signed_silence_is_none(tmp_path: Path) -> None:
    federation = enrolled(**parts())
    federation.release("bike-share")
    federation.nothing_to_report("retailer", NOTHING_REASON_DECLARED_OUTAGE)
    federation.close()
    assert audited(federation, tmp_path).verdict is Verdict.PASS


def rewritten(federation: Federation, index: int, data: bytes, bodies: list[bytes] | None = None) -> Report:
    """Verify a log whose operator replaced one entry and signed the result."""
    entries = list(federation.entries)
    entries[index] = Logged(data, entries[index].bodies if bodies is None else bodies)
    reader = Rewritten(entries)
    pinned = federation.entries[0].data
    results = Results()
    return verify("rewritten", reader, pinned, trust.verify_first(pinned), results)


class Rewritten:
    """A log in memory, signed over whatever it holds."""

    def __init__(self, entries: list[Logged]) -> None:
        self._entries = entries
        self._tree = Tree(leaf_hash(entry.data) for entry in entries)

    def checkpoint(self) -> bytes:
        head = Checkpoint(simulator.ORIGIN, self._tree.size, self._tree.root())
        return checkpoint.sign_checkpoint(head, key("log"))

    def tile(self, level: int, index: int, width: int = 256) -> bytes:
        return self._tree.nodes(8 * level, 256 * index, width)

    def entries(self, index: int, width: int = 256) -> bytes:
        mine = self._entries[256 * index : 256 * index + width]
        return b"".join(len(entry.data).to_bytes(2, "big") + entry.data for entry in mine)

    def body(self, index: int, position: int) -> bytes | None:
        return self._entries[index].bodies[position]

    def bodies(self, index: int) -> list[bytes] | None:
        return self._entries[index].bodies


@pytest.mark.parametrize(
    ("kind", "signer"),
    [
        (Kind.PACK, "stranger"),
        (Kind.POLICY, "stranger"),
        (Kind.COUNT_REPORT, HUB_ID),
        (Kind.ROSTER_BATCH, HUB_ID),
        (Kind.RESERVATION, HUB_ID),
        (Kind.RELEASE, HUB_ID),
        (Kind.LINK_BATCH, "stranger"),
        (Kind.EPOCH_CLOSE, "stranger"),
    ],
)
def test_entries_signed_by_another_are_found(kind: Kind, signer: str) -> None:
    federation = city()
    index, opened = next(
        (number, opened)
        for number, entry in enumerate(federation.entries)
        if (opened := envelope.open_envelope(entry.data)).kind is kind
    )
    report = rewritten(federation, index, envelope.sign(opened.payload, kind, [key(signer)]))
    assert ("entries", f"entry {index}") in found(report)
    assert report.verdict is Verdict.FINDINGS


def test_a_history_with_an_entry_cut_out_is_found() -> None:
    federation = city()
    for index in range(1, len(federation.entries) - 1):
        reader = Rewritten(federation.entries[:index] + federation.entries[index + 1 :])
        pinned = federation.entries[0].data
        report = verify("cut", reader, pinned, trust.verify_first(pinned), Results())
        assert report.verdict is Verdict.FINDINGS, index


def test_exchanged_openings_are_found_and_named() -> None:
    federation = city()
    index = next(number for number, entry in enumerate(federation.entries) if len(entry.bodies) == 2)
    entry = federation.entries[index]
    opening = rosters.parse_opening(entry.bodies[1])
    swapped = opening.pseudonyms[16:32] + opening.pseudonyms[:16] + opening.pseudonyms[32:]
    bodies = [entry.bodies[0], rosters.encode_opening(0, opening.salts, swapped)]
    report = rewritten(federation, index, entry.data, bodies)
    assert found(report)[0][0] == "bodies"
    assert f"entry {index}" in found(report)[0][1]


# Policies and counts.


def test_a_policy_whose_reach_is_below_what_its_packs_prove_is_found(tmp_path: Path) -> None:
    for name in ("reach_grams", "sum_reach_grams", "count_reach"):
        federation = closed(**parts(**{name: 1}))
        report = audited(federation, tmp_path / name)
        assert found(report) == [("packs", "policy 1, bike-share")]


@pytest.mark.parametrize(
    ("lie", "hidden"),
    [
        ({}, []),
        ({"later": {}}, ["measure main 12 months later"]),
        ({"sum_later": {}}, ["histogram sums 12 months later"]),
    ],
)
def test_what_a_day_moves_later_is_proved_from_the_packs(
    lie: dict[str, Any], hidden: list[str], tmp_path: Path
) -> None:
    report = audited(closed(EPOCH, **metered(**lie)), tmp_path)
    told = [finding.message for finding in report.results[Check.PACKS].findings]
    assert all(one in said for one, said in zip(hidden, told, strict=True))


def test_a_pack_that_does_not_compile_is_found(tmp_path: Path) -> None:
    given = parts()
    first = next(iter(real_packs().values()))
    broken = first.canonical_bytes().replace(b'"formula"', b'"formulo"')
    given["packs"][0] = replace(given["packs"][0], body=broken)
    report = audited(closed(**given), tmp_path)
    assert ("packs", f"pack {first.id}@{first.version}") in found(report)


def test_persons_enrolled_without_evaluations_are_found(tmp_path: Path) -> None:
    federation = city()
    federation.enrol("retailer", [50, 51], effective=JANUARY)
    assert found(audited(federation, tmp_path)) == [("pseudonyms", "retailer")]


def test_evaluations_nobody_was_enrolled_for_are_found(tmp_path: Path) -> None:
    federation = city()
    for custodian_id in CUSTODIANS[:2]:
        federation.count(custodian_id, "retailer", 1)
    assert found(audited(federation, tmp_path / "found")) == [("pseudonyms", "retailer")]
    # One beside 14 persons is more than 71 in a thousand and less than 72.
    for per_mille, expected in ((71, [("pseudonyms", "retailer")]), (72, [])):
        lenient = city(unmatched_per_mille=per_mille)
        for custodian_id in CUSTODIANS[:2]:
            lenient.count(custodian_id, "retailer", 1)
        assert found(audited(lenient, tmp_path / str(per_mille))) == expected


def test_a_batch_fewer_than_the_threshold_saw_gives_no_pseudonyms(tmp_path: Path) -> None:
    federation = city()
    federation.count(CUSTODIANS[2], "retailer", 14)
    assert found(audited(federation, tmp_path)) == []


def test_counts_that_contradict_each_other_are_found(tmp_path: Path) -> None:
    federation = city()
    report = custodian_pb2.CountReport(
        header=federation.header(Role.CUSTODIAN, CUSTODIANS[2]),
        enterprise_id="retailer",
        key_id=simulator.KEY_ID,
        evaluations_total=99,
    )
    batch = federation.batches[CUSTODIANS[0], "retailer"][0]
    report.batches.add(batch_hash=batch, elements=99)
    federation.append(envelope.sign(codec.encode(report), Kind.COUNT_REPORT, [key(CUSTODIANS[2])]))
    assert ("pseudonyms", f"batch {batch.hex()}") in found(audited(federation, tmp_path))


def test_a_custodian_beyond_the_quota_is_found(tmp_path: Path) -> None:
    given = parts()
    given["enterprises"][1] = replace(given["enterprises"][1], quota=3)
    assert found(audited(closed(**given), tmp_path)) == [("pseudonyms", "retailer")] * 2


# Witnesses.


def test_too_few_witnesses_are_a_finding(tmp_path: Path) -> None:
    federation = Federation(**parts())
    witness = checkpoint.witness_vkey("witness.example", key("witness").verify_key)
    root = federation.trust_root()
    root.witness_vkeys.append(str(witness))
    root.witness_quorum = 1
    federation.publish_trust(root)
    assert found(audited(federation, tmp_path / "none")) == [("checkpoint", "checkpoint")]
    trust_root = federation.write_bundle(tmp_path / "one")
    note = tmp_path / "one/checkpoint"
    note.write_bytes(checkpoint.cosign(note.read_bytes(), witness, key("witness"), time=1_700_000_000))
    assert verify_source(str(tmp_path / "one"), trust_root, None).verdict is Verdict.PASS
