"""Persons become pseudonyms through any quorum; a silent custodian is passed over, a wrong one is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from enterprise_node import pseudonyms
from enterprise_node.chain import OwnChain
from enterprise_node.custodians import Quorum
from enterprise_node.egress import EgressJournal
from enterprise_node.outbox import Outbox
from enterprise_node.persons import Persons
from enterprise_node.pseudonyms import Pseudonymiser
from enterprise_node.rpc import GrpcCustodians
from enterprise_node.store import outward
from enterprise_node.store.database import Database
from enterprise_node.store.egress import EgressTable
from enterprise_node.store.enrolment import EnrolmentTable
from enterprise_node.store.outbox import OutboxTable
from enterprise_node.store.persons import SCHEMA as PERSON_SCHEMA
from enterprise_node.store.persons import PersonTable
from protos.problems import Refused, Unavailable, Unverified
from protos.v1.problem_pb2 import (
    REASON_PROOF_INVALID,
    REASON_QUORUM_UNAVAILABLE,
    REASON_QUOTA_EXCEEDED,
    REASON_RATE_EXCEEDED,
)
from runtime.retries import RetryPolicy
from tests.unit.enterprise_node.simulators import ENTERPRISE, LOCAL_KEYS, ORIGIN, Federation, signing_key

IMPATIENT = RetryPolicy(attempts_max=2, first_seconds=0.01, wait_seconds_max=0.01)
VALUES = [f"138{number:08d}" for number in range(20)]


class NoHub:
    """A hub nobody should call."""

    address = "nowhere:1"

    def submit(self, envelope: bytes, bodies: Sequence[bytes]) -> bytes:
        raise AssertionError("the hub has no part in this")


@dataclass
class Node:
    database: Database
    table: EnrolmentTable
    journal: EgressJournal
    persons: Persons
    custodians: GrpcCustodians
    pseudonymiser: Pseudonymiser

    def close(self) -> None:
        self.custodians.close()
        self.database.close()


def open_node(folder: Path, federation: Federation) -> Node:
    database = Database(folder / "state.db", (*outward.SCHEMAS, PERSON_SCHEMA))
    table = EnrolmentTable(database)
    persons = Persons(PersonTable(database), LOCAL_KEYS, "cn_mobile", consent_by_register=False)
    journal = EgressJournal(database, EgressTable(database), lambda: 1000.0)
    chain = OwnChain(
        database,
        OutboxTable(database),
        origin=ORIGIN,
        enterprise_id=ENTERPRISE,
        signing_key=signing_key(ENTERPRISE),
        keys=LOCAL_KEYS,
        clock=lambda: 1000.0,
    )
    custodians = GrpcCustodians(federation.node_identity())
    outbox = Outbox(
        chain,
        OutboxTable(database),
        journal,
        hub=NoHub(),
        custodians=custodians,
        check_receipt=lambda receipt, data: 0,
    )
    quorum = Quorum(
        chain,
        outbox,
        clock=lambda: 1000.0,
        policy=IMPATIENT,
        on_wait=lambda wait: None,
        workers=1,
        rate_rounds_max=3,
    )
    pseudonymiser = Pseudonymiser(database, table, persons, LOCAL_KEYS, quorum, workers=1)
    return Node(database, table, journal, persons, custodians, pseudonymiser)


@pytest.fixture
def federation() -> Iterator[Federation]:
    with Federation.build() as built:
        yield built


@pytest.fixture
def node(tmp_path: Path, federation: Federation) -> Iterator[Node]:
    opened = open_node(tmp_path, federation)
    yield opened
    opened.close()


def number(node: Node) -> list[int]:
    return [person for person in node.persons.number_all(VALUES).values() if person is not None]


def test_the_same_person_has_one_pseudonym_whoever_asks_whichever_quorum(
    tmp_path: Path, federation: Federation, node: Node
) -> None:
    first = node.pseudonymiser.pseudonymise(number(node), federation.root, ENTERPRISE)
    assert len(set(first.values())) == len(VALUES)
    assert all(len(pseudonym) == 16 for pseudonym in first.values())
    (tmp_path / "other").mkdir()
    other = open_node(tmp_path / "other", federation)
    next(custodian for custodian in federation.custodians if custodian.orders).stop()
    second = other.pseudonymiser.pseudonymise(number(other), federation.root, ENTERPRISE)
    other.close()
    assert list(second.values()) == list(first.values())


def test_known_persons_are_not_asked_for_again(federation: Federation, node: Node) -> None:
    persons = number(node)
    node.pseudonymiser.pseudonymise(persons[:5], federation.root, ENTERPRISE)
    before = [len(custodian.orders) for custodian in federation.custodians]
    node.pseudonymiser.pseudonymise(persons[:5], federation.root, ENTERPRISE)
    assert [len(custodian.orders) for custodian in federation.custodians] == before
    everything = node.pseudonymiser.pseudonymise(persons, federation.root, ENTERPRISE)
    assert len(everything) == len(persons)
    elements = [order.elements for one in federation.custodians for order in one.orders]
    assert sum(elements) == 2 * len(persons)


def test_a_silent_custodian_is_passed_over(federation: Federation, node: Node) -> None:
    for silent in federation.custodians:
        silent.stop()
        persons = node.persons.number_all([f"139{silent.share.index:08d}"])
        found = node.pseudonymiser.pseudonymise(
            [person for person in persons.values() if person is not None], federation.root, ENTERPRISE
        )
        assert len(found) == 1
        silent.start()


def test_without_a_quorum_the_batch_waits_and_the_same_bytes_go_out_later(
    tmp_path: Path, federation: Federation, node: Node
) -> None:
    federation.custodians[0].stop()
    federation.custodians[1].stop()
    persons = number(node)
    with pytest.raises(Unavailable) as caught:
        node.pseudonymiser.pseudonymise(persons, federation.root, ENTERPRISE)
    assert caught.value.reason == REASON_QUORUM_UNAVAILABLE
    assert "custodian-1" in str(caught.value)
    assert "custodian-2" in str(caught.value)
    federation.custodians[0].start()
    federation.custodians[1].start()
    node.close()
    again = open_node(tmp_path, federation)
    again.pseudonymiser.pseudonymise(persons, federation.root, ENTERPRISE)
    sent = [entry.sha256 for entry in again.journal.entries()]
    assert sent.count(sent[0]) > 2
    # The kept batch, and the other persons in three.
    assert len(set(sent)) == 4
    assert again.table.batches(federation.dealing.key_id) == []
    again.close()


def test_a_custodian_with_a_wrong_answer_is_named_and_its_answer_not_used(
    federation: Federation, node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    persons = number(node)
    honest = node.pseudonymiser.pseudonymise(persons, federation.root, ENTERPRISE)
    liar = federation.custodians[0]
    liar.is_lying = True
    node.database.execute("DELETE FROM pseudonym")
    # Each batch has its own quorum: the liar stays out of all of them once in 3^20 runs.
    for person in persons:
        node.pseudonymiser.pseudonymise([person], federation.root, ENTERPRISE)
    assert node.pseudonymiser.pseudonymise(persons, federation.root, ENTERPRISE) == honest
    records = [record for record in caplog.records if "proof does not hold" in record.message]
    assert {record.__dict__["custodian_id"] for record in records} == {liar.id}


def test_when_too_few_honest_custodians_are_left_all_liars_are_named(
    federation: Federation, node: Node
) -> None:
    for custodian in federation.custodians[:2]:
        custodian.is_lying = True
    with pytest.raises(Unverified) as caught:
        node.pseudonymiser.pseudonymise(number(node), federation.root, ENTERPRISE)
    assert caught.value.reason == REASON_PROOF_INVALID
    assert "custodian-1, custodian-2" in str(caught.value)
    assert node.table.pseudonyms(federation.dealing.key_id) == {}


def test_long_lists_go_in_batches(
    monkeypatch: pytest.MonkeyPatch, federation: Federation, node: Node
) -> None:
    monkeypatch.setattr(pseudonyms, "BATCH_PERSONS_MAX", 7)
    counts: list[int] = []
    node.pseudonymiser.pseudonymise(number(node), federation.root, ENTERPRISE, on_batch=counts.append)
    assert counts == [7, 7, 6]


def test_the_journal_holds_what_the_custodians_counted(federation: Federation, node: Node) -> None:
    node.pseudonymiser.pseudonymise(number(node), federation.root, ENTERPRISE)
    counted = set().union(*(custodian.batches for custodian in federation.custodians))
    entries = node.journal.entries()
    assert {entry.sha256 for entry in entries} == counted
    assert {entry.destination for entry in entries} <= {one.address for one in federation.custodians}
    assert all(entry.kind == "blinded-batch" for entry in entries)


def test_neither_identifier_nor_pseudonym_lies_open_in_the_state(
    tmp_path: Path, federation: Federation, node: Node
) -> None:
    found = node.pseudonymiser.pseudonymise(number(node), federation.root, ENTERPRISE)
    node.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    for value, pseudonym in zip(VALUES, found.values(), strict=True):
        assert value.encode() not in stored
        assert pseudonym not in stored


def test_quotas_are_drawn_on_evenly(federation: Federation, node: Node) -> None:
    persons = [person for person in node.persons.number_all(VALUES[:12]).values() if person is not None]
    node.pseudonymiser.pseudonymise(persons, federation.root, ENTERPRISE)
    counted = [sum(order.elements for order in one.orders) for one in federation.custodians]
    # 12 persons, 2 of 3 custodians: each evaluates 8.
    assert counted == [8, 8, 8]


def test_a_custodian_that_refuses_is_passed_over(federation: Federation, node: Node) -> None:
    federation.custodians[1].quota = 0
    found = node.pseudonymiser.pseudonymise(number(node), federation.root, ENTERPRISE)
    assert len(found) == len(VALUES)
    assert federation.custodians[1].batches == set()


def test_when_too_few_do_not_refuse_the_refusal_is_told(federation: Federation, node: Node) -> None:
    for custodian in federation.custodians[:2]:
        custodian.quota = 0
    with pytest.raises(Refused) as caught:
        node.pseudonymiser.pseudonymise(number(node), federation.root, ENTERPRISE)
    assert caught.value.reason == REASON_QUOTA_EXCEEDED


def test_a_custodian_that_asks_for_patience_is_asked_again(federation: Federation, node: Node) -> None:
    for custodian in federation.custodians:
        custodian.hasty = IMPATIENT.attempts_max + 1
    found = node.pseudonymiser.pseudonymise(number(node), federation.root, ENTERPRISE)
    assert len(found) == len(VALUES)


def test_a_rate_that_stays_exceeded_is_told_with_its_remedy(federation: Federation, node: Node) -> None:
    for custodian in federation.custodians:
        custodian.hasty = 1000
    with pytest.raises(Refused) as caught:
        node.pseudonymiser.pseudonymise(number(node), federation.root, ENTERPRISE)
    assert caught.value.reason == REASON_RATE_EXCEEDED
    assert "in 1 s" in caught.value.remedy
