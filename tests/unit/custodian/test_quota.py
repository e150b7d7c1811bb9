"""Quota and rate: charged together before the work, durable, and a retry of the same batch is free."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custodian import quota
from custodian.orders import Order
from custodian.quota import Rate
from custodian.store import Store
from privacy.trust import TrustRoot
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_QUOTA_EXCEEDED, REASON_RATE_EXCEEDED
from tests.unit.custodian.simulators import ENTERPRISE, Federation

MINUTE = 60_000_000
NOW = 1_600_000_000_000_000
RATE = Rate(per_minute=60, burst=100)


@pytest.fixture
def root(federation: Federation) -> TrustRoot:
    return federation.root


def order(number: int, elements: int, enterprise_id: str = ENTERPRISE) -> Order:
    return Order(enterprise_id, b"key", (1, 2), elements, number.to_bytes(32, "big"))


def limited(store: Store, root: TrustRoot, wanted: Order, now: int) -> str:
    before = store.totals()
    with pytest.raises(Refused) as caught:
        quota.charge(store, root, wanted, RATE, now=now)
    assert caught.value.reason == REASON_RATE_EXCEEDED
    assert store.totals() == before
    return caught.value.remedy


def test_bucket_empties_refills_and_says_when(tmp_path: Path, root: TrustRoot) -> None:
    store = Store(tmp_path / "custodian.db")
    assert quota.charge(store, root, order(1, 100), RATE, now=NOW) == 500
    assert "in 10 s" in limited(store, root, order(2, 10), NOW)
    assert "in 1 s" in limited(store, root, order(2, 10), NOW + 9_000_001)
    assert quota.charge(store, root, order(2, 10), RATE, now=NOW + 10_000_000) == 490
    assert quota.charge(store, root, order(3, 100), RATE, now=NOW + 10 * MINUTE) == 390
    limited(store, root, order(4, 1), NOW + 10 * MINUTE)


def test_repeated_batch_is_free_even_when_the_bucket_is_empty(tmp_path: Path, root: TrustRoot) -> None:
    store = Store(tmp_path / "custodian.db")
    quota.charge(store, root, order(1, 100), RATE, now=NOW)
    assert quota.charge(store, root, order(1, 100), RATE, now=NOW) == 500


def test_bucket_survives_a_restart(tmp_path: Path, root: TrustRoot) -> None:
    store = Store(tmp_path / "custodian.db")
    quota.charge(store, root, order(1, 100), RATE, now=NOW)
    store.close()
    limited(Store(tmp_path / "custodian.db"), root, order(2, 1), NOW)


def test_quota_is_said_before_the_rate_and_fills_nothing(tmp_path: Path, root: TrustRoot) -> None:
    store = Store(tmp_path / "custodian.db")
    with pytest.raises(Refused) as caught:
        quota.charge(store, root, order(1, 601), RATE, now=NOW)
    assert caught.value.reason == REASON_QUOTA_EXCEEDED
    assert quota.charge(store, root, order(2, 100), RATE, now=NOW) == 500


def test_one_enterprises_haste_delays_no_other(federation: Federation, tmp_path: Path) -> None:
    from tests.unit.custodian.simulators import enterprise

    root = federation.publish_root(enterprise(), enterprise("metro"))
    store = Store(tmp_path / "custodian.db")
    quota.charge(store, root, order(1, 100), RATE, now=NOW)
    limited(store, root, order(2, 1), NOW)
    assert quota.charge(store, root, order(2, 100, "metro"), RATE, now=NOW) == 500


def test_clock_set_back_locks_nobody_out_for_longer_than_a_refill() -> None:
    until = RATE.take("metro", 100, filled_until=0, now=NOW)
    year_ago = NOW - 365 * 24 * 60 * MINUTE
    with pytest.raises(Refused) as caught:
        RATE.take("metro", 100, filled_until=until, now=year_ago)
    assert "in 100 s" in caught.value.remedy


@given(
    per_minute=st.integers(1, 10**6),
    burst=st.integers(1, 10**6),
    asked=st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10 * MINUTE)), max_size=20),
)
def test_never_more_than_the_burst_and_the_rate(
    per_minute: int, burst: int, asked: list[tuple[int, int]]
) -> None:
    rate, filled, now, granted = Rate(per_minute, burst), 0, NOW, 0
    for elements, pause in asked:
        now += pause
        try:
            filled = rate.take("metro", elements, filled_until=filled, now=now)
        except Refused:
            continue
        granted += elements
        assert granted <= burst + 1 + (now - NOW) * per_minute // MINUTE


def test_file_of_the_version_before_is_taken_over(tmp_path: Path, root: TrustRoot) -> None:
    path = tmp_path / "custodian.db"
    store = Store(path)
    quota.charge(store, root, order(1, 10), RATE, now=NOW)
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE rate")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    again = Store(path)
    assert again.totals()[0] == 10
    assert quota.charge(again, root, order(2, 90), RATE, now=NOW) == 500
