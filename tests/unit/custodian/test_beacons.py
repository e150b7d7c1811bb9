"""A custodian evaluates an epoch over the one checkpoint that the log's rules allow, and over no other."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from custodian.beacons import BeaconEvaluator
from custodian.followed_log import FollowedLog
from custodian.holding import Holding
from custodian.share import KeyShare, Purpose
from custodian.store import Store
from privacy import beacon, trust
from privacy.pseudonyms import PseudonymKeyView
from privacy.trust import BeaconKey
from protos.problems import Conflict, Refused, Unavailable, Unverified
from runtime.log_follower import Entry
from runtime.log_mirror import LogMirror
from runtime.log_reader import FolderLog
from tests.simulator import CUSTODIANS, EPOCH, ORIGIN, Federation, beacon_dealing, enrolled

RANDOM = random.Random(3).randbytes
ASKED = {"commitment_required": True, "commitment_deadline_days": 20}
DEALT = beacon_dealing()
VIEW = PseudonymKeyView(DEALT.threshold, DEALT.commitments)
KEY = BeaconKey(beacon.key_id(DEALT.commitments[0]), DEALT.threshold, DEALT.commitments)


class Nobody:
    def take(self, entry: Entry) -> None:
        """Take an entry."""


def share(place: int = 0) -> KeyShare:
    return KeyShare(CUSTODIANS[place], VIEW, DEALT.shares[place], Purpose.BEACON)


class Custodian:
    """A custodian's parts, over a bundle that a federation is written into again as it grows."""

    def __init__(self, federation: Federation, folder: Path, held: KeyShare | None) -> None:
        folder.mkdir(exist_ok=True)
        self.federation, self.folder = federation, folder
        pinned = federation.entries[0].data
        self.show()
        self.log = FollowedLog(
            LogMirror(folder / "mirror", trust.verify_first(pinned).log_vkey),
            FolderLog(folder / "bundle"),
            pinned,
            Nobody(),
            refresh_seconds=1.0,
            clock=lambda: 0.0,
        )
        self.store = Store(folder / "custodian.db")
        holding = None if held is None else Holding(held)
        self.evaluator = BeaconEvaluator(holding, self.log, self.store, random=RANDOM)

    def show(self) -> None:
        self.federation.write_bundle(self.folder / "bundle")

    def evaluate(self, note: bytes) -> beacon.Part:
        return self.evaluator.evaluate(EPOCH, note)


def committed() -> Federation:
    made = enrolled(policy_changes=ASKED)
    for one in made.enterprises:
        made.commit(one.id)
        made.release(one.id)
    return made


def test_a_custodian_gives_its_proven_part_once_the_log_shows_that_it_is_due(tmp_path: Path) -> None:
    made = committed()
    custodian = Custodian(made, tmp_path, share())
    with pytest.raises(Refused, match="may still come"):
        custodian.evaluate(made.checkpoint())
    made.close()
    custodian.show()
    note = made.checkpoint()
    part = custodian.evaluate(note)
    text = note.partition(b"\n\n")[0] + b"\n"
    beacon.verify_part(part, beacon.beacon_input(ORIGIN, EPOCH, text), KEY)
    assert custodian.evaluate(note).evaluated == part.evaluated


def test_an_epoch_is_evaluated_over_one_checkpoint_for_good(tmp_path: Path) -> None:
    made = committed()
    made.close()
    first = made.checkpoint()
    custodian = Custodian(made, tmp_path, share())
    custodian.evaluate(first)
    made.publish_pack(made.packs[0].__class__("another", body=b"another pack"))
    custodian.show()
    with pytest.raises(Conflict, match="bound to another checkpoint"):
        custodian.evaluate(made.checkpoint())
    custodian.store.close()
    again = Custodian(made, tmp_path, share())
    with pytest.raises(Conflict):
        again.evaluate(made.checkpoint())
    again.evaluate(first)


def test_a_forged_checkpoint_or_a_beacon_in_the_log_is_refused(tmp_path: Path) -> None:
    made = committed()
    made.close()
    custodian = Custodian(made, tmp_path, share())
    with pytest.raises(Unverified):
        custodian.evaluate(made.checkpoint().replace(b"\n26\n", b"\n25\n").replace(b"A", b"B"))
    note = made.checkpoint()
    made.draw_beacon()
    custodian.show()
    with pytest.raises(Conflict, match="stands in entry"):
        custodian.evaluate(note)


def test_without_the_trust_roots_share_nothing_is_evaluated(tmp_path: Path) -> None:
    made = committed()
    made.close()
    with pytest.raises(Unavailable, match="no share"):
        Custodian(made, tmp_path / "none", None).evaluate(made.checkpoint())
    pseudonym = KeyShare(CUSTODIANS[0], VIEW, DEALT.shares[0], Purpose.PSEUDONYM)
    with pytest.raises(Unverified, match="does not name the key"):
        Custodian(made, tmp_path / "other", pseudonym).evaluate(made.checkpoint())


def test_a_share_says_what_it_is_for() -> None:
    assert KeyShare.decode(share().encode()) == share()
    assert share().key_id != KeyShare(CUSTODIANS[0], VIEW, DEALT.shares[0]).key_id
