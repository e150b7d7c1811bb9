"""Answering: charged before the work, and no enterprise delays another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from custodian.evaluation import Evaluator, Turns
from custodian.followed_log import FollowedLog
from custodian.holding import Holding
from custodian.quota import Rate
from custodian.share import open_from_ceremony
from custodian.store import Batch, Store
from privacy import pseudonyms, ristretto, trust
from privacy.pseudonyms import BlindedBatch
from protos.problems import Malformed, Refused, Unavailable
from protos.v1.problem_pb2 import REASON_BUSY, REASON_QUOTA_EXCEEDED
from runtime.log_follower import Entry
from runtime.log_mirror import LogMirror
from tests.unit.custodian.simulators import ENTERPRISE, Federation, blind, enterprise, sealing_key


class Ignoring:
    """Takes no interest in entries."""

    def take(self, entry: Entry) -> None:
        pass


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "custodian.db")


@pytest.fixture
def woken() -> list[int]:
    return []


@pytest.fixture
def evaluator(federation: Federation, store: Store, tmp_path: Path, woken: list[int]) -> Evaluator:
    pinned = federation.roots[0]
    log = FollowedLog(
        LogMirror(tmp_path / "mirror", trust.verify_first(pinned).log_vkey),
        federation.hub.reader,
        pinned,
        Ignoring(),
        refresh_seconds=1,
        clock=lambda: 0.0,
    )
    share = open_from_ceremony(
        federation.ceremony.sealed_shares["regulator"], sealing_key("regulator"), custodian_id="regulator"
    )
    return Evaluator(
        Holding(share),
        log,
        store,
        Turns(2),
        Rate(per_minute=60_000, burst=65_535),
        clock=lambda: 1_600_000_000.0,
        random=os.urandom,
        threads=1,
        on_charged=lambda: woken.append(store.used(ENTERPRISE)),
    )


def test_answer_is_proven_and_what_is_left_is_told(federation: Federation, evaluator: Evaluator) -> None:
    batch = blind("a", "b")
    found = evaluator.evaluate(ENTERPRISE, federation.order("regulator", batch.blinded), batch.blinded)
    pseudonyms.verify_answer(found.answer, batch.blinded, federation.ceremony.key, (1, 2))
    assert found.quota_left == 600 - 2


def test_charge_is_on_disk_before_the_work_and_stays_if_the_work_fails(
    federation: Federation, evaluator: Evaluator, store: Store, woken: list[int]
) -> None:
    bad = BlindedBatch(blind("a").blinded + ristretto.IDENTITY, (), b"")
    with pytest.raises(Malformed):
        evaluator.evaluate(ENTERPRISE, federation.order("regulator", bad.blinded), bad.blinded)
    assert woken == [2]
    assert store.totals() == (2, 2)


def test_a_raised_quota_is_read_from_the_log_before_an_order_is_refused(
    federation: Federation, evaluator: Evaluator, store: Store
) -> None:
    assert store.charge(Batch(ENTERPRISE, bytes(32), bytes(32), 600), 600) == 0
    federation.publish_root(enterprise(quota=903))
    batch = blind("a", "b")
    order = federation.order("regulator", batch.blinded)
    assert evaluator.evaluate(ENTERPRISE, order, batch.blinded).quota_left == 0
    other = blind("c")
    with pytest.raises(Refused) as caught:
        evaluator.evaluate(ENTERPRISE, federation.order("regulator", other.blinded), other.blinded)
    assert caught.value.reason == REASON_QUOTA_EXCEEDED


def test_refused_order_charges_nothing(
    federation: Federation, evaluator: Evaluator, store: Store, woken: list[int]
) -> None:
    batch = blind("a")
    with pytest.raises(Refused):
        evaluator.evaluate(ENTERPRISE, federation.order("auditor", batch.blinded), batch.blinded)
    assert woken == []
    assert store.totals() == (0, 0)


def test_enterprise_with_all_its_turns_taken_delays_nobody_else() -> None:
    turns = Turns(2)
    with turns.turn("bikeshare"), turns.turn("bikeshare"):
        with pytest.raises(Unavailable) as caught, turns.turn("bikeshare"):
            pass
        assert caught.value.reason == REASON_BUSY
        with turns.turn("metro"):
            pass
    with turns.turn("bikeshare"):
        pass


def test_failed_call_gives_its_turn_back() -> None:
    turns = Turns(1)
    for _ in range(3):
        with pytest.raises(KeyError), turns.turn("bikeshare"):
            raise KeyError
