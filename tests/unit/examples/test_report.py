"""The demo's summary and table: what the issue of a run may be read from."""

from __future__ import annotations

from typing import Any

from examples.federation import report

STATUS: dict[str, Any] = {
    "activities_read": 12,
    "quarantined": {"unknown-code": 2, "not-exact": 1},
    "excluded": {"no-quantity": 3},
    "epochs": {
        "2020-12": {"reductions_mg": 1_500_000, "insufficient_history": 4},
        "2021-01": {"reductions_mg": -500_000, "insufficient_history": 3},
        "2020-02": {"reductions_mg": 99_000_000, "insufficient_history": 9},
    },
    "outward": {
        "enrolled": 5,
        "statements": 10,
        "epsilon": {"person_day": "1/2", "person_month": "1"},
        "egress_bytes": 4_321,
    },
}
COST = {"person_day": "3/2", "person_month": "33/2", "active_days": 31, "enterprises": 1}
CHECK = {"check": "tree", "verdict": "PASS", "examined": 3, "findings": 0, "unchecked": []}


SAMPLE = {
    "verdict": "PASS",
    "enterprise_id": "bikeshare",
    "epoch": "2020-12",
    "draws": 59,
    "leaves": 57,
    "discrepant_draws": 0,
    "confidence": "19/20",
    "excluded_share": "49509/1000000",
}


ISSUANCE = {
    "batch": "city/power/2021-01",
    "pool_epochs": "2020-12 to 2021-01",
    "pooled_grams": 4_500_000,
    "deduction_grams": 900_000,
    "duplicates_grams": 45_000,
    "pool_milligrams": 8_000_000_000,
    "passed_milligrams": 50_000_000,
    "issued_before_milligrams": 0,
    "issued_tonnes": 2,
    "buffer_tonnes": 1,
    "serials": "1 to 3",
    "sold_tonnes": 2,
    "sold_fen": 17_000,
    "retired_tonnes": 1,
    "proceeds": {"fund:city:city": 3_400, "fee:operator": 3_400, "fund:city:participants": 10_200},
    "participants": {
        "contributors": 30,
        "brought_fen": 10_200,
        "drawn_by": 20,
        "drawn_fen": 7_000,
        "left_fen": 3_200,
    },
}
TEA = {
    "kind": "commercial",
    "enterprise": "bikeshare",
    "programme": "city",
    "reward": "tea",
    "quantity": 1,
    "points": 5,
    "claim_milligrams": 0,
    "state": "confirmed",
}


def paid(fen: int = 900) -> dict[str, Any]:
    ledgers = {"M": {"fund:city:city": fen}, "P:city": {"mint": 4_321}}
    document = {"file": "steady.json", "sentence": "The holder reduced at least 100 g."}
    return {"redemptions": [TEA], "issuance": ISSUANCE, "documents": [document], "ledgers": ledgers}


def verdict(name: str = "PASS", findings: tuple[dict[str, str], ...] = ()) -> dict[str, Any]:
    return {
        "verdict": name,
        "log": {"origin": "demo/log", "size": 3, "root": "ab" * 32},
        "witnesses": "none cosigned, quorum 0",
        "checks": [CHECK],
        "findings": list(findings),
        "figures": {
            "cost": {"bikeshare": COST},
            "ledgers": {"M": {"fund:city:city": 900}, "P:city": {"mint": 4_321}},
        },
    }


def summary(*verdicts: dict[str, Any], made: dict[str, Any] | None = None) -> dict[str, Any]:
    total = {"grams": 2_000, "halfwidth_grams": 500}
    epoch = {"epoch": "2020-12", "total": total, "domains": [{"key": "travel", "total": total}]}
    return report.summarise(
        report.Figures(
            data={"bikeshare": "real"},
            nodes={"bikeshare": STATUS},
            hub={"witness_quorum": 0},
            population={"confidence": 0.95, "epochs": [epoch]},
            close={"accounts": 7, "accounts_in_two_or_more": 2},
            paid=made or paid(),
            verdicts=[*verdicts, SAMPLE],
            seconds={"total": 61.5},
        )
    )


def test_summary_has_the_promised_keys() -> None:
    made = summary(verdict(), verdict())
    assert set(made) == {
        *("enterprises", "accounts", "population", "log", "audit", "sample", "seconds"),
        *("redemptions", "issuance", "documents", "ledgers"),
    }
    [one] = made["enterprises"]
    assert one["reductions_mg"] == 1_000_000
    assert (one["activities_read"], one["activities_quarantined"], one["enrolled"]) == (12, 3, 5)
    assert (one["statements"], one["epsilon"], one["egress_bytes"]) == (10, 1.5, 4_321)
    assert (one["insufficient_history"], one["data"]) == (4, "real")
    assert made["accounts"] == {"total": 7, "in_two_or_more": 2}
    assert made["audit"]["verdict"] == "PASS"


def test_one_verdict_that_is_no_pass_is_none_at_all() -> None:
    finding = {"check": "tree", "object": "tile/0/000", "message": "differs", "reason": ""}
    both = [verdict(), verdict("FINDINGS", (finding,))]
    assert not report.is_pass(both)
    made = summary(*both)
    assert made["audit"]["verdict"] == "FINDINGS"
    assert any("tile/0/000" in line for line in report.table(made))
    assert report.worst([verdict("UNCHECKED"), verdict("FINDINGS")]) == "FINDINGS"


def test_table_says_what_people_ask() -> None:
    text = "\n".join(report.table(summary(verdict(), verdict())))
    for words in (
        "2 quarantined: unknown-code",
        "3 excluded: no-quantity",
        "4 persons: insufficient history",
    ):
        assert words in text
    assert "bikeshare: person-day 人日 3/2; person-month of 31 active days" in text
    for words in ("fed by two or more enterprises 2", "2.0 ± 0.5", "witness quorum 0", "1/2 / 1", "PASS"):
        assert words in text
    assert (
        "sample on the premises of bikeshare 2020-12 PASS: 59 draws, 57 leaves, 0 discrepant; "
        "overstatement of 4.95% excluded with 95% confidence" in text
    )


def test_what_was_redeemed_issued_and_split_is_told_in_words() -> None:
    text = "\n".join(report.table(summary(verdict(), verdict())))
    assert "programme city: 4,321 points minted" in text
    assert "1 × tea of city" in text
    for words in (
        "cells of 2020-12 to 2021-01 pooled 4,500.0 kg",
        "- 900.0 for noise and methodology - 45.0 for duplicates - 50.0 passed on or issued before = 3,505.0",
        "persons gave claims of 8,000.0",
        "so 3 whole t, serials 1 to 3: 1 t into the buffer, 2 t sold for 170.00 yuan, 1 t of them used",
        "checked offline steady.json: The holder reduced at least 100 g.",
    ):
        assert words in text
    assert "fund:city:city 34.00, fee:operator 34.00, fund:city:participants 102.00" in text
    assert "30 who gave to the pool are owed 102.00 yuan; 20 drew 70.00, 32.00 wait" in text
    assert "replayed by the auditor equal the hub's" in text


def test_ledgers_that_differ_from_the_replay_are_told() -> None:
    made = summary(verdict(), verdict(), made=paid(901))
    assert not made["ledgers"]["equal_to_replay"]
    assert "DIFFER" in "\n".join(report.table(made))
