"""Charges are exact, survive a restart, and never exceed the lower of allowance and ceiling."""

from __future__ import annotations

import sqlite3
import tempfile
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enterprise_node.budget import BudgetLedger, PlannedCharge, Unit, check_clamps
from enterprise_node.configuration import Ceilings
from enterprise_node.store.charges import SCHEMA, ChargeTable
from enterprise_node.store.database import Database
from protos.epochs import Epoch
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_BUDGET_EXCEEDED, REASON_CEILING_EXCEEDED
from protos.v1.release_pb2 import PRIVACY_UNIT_PERSON_DAY, PRIVACY_UNIT_PERSON_MONTH

EPOCHS = (Epoch(202012), Epoch(202101))
ALLOWANCE: dict[Unit, Fraction] = {
    PRIVACY_UNIT_PERSON_DAY: Fraction(1, 2),
    PRIVACY_UNIT_PERSON_MONTH: Fraction(1),
}


def open_ledger(folder: Path, ceilings: Ceilings | None = None) -> tuple[Database, BudgetLedger]:
    database = Database(folder / "state.db", (SCHEMA,))
    return database, BudgetLedger(database, ChargeTable(database), ceilings or Ceilings())


def day(epsilon: Fraction, series: str = "statement/life") -> PlannedCharge:
    return PlannedCharge(series, PRIVACY_UNIT_PERSON_DAY, epsilon)


epsilons = st.fractions(min_value=Fraction(1, 1000), max_value=Fraction(3, 4), max_denominator=2**40)
reservations = st.lists(
    st.tuples(st.sampled_from(EPOCHS), st.sampled_from(list(ALLOWANCE)), epsilons), max_size=12
)


@settings(max_examples=60, deadline=None)
@given(reservations)
def test_no_sequence_of_reservations_exceeds_the_allowance_and_no_charge_is_lost(
    asked: list[tuple[Epoch, Unit, Fraction]],
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected: dict[tuple[Epoch, Unit], Fraction] = {}
        for number, (epoch, unit, epsilon) in enumerate(asked):
            database, ledger = open_ledger(folder)
            before = expected.get((epoch, unit), Fraction())
            nonce = number.to_bytes(16, "big")
            if before + epsilon <= ALLOWANCE[unit]:
                ledger.reserve(epoch, [PlannedCharge("series", unit, epsilon)], ALLOWANCE, nonce)
                expected[epoch, unit] = before + epsilon
            else:
                with pytest.raises(Refused) as caught:
                    ledger.reserve(epoch, [PlannedCharge("series", unit, epsilon)], ALLOWANCE, nonce)
                assert caught.value.reason == REASON_BUDGET_EXCEEDED
            database.close()
        database, ledger = open_ledger(folder)
        for epoch in EPOCHS:
            for unit, limit in ALLOWANCE.items():
                spent = expected.get((epoch, unit), Fraction())
                assert ledger.spent(epoch, unit) == spent <= limit
                assert ledger.remaining(epoch, unit, ALLOWANCE) == limit - spent
        database.close()


def test_a_reservation_is_charged_whole_or_not_at_all(tmp_path: Path) -> None:
    database, ledger = open_ledger(tmp_path)
    too_much = [
        day(Fraction(1, 4)),
        PlannedCharge("histogram/region_domain/sum", PRIVACY_UNIT_PERSON_MONTH, Fraction(2)),
    ]
    with pytest.raises(Refused):
        ledger.reserve(EPOCHS[0], too_much, ALLOWANCE, b"n" * 16)
    assert ledger.charges(EPOCHS[0]) == []
    database.close()


def test_committing_changes_the_state_and_not_the_sum(tmp_path: Path) -> None:
    database, ledger = open_ledger(tmp_path)
    ledger.reserve(EPOCHS[0], [day(Fraction(1, 3))], ALLOWANCE, b"n" * 16)
    assert [charge.state for charge in ledger.charges(EPOCHS[0])] == ["reserved"]
    ledger.commit(b"n" * 16)
    assert [charge.state for charge in ledger.charges(EPOCHS[0])] == ["committed"]
    assert ledger.spent(EPOCHS[0], PRIVACY_UNIT_PERSON_DAY) == Fraction(1, 3)
    database.close()


def test_the_same_nonce_and_series_cannot_be_charged_twice(tmp_path: Path) -> None:
    database, ledger = open_ledger(tmp_path)
    ledger.reserve(EPOCHS[0], [day(Fraction(1, 10))], ALLOWANCE, b"n" * 16)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        ledger.reserve(EPOCHS[0], [day(Fraction(1, 10))], ALLOWANCE, b"n" * 16)
    assert ledger.spent(EPOCHS[0], PRIVACY_UNIT_PERSON_DAY) == Fraction(1, 10)
    database.close()


def test_a_policy_above_the_nodes_own_epsilon_is_refused(tmp_path: Path) -> None:
    database, ledger = open_ledger(tmp_path, Ceilings.model_validate({"person_day_epsilon": "1/5"}))
    ledger.reserve(EPOCHS[0], [day(Fraction(1, 5))], ALLOWANCE, b"a" * 16)
    with pytest.raises(Refused) as caught:
        ledger.reserve(EPOCHS[0], [day(Fraction(1, 10**12))], ALLOWANCE, b"b" * 16)
    assert caught.value.reason == REASON_CEILING_EXCEEDED
    assert "ceilings.person_day_epsilon" in caught.value.remedy
    database.close()


@pytest.mark.parametrize(
    ("days", "month"), [({"life": 1001}, 1), ({"life": 0, "other": 2000}, 1), ({"life": 1}, 5001)]
)
def test_a_policy_above_the_nodes_own_clamps_is_refused(days: dict[str, int], month: int) -> None:
    ceilings = Ceilings(day_clamp_grams=1000, month_clamp_grams=5000)
    with pytest.raises(Refused) as caught:
        check_clamps(ceilings, days, month)
    assert caught.value.reason == REASON_CEILING_EXCEEDED


def test_clamps_at_the_ceiling_and_packs_that_clamp_themselves_pass() -> None:
    check_clamps(Ceilings(day_clamp_grams=1000, month_clamp_grams=5000), {"a": 1000, "b": 0}, 5000)
