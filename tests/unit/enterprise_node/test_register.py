"""The register gives contract days and consents; its bad lines are placed like any others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.enterprise_node.homes import ANNA, BERT, CARL, REGISTER, TRIPS, Home, day, flaws, home_at

HEADER = "mobile,since,until"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = home_at(tmp_path / "home", TRIPS, REGISTER)
    home.write("trips.csv", f"t1,{ANNA},2021-01-05 08:00:00,1")
    return home


def test_contract_days_are_taken(home: Home) -> None:
    home.write("register.csv", f"{ANNA},2019-01-01,", f"{BERT},2020-01-01,2021-02-01", header=HEADER)
    report = home.read()[0]
    assert report.source == "persons"
    with home.opened() as workspace:
        assert workspace.persons.contracts() == [
            (1, day("2019-01-01"), None),
            (2, day("2020-01-01"), day("2021-02-01")),
        ]
        assert workspace.persons.new_for_enrolment() == [1, 2]


def test_bad_lines_are_placed(home: Home) -> None:
    home.write(
        "register.csv",
        ",2019-01-01,",
        f"{ANNA},01/02/2019,",
        "110,2019-01-01,",
        f"{BERT},,never",
        header=HEADER,
    )
    outcome = home.read()[0].outcome
    assert outcome is not None
    assert outcome.taken == 0
    assert flaws(outcome) == {
        ("person-missing", "mobile"): 1,
        ("wrong-type", "since"): 1,
        ("identifier-invalid", "mobile"): 1,
        ("wrong-type", "until"): 1,
    }
    with home.opened() as workspace:
        assert [row.line for row in workspace.quarantine.rows(9)] == [2, 3, 4, 5]


def test_unchanged_register_is_not_read_again(home: Home) -> None:
    home.write("register.csv", f"{ANNA},2019-01-01,", header=HEADER)
    home.read()
    assert [report.outcome for report in home.read()] == [None, None]


def test_changed_register_changes_contracts(home: Home) -> None:
    home.write("register.csv", f"{ANNA},2019-01-01,", header=HEADER)
    home.read()
    home.write("register.csv", f"{ANNA},2019-01-01,2020-12-31", f"{CARL},,", header=HEADER)
    home.read()
    with home.opened() as workspace:
        assert workspace.persons.contracts() == [
            (1, day("2019-01-01"), day("2020-12-31")),
            (2, None, None),
        ]


def test_person_outside_the_register_is_not_enrolled(home: Home) -> None:
    home.write("register.csv", f"{BERT},2019-01-01,", header=HEADER)
    home.read()
    with home.opened() as workspace:
        assert workspace.persons.counts().known == 2
        assert workspace.persons.identifiers(workspace.persons.new_for_enrolment()) == [
            b"cn_mobile\x1f" + BERT.encode()
        ]


def test_consent_and_shift(home: Home) -> None:
    register = REGISTER.replace('until = "text" }', 'until = "text", agreed = "text" }')
    home.configure(TRIPS, register, 'consent = "agreed"\nshift_months = 12\n')
    home.write(
        "register.csv",
        f"{ANNA},2019-01-31,,YES",
        f"{BERT},2020-02-29,,no",
        f"{CARL},,,是",
        header=f"{HEADER},agreed",
    )
    home.read()
    with home.opened() as workspace:
        assert workspace.persons.new_for_enrolment() == [1, 3]
        assert [since for _, since, _ in workspace.persons.contracts()] == [
            day("2020-01-31"),
            day("2021-02-28"),
            None,
        ]


def test_rehearsal_takes_nothing(home: Home) -> None:
    home.write("register.csv", f"{ANNA},2019-01-01,", "110,,", header=HEADER)
    with home.opened() as workspace:
        register = workspace.register()
        assert register is not None
        [said] = register.rehearse()
        assert (said["rows"], said["persons"], said["quarantined"]) == (2, 1, 1)
        assert workspace.persons.counts().known == 0
