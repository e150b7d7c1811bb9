"""The witness policy file: what is written is read back; what a trust root cannot say is refused."""

from __future__ import annotations

import pytest

from privacy import checkpoint
from privacy.witness_policy import PolicyWitness, WitnessPolicy, format_policy, parse_policy
from protos.problems import Malformed
from tests.simulator import ORIGIN, key

LOG = checkpoint.log_vkey(ORIGIN, key("log").verify_key)


def witness(name: str, url: str = "") -> PolicyWitness:
    return PolicyWitness(checkpoint.witness_vkey(f"{name}.example", key(name).verify_key), url)


def second_key(name: str) -> PolicyWitness:
    return PolicyWitness(checkpoint.subtree_vkey(f"{name}.example", key(name)))


ONE, TWO, THREE = witness("one", "https://one.example"), witness("two"), witness("three")


@pytest.mark.parametrize(
    "policy",
    [
        WitnessPolicy((), 0),
        WitnessPolicy((ONE,), 0),
        WitnessPolicy((ONE,), 1),
        WitnessPolicy((ONE, second_key("one"), TWO, THREE), 2),
    ],
)
def test_what_is_written_is_read_back(policy: WitnessPolicy) -> None:
    assert parse_policy(format_policy(LOG, policy).encode()) == policy


def test_comments_spaces_and_any_and_all() -> None:
    text = f"# ours\n\n witness\tx  {ONE.vkey}\nwitness y {TWO.vkey}\ngroup g all x y\nquorum g\n"
    assert parse_policy(text.encode()).quorum == 2
    assert parse_policy(text.replace("all", "any").encode()).quorum == 1
    alone = f"witness x {ONE.vkey}\nquorum x\n"
    assert parse_policy(alone.encode()).quorum == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no quorum"),
        (f"witness x {ONE.vkey}\n", "no quorum"),
        ("quorum none\nquorum none\n", "second quorum"),
        (f"witness none {ONE.vkey}\nquorum none\n", "taken"),
        (f"witness x {ONE.vkey}\nwitness x {TWO.vkey}\nquorum x\n", "taken"),
        (f"witness x {ONE.vkey}\nwitness y {ONE.vkey}\nquorum x\n", "of its own"),
        (f"witness x {LOG}\nquorum x\n", "of its own"),
        (f"witness x {ONE.vkey}\ngroup g 2 x\nquorum g\n", "cannot be had"),
        (f"witness x {ONE.vkey}\ngroup g 0 x\nquorum g\n", "number"),
        (f"witness x {ONE.vkey}\ngroup g 1 x z\nquorum g\n", "not defined"),
        (f"witness x {ONE.vkey}\nwitness y {TWO.vkey}\nquorum x\n", "all witnesses"),
        (
            f"witness x {ONE.vkey}\nwitness y {TWO.vkey}\ngroup g any x y\ngroup h 1 g\nquorum h\n",
            "members are",
        ),
        (f"witness x {ONE.vkey}\nwitness y {second_key('one').vkey}\ngroup g 1 x y\nquorum g\n", "twice"),
        ("rule x\nquorum none\n", "no line"),
    ],
)
def test_what_is_refused(text: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        parse_policy(text.encode())
