from __future__ import annotations

import json

import pytest

from hub.store.parties import Party
from hub.trust_documents import Genesis, add_signature, parse_shared_key, propose
from privacy import trust
from privacy.checkpoint import log_vkey, subtree_vkey, witness_vkey
from privacy.witness_policy import PolicyWitness, WitnessPolicy
from protos.problems import Malformed, Refused, Unverified
from tests.simulator import ORIGIN, key
from tests.unit.hub.world import refused

GENESIS = Genesis(
    origin=ORIGIN,
    root_keys=[key(name).verify_key for name in ("operator", "regulator", "auditor")],
    root_threshold=2,
    policy_keys=[key("operator").verify_key],
    policy_threshold=1,
    log_vkey=str(log_vkey(ORIGIN, key("log").verify_key)),
    log_subtree_vkey=str(subtree_vkey(ORIGIN, key("log"))),
    hub_key=key("hub").verify_key,
    hub_ca=b"certificate",
)
KEY_FILE = {
    "key_id": "aa" * 16,
    "threshold": 2,
    "commitments": ["01" * 32, "02" * 32],
    "custodians": {"one": 1, "two": 2},
}


def party(role: str, party_id: str, **changes: object) -> Party:
    values: dict[str, object] = {
        "role": role,
        "id": party_id,
        "name": party_id,
        "name_zh": "",
        "public_key": key(party_id).verify_key.public,
        "address": "127.0.0.1:1",
        "sealing_key": b"",
        "evaluation_quota": 10,
        "joined_at": 0,
    }
    return Party(**{**values, **changes})  # type: ignore[arg-type]


PARTIES = [
    party("auditor", "auditor-one"),
    party("custodian", "one"),
    party("custodian", "two"),
    party("node", "bikes"),
]


def signed(proposal: bytes, *names: str) -> bytes:
    for name in names:
        proposal = add_signature(proposal, key(name))
    return proposal


def first(parties: list[Party] = PARTIES) -> bytes:
    key_file = parse_shared_key(json.dumps(KEY_FILE).encode())
    proposal = propose(GENESIS, parties, previous=None, pseudonym_key=key_file, issued_at=1)
    return signed(proposal, "operator", "regulator")


def test_the_first_trust_root_names_everybody_who_joined() -> None:
    root = trust.verify_first(first())
    assert [(one.id, one.index) for one in root.custodians] == [("one", 1), ("two", 2)]
    assert [one.id for one in root.enterprises] == ["bikes"]
    assert [one.id for one in root.auditors] == ["auditor-one"]
    assert root.pseudonym_key is not None
    assert root.hub_key.name == "hub"


def test_too_few_signatures_are_no_trust_root() -> None:
    proposal = propose(GENESIS, PARTIES, previous=None, pseudonym_key=None, issued_at=1)
    assert isinstance(refused(lambda: trust.verify_first(signed(proposal, "operator"))), Unverified)


def test_witnesses_are_named_and_stay_until_others_are() -> None:
    vkey = witness_vkey("witness.example", key("witness").verify_key)
    policy = WitnessPolicy((PolicyWitness(vkey, "http://127.0.0.1:1"),), 1)
    named = propose(GENESIS, PARTIES, previous=first(), pseudonym_key=None, issued_at=2, witnesses=policy)
    root = trust.describe(named)
    assert (root.witness_vkeys, root.witness_quorum) == ((vkey,), 1)
    kept = propose(
        GENESIS,
        PARTIES,
        previous=signed(named, "operator", "regulator"),
        pseudonym_key=None,
        issued_at=3,
    )
    assert trust.describe(kept).witness_quorum == 1


def test_signing_twice_changes_nothing() -> None:
    once = signed(first(), "auditor")
    assert signed(once, "auditor") == once


def test_the_next_version_follows_and_keeps_who_is_there() -> None:
    before = first()
    parties = [*PARTIES, party("node", "utility"), party("auditor", "auditor-two")]
    proposal = propose(GENESIS, parties, previous=before, pseudonym_key=None, issued_at=2)
    root = trust.verify_update(trust.verify_first(before), signed(proposal, "operator", "auditor"))
    assert root.version == 2
    assert [one.id for one in root.enterprises] == ["bikes", "utility"]
    assert [one.id for one in root.custodians] == ["one", "two"]
    assert [one.id for one in root.auditors] == ["auditor-one", "auditor-two"]


def test_a_party_that_joined_again_has_its_new_key_and_address() -> None:
    moved = [
        party("custodian", "one", address="127.0.0.1:9"),
        party("node", "bikes", public_key=key("bikes-new").verify_key.public),
    ]
    proposal = propose(GENESIS, moved, previous=first(), pseudonym_key=None, issued_at=2)
    root = trust.describe(proposal)
    assert root.custodian_by_id("one").address == "127.0.0.1:9"
    assert root.custodian_by_id("two").address == "127.0.0.1:1"
    assert root.enterprise("bikes").key == key("bikes-new").verify_key


def test_a_custodian_that_has_not_joined_is_named() -> None:
    problem = refused(lambda: first(PARTIES[:2]))
    assert isinstance(problem, Refused)
    assert "two" in problem.message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        json.dumps({**KEY_FILE, "threshold": 0}).encode(),
        json.dumps({**KEY_FILE, "key_id": "x"}).encode(),
    ],
)
def test_a_bad_pseudonym_key_file_is_refused(data: bytes) -> None:
    assert isinstance(refused(lambda: parse_shared_key(data)), Malformed)


def test_commitments_must_be_hex() -> None:
    bad = {**KEY_FILE, "commitments": ["zz" * 32, "02" * 32]}
    key_file = parse_shared_key(json.dumps(bad).encode())
    problem = refused(lambda: propose(GENESIS, PARTIES, previous=None, pseudonym_key=key_file, issued_at=1))
    assert isinstance(problem, Malformed)


def test_a_suspension_stays_until_it_is_lifted() -> None:
    def proposed(previous: bytes, **suspensions: bool) -> bytes:
        return propose(
            GENESIS, PARTIES, previous=previous, pseudonym_key=None, issued_at=2, suspensions=suspensions
        )

    suspended = proposed(first(), bikes=True)
    assert trust.describe(suspended).enterprise("bikes").suspended
    with pytest.raises(Refused):
        proposed(first(), nobody=True)


def following(previous: bytes, *, quotas: dict[str, int] | None = None, **changes: object) -> trust.TrustRoot:
    """Propose, sign and verify what follows a trust root, with a changed key file if there are changes."""
    key_file = parse_shared_key(json.dumps(KEY_FILE | changes).encode()) if changes else None
    proposal = propose(
        GENESIS, PARTIES, previous=previous, pseudonym_key=key_file, issued_at=2, quotas=quotas
    )
    return trust.verify_update(trust.verify_first(previous), signed(proposal, "operator", "regulator"))


def test_refreshed_shares_keep_the_keys_id() -> None:
    root = following(first(), commitments=["01" * 32, "09" * 32])
    assert root.pseudonym_key is not None
    assert root.pseudonym_key.key_id == bytes.fromhex(str(KEY_FILE["key_id"]))
    assert root.pseudonym_key.commitments[1] == bytes.fromhex("09" * 32)
    with pytest.raises(Unverified, match="keeps its id"):
        following(first(), commitments=["08" * 32, "09" * 32])


def test_a_rotation_raises_quotas_with_the_new_key_and_they_stay() -> None:
    changes = {"key_id": "bb" * 16, "commitments": ["08" * 32, "09" * 32]}
    root = following(first(), quotas={"bikes": 25}, **changes)
    assert root.pseudonym_key is not None
    assert root.pseudonym_key.key_id == bytes.fromhex("bb" * 16)
    assert root.enterprise("bikes").evaluation_quota == 25
    raised = propose(
        GENESIS, PARTIES, previous=first(), pseudonym_key=None, issued_at=2, quotas={"bikes": 25}
    )
    later = propose(GENESIS, PARTIES, previous=signed(raised, "operator"), pseudonym_key=None, issued_at=3)
    assert trust.describe(later).enterprise("bikes").evaluation_quota == 25
    with pytest.raises(Refused, match="nobody"):
        following(first(), quotas={"nobody": 25})
