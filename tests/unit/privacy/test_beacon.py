"""A beacon is one value whichever custodians answer, bound to its checkpoint; no part of it can be bent."""

from __future__ import annotations

import dataclasses
import random
from itertools import combinations

import pytest

from privacy import beacon, oprf, shares
from privacy.beacon import Part
from privacy.ciphersuite import Mode, hash_to_group
from privacy.ristretto import base_mult, mult
from privacy.trust import BeaconKey
from protos.epochs import Epoch
from protos.problems import Malformed, Problem, Unverified

RANDOM = random.Random(5)
SECRET = RANDOM.randbytes(31) + b"\0"
DEALING = shares.deal(threshold=2, count=3, random=RANDOM.randbytes, secret=SECRET)
KEY = BeaconKey(beacon.key_id(DEALING.commitments[0]), 2, DEALING.commitments)
MESSAGE = beacon.beacon_input("cgsp.example/log", Epoch(202012), b"checkpoint text\n")


def parts(*indices: int) -> list[Part]:
    return [beacon.evaluate(DEALING.shares[index - 1], MESSAGE, RANDOM.randbytes) for index in indices]


def test_every_quorum_gives_the_value_of_the_whole_key() -> None:
    whole = oprf.output(MESSAGE, mult(SECRET, hash_to_group(MESSAGE, Mode.VOPRF)))
    assert len(whole) == 64
    for quorum in combinations((1, 2, 3), 2):
        assert beacon.combine(parts(*quorum), MESSAGE, KEY) == whole


def test_input_binds_log_epoch_and_checkpoint_text() -> None:
    inputs = {
        beacon.beacon_input(origin, epoch, text)
        for origin in ("a", "b")
        for epoch in (Epoch(202012), Epoch(202101))
        for text in (b"one\n", b"two\n")
    }
    assert len(inputs) == 8


def test_a_key_of_the_same_public_element_has_another_name_than_for_pseudonyms() -> None:
    public = base_mult(SECRET)
    assert beacon.key_id(public) != shares.key_id(public)


def test_any_byte_of_a_part_changed_is_refused() -> None:
    first, second = parts(1, 3)
    for name in ("evaluated", "proof"):
        data = getattr(first, name)
        for at in range(len(data)):
            bent = dataclasses.replace(first, **{name: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]})
            with pytest.raises(Problem):
                beacon.combine([bent, second], MESSAGE, KEY)


def test_a_part_of_another_share_message_or_key_is_refused() -> None:
    first, second = parts(1, 2)
    with pytest.raises(Unverified, match="custodian 3"):
        beacon.verify_part(dataclasses.replace(first, index=3), MESSAGE, KEY)
    with pytest.raises(Unverified):
        beacon.combine([first, second], MESSAGE + b"x", KEY)
    other = shares.deal(threshold=2, count=3, random=RANDOM.randbytes)
    with pytest.raises(Unverified):
        beacon.combine([first, second], MESSAGE, dataclasses.replace(KEY, commitments=other.commitments))


@pytest.mark.parametrize("indices", [(1,), (1, 2, 3), (2, 1), (1, 1)])
def test_a_beacon_takes_exactly_threshold_parts_in_order(indices: tuple[int, ...]) -> None:
    with pytest.raises(Malformed):
        beacon.combine(parts(*indices), MESSAGE, KEY)
