"""A number that changes hands: every record goes to whoever held it on its day, whenever it is read."""

from __future__ import annotations

import datetime
import json
import logging
import shutil
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from enterprise_node.app import App
from enterprise_node.cli_person import person
from enterprise_node.correct import correct
from enterprise_node.erase import erase
from enterprise_node.person import show_person
from enterprise_node.persons import RegisterEntry
from enterprise_node.reassign import Reassigned, reassign
from enterprise_node.spool import PushedRecord
from enterprise_node.store.corrections import CorrectionTable
from enterprise_node.workspace import Workspace
from protos.epochs import Epoch
from protos.problems import Malformed, Refused, Unavailable
from tests.unit.enterprise_node.homes import ANNA, BERT, REGISTER, TRIPS, Home, day, flaws, home_at, kept
from tests.unit.enterprise_node.simulated_hub import RIDERS, SimulatedHub, open_node, write_home
from tests.unit.enterprise_node.simulators import Federation
from tests.unit.enterprise_node.test_reductions import METERS

DECEMBER, JANUARY = Epoch(202012), Epoch(202101)
SINCE = datetime.date(2021, 1, 20)
# Anna had the number first; whoever has it since the twentieth comes after Bert.
FORMER, OTHER, NEW = 1, 2, 3
RIDER = "13800000003"


def trip(record: str, identifier: str, date: str, km: int = 1) -> str:
    return f"{record},{identifier},{date} 08:00:00,{km}"


EARLY = (trip("a1", ANNA, "2021-01-05", 1), trip("b1", BERT, "2021-01-06", 2))
BOTH = (trip("a2", ANNA, "2021-01-19", 3), trip("a3", ANNA, "2021-01-20", 4), trip("a4", ANNA, "2021-02-01"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = home_at(tmp_path / "home")
    home.write("trips-1.csv", *EARLY)
    home.read()
    return home


def handed_over(home: Home, since: datetime.date = SINCE, identifier: str = ANNA) -> Reassigned:
    with home.opened() as workspace:
        return reassign(workspace, identifier, since)


def records(home: Home) -> dict[str, int]:
    """Give whose each record is."""
    with home.opened() as workspace:
        return {str(row[0]): int(str(row[1])) for row in kept(workspace)}


def grams(workspace: Workspace) -> Counter[int]:
    """Give everybody's exact mg over all months with records."""
    found: Counter[int] = Counter()
    for number, _, _ in workspace.persons.contracts():
        for month in show_person(workspace, number).months:
            found[number] += sum(month.credited_mg.values())
    return found


def test_what_is_kept_from_that_day_on_goes_over_and_the_sum_stays(home: Home) -> None:
    home.write("trips-2.csv", *BOTH)
    home.read()
    with home.opened() as workspace:
        before = grams(workspace)
    done = handed_over(home)
    assert (done.former, done.number, done.activities, done.is_new) == (FORMER, NEW, 2, True)
    assert records(home) == {"a1": FORMER, "b1": OTHER, "a2": FORMER, "a3": NEW, "a4": NEW}
    with home.opened() as workspace:
        after = grams(workspace)
    # 48.7 g each km.
    assert before == {FORMER: 9 * 48_700, OTHER: 2 * 48_700}
    assert after == {FORMER: 4 * 48_700, OTHER: 2 * 48_700, NEW: 5 * 48_700}


def test_late_records_of_the_former_stay_the_formers(home: Home) -> None:
    handed_over(home)
    home.write("trips-2.csv", *BOTH)
    assert home.outcome().taken == 3
    assert records(home) == {"a1": FORMER, "b1": OTHER, "a2": FORMER, "a3": NEW, "a4": NEW}


@pytest.mark.parametrize("new_content", [False, True])
def test_raw_files_read_again_change_nothing(home: Home, *, new_content: bool) -> None:
    home.write("trips-2.csv", *BOTH)
    home.read()
    handed_over(home)
    before = records(home)
    if new_content:
        home.write("trips-3.csv", *reversed(BOTH), *EARLY)
        outcome = home.outcome()
        assert (outcome.taken, outcome.repeated, outcome.corrected) == (0, 5, 0)
    else:
        assert [report.outcome for report in home.read()] == [None, None]
    assert records(home) == before


DATES = st.dates(datetime.date(2021, 1, 1), datetime.date(2021, 2, 27))


@settings(max_examples=4, deadline=None)
@given(
    st.lists(DATES, min_size=3, max_size=9),
    st.lists(DATES, min_size=1, max_size=2, unique=True),
    st.randoms(use_true_random=False),
)
def test_the_order_of_files_and_changes_of_hands_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory,
    dates: list[datetime.date],
    changes: list[datetime.date],
    random: Random,
) -> None:
    """Whose a record is follows from its day alone: the number of changes of hands up to it."""
    home = home_at(tmp_path_factory.mktemp("order") / "home")
    home.write("trips-0.csv", trip("first", ANNA, "2021-01-01"))
    home.read()
    rows = [trip(f"t{place}", ANNA, str(one)) for place, one in enumerate(dates)]
    random.shuffle(rows)
    half = len(rows) // 2
    steps = [("trips-1.csv", rows[:half]), ("trips-2.csv", rows[half:])]
    where = sorted(random.choices(range(3), k=len(changes)))
    changes.sort()
    for place in range(3):
        for change, at in zip(changes, where, strict=True):
            if at == place:
                handed_over(home, change)
        if place < len(steps):
            home.write(steps[place][0], *steps[place][1])
            home.read()
    expected = {f"t{place}": 1 + sum(change <= one for change in changes) for place, one in enumerate(dates)}
    expected["first"] = 1 + (changes[0] == datetime.date(2021, 1, 1))
    assert records(home) == expected


def test_saying_it_again_changes_nothing_and_an_earlier_day_is_refused(home: Home) -> None:
    home.write("trips-2.csv", *BOTH)
    home.read()
    first = handed_over(home)
    before = records(home)
    again = handed_over(home)
    assert (again.former, again.number, again.is_new, again.activities) == (first.former, NEW, False, 0)
    with pytest.raises(Refused, match="changed hands on 2021-01-20; 2021-01-19 lies before") as caught:
        handed_over(home, SINCE - datetime.timedelta(days=1))
    assert caught.value.remedy
    assert records(home) == before
    later = handed_over(home, datetime.date(2021, 2, 1))
    assert (later.former, later.number, later.activities) == (NEW, NEW + 1, 1)
    assert (handed_over(home).former, handed_over(home).number) == (FORMER, NEW)
    assert records(home) == before | {"a4": NEW + 1}


def test_nobody_a_day_to_come_and_a_consent_beside_a_register_are_refused(home: Home) -> None:
    with pytest.raises(Unavailable, match="No such person"):
        handed_over(home, identifier="13800000009")
    with pytest.raises(Malformed, match="day to come"):
        handed_over(home, datetime.date(2021, 3, 2))
    with pytest.raises(Malformed):
        handed_over(home, identifier="12345")
    home.write("register.csv", header="mobile,since,until")
    home.configure(TRIPS, REGISTER)
    with home.opened() as workspace, pytest.raises(Refused, match="register says"):
        reassign(workspace, ANNA, SINCE, consents=True)
    assert records(home) == {"a1": FORMER, "b1": OTHER}


def test_what_stops_half_way_changed_nothing(home: Home) -> None:
    with home.opened() as workspace:
        removal = workspace.removal()
        with pytest.raises(KeyboardInterrupt), removal.handing_over("person = 1", NEW, "reassigned"):
            workspace.persons.hand_over(ANNA, NEW, day("2021-01-01"))
            raise KeyboardInterrupt
    assert records(home) == {"a1": FORMER, "b1": OTHER}
    assert handed_over(home, datetime.date(2021, 1, 1)).is_new
    assert records(home) == {"a1": NEW, "b1": OTHER}


def test_an_identifier_finds_the_new_holder_alone_and_it_has_consented_to_nothing(home: Home) -> None:
    handed_over(home)
    with home.opened() as workspace:
        persons = workspace.persons
        assert persons.find(ANNA) == NEW
        assert persons.new_for_enrolment() == [OTHER]
        assert persons.is_known(FORMER)
        assert show_person(workspace, NEW).months == ()
        assert [month.epoch for month in show_person(workspace, FORMER).months] == [JANUARY]
        assert persons.identifiers([NEW]) == persons.identifiers([FORMER])
        reassign(workspace, ANNA, SINCE, consents=True)
        assert persons.new_for_enrolment() == [OTHER, NEW]


def test_the_former_contract_in_the_register_is_no_consent_of_the_new_holder(tmp_path: Path) -> None:
    home = home_at(tmp_path / "home", TRIPS, REGISTER)
    home.write("trips.csv", *EARLY)
    rows = (f"{ANNA},2020-01-01,", f"{BERT},2020-01-01,")
    home.write("register.csv", *rows, header="mobile,since,until")
    home.read()
    handed_over(home)
    for more, since in (((), None), ((f"{ANNA},2021-01-25,",), day("2021-01-25"))):
        home.write("register.csv", *rows, *more, "13800000004,2020-01-01,", header="mobile,since,until")
        home.read()
        with home.opened() as workspace:
            contracts = {number: days for number, *days in workspace.persons.contracts()}
            assert contracts[FORMER] == [day("2020-01-01"), day("2021-01-20")]
            assert contracts[NEW] == [since, None]
            consenting = workspace.persons.new_for_enrolment()
        assert (FORMER in consenting, NEW in consenting) == (False, bool(more))


def test_the_new_holder_is_compared_with_no_history_of_the_former(tmp_path: Path) -> None:
    home = home_at(tmp_path / "home", METERS, REGISTER)
    head, before = "mobile,since,until", f"{ANNA},2019-01-01,"
    home.write("register.csv", before, header=head)
    readings = [
        f"{year}{number},{ANNA},{year}-01-{number:02d},{kwh}"
        for year, kwh in ((2020, 10), (2021, 1))
        for number in range(1, 32)
    ]
    home.write("readings.csv", *readings, header="reading,mobile,day,kwh")
    home.read()

    def credited(number: int) -> int:
        with home.opened() as workspace:
            [month] = show_person(workspace, number, (JANUARY,)).months
            return sum(month.credited_mg.values())

    assert credited(1) > 0
    done = handed_over(home, datetime.date(2021, 1, 1))
    assert done.activities == 31
    home.write("register.csv", before, f"{ANNA},2021-01-01,", header=head)
    home.read()
    assert (credited(done.former), credited(done.number)) == (0, 0)


def test_corrections_on_request_go_with_their_records(home: Home) -> None:
    home.write("trips-2.csv", *BOTH)
    home.read()
    with home.opened() as workspace:
        for record in ("a1", "a3"):
            correct(workspace, FORMER, record, {"distance": "5"}, "the bike stood still", now=1)
        done = reassign(workspace, ANNA, SINCE)
        table = CorrectionTable(workspace.database)
        assert [[one.record for one in table.of_person(who)] for who in (FORMER, NEW)] == [["a1"], ["a3"]]
        with pytest.raises(Unavailable, match="no such record"):
            correct(workspace, NEW, "a1", {"distance": "9"}, "not theirs", now=2)
    assert (done.activities, done.superseded) == (2, 1)


@pytest.mark.parametrize("who", [FORMER, NEW])
def test_erasing_one_holder_leaves_the_other(tmp_path: Path, who: int) -> None:
    home = home_at(tmp_path / "home", TRIPS.replace('path = "trips*.csv"', 'kind = "push"'))

    def push(workspace: Workspace, *rows: str) -> None:
        names = ("trip", "mobile", "start", "km")
        values = [dict(zip(names, row.split(","), strict=True)) for row in rows]
        workspace.spool().take("trips", [PushedRecord(one["trip"], one) for one in values])

    with home.opened() as workspace:
        push(workspace, *EARLY)
        list(workspace.read())
        reassign(workspace, ANNA, SINCE)
        push(workspace, *BOTH)
        assert erase(workspace, who).pushed == {FORMER: 1, NEW: 2}[who]
        list(workspace.read())
        push(workspace, trip("a5", ANNA, "2021-01-07"), trip("a6", ANNA, "2021-01-27"))
        outcome = list(workspace.read())[-1].outcome
        assert outcome is not None
        assert flaws(outcome) == {("erased", "mobile"): 1}
    expected = {FORMER: {"b1": OTHER, "a3": NEW, "a4": NEW, "a6": NEW}}
    expected[NEW] = {"b1": OTHER, "a1": FORMER, "a2": FORMER, "a5": FORMER}
    assert records(home) == expected[who]


def test_a_number_whose_holder_was_erased_may_have_a_new_one(home: Home) -> None:
    with home.opened() as workspace:
        erase(workspace, FORMER)
    assert [handed_over(home).is_new for _ in range(2)] == [True, False]
    home.write("trips-2.csv", *BOTH)
    assert flaws(home.outcome()) == {("erased", "mobile"): 1}
    assert records(home) == {"b1": OTHER, "a3": NEW, "a4": NEW}


def test_the_command_says_what_must_follow_and_no_identifier(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    arguments = ["reassign", "--home", str(home.folder), "--identifier", "-", "--since", "2021-01-20"]
    said = CliRunner().invoke(person, arguments, input=f"{ANNA}\n")
    assert said.exit_code == 0, said.output
    for words in ("register", "名册", "cgsp-node enrol", "--purpose split", "凭证"):
        assert words in said.output
    again = CliRunner().invoke(person, [*arguments, "--json"], input=f"{ANNA}\n")
    expected = {"former": FORMER, "person": NEW, "since": "2021-01-20", "new": False}
    assert json.loads(again.output) == expected | {"activities": 0, "superseded": 0}
    assert ANNA not in said.output + again.output + caplog.text
    for path in home.folder.rglob("*"):
        if path.is_file() and path.suffix != ".csv":
            assert ANNA.encode() not in path.read_bytes(), path.name


def rides(app: App, epoch: Epoch) -> dict[int, int]:
    """Give what the epoch's release says of each person on the roster before noise, in grams."""
    exact = app.pipeline.releaser.exact(epoch, app.pipeline.following.policy_for(epoch))
    order = [one.person for one in app.pipeline.roster.active(epoch)]
    return dict(zip(order, exact.vectors["statement/rides"].tolist(), strict=True))


JOINING = (RIDER, *(f"1390000000{place}" for place in range(4)))


def changed_hands(app: App) -> Reassigned:
    """Give the rider's number to somebody else from the new year on, who consents beside four others."""
    done = reassign(app.workspace, RIDER, datetime.date(2021, 1, 1))
    app.workspace.persons.register(
        [RegisterEntry(one, day("2021-01-02"), None, consented=True) for one in JOINING]
    )
    return done


def test_the_former_slot_ends_before_the_new_holder_gets_one_under_the_same_pseudonym(
    riders: Path, federation: Federation, hub: SimulatedHub
) -> None:
    app = open_node(riders, federation, hub, draw=lambda values, scale: values)
    app.pipeline.run([DECEMBER])
    roster, former = app.pipeline.roster, app.workspace.persons.find(RIDER)
    assert former is not None
    pseudonym, drawn = roster.pseudonym(former), rides(app, DECEMBER)
    done = changed_hands(app)
    enrolled = app.pipeline.enrol(JANUARY)
    assert (enrolled.withdrawn, enrolled.enrolled) == (1, len(JOINING))
    assert (roster.pseudonym(done.number), roster.pseudonym(former)) == (pseudonym, None)
    app.pipeline.run([JANUARY])
    january = rides(app, JANUARY)
    assert (former in january, len(january)) == (False, RIDERS - 1 + len(JOINING))
    assert january[done.number] == rides_of(app.workspace, done.number, JANUARY) == 97
    # What December said of the former stays theirs.
    assert rides(app, DECEMBER) == drawn
    assert done.number not in drawn
    assert drawn[former] == rides_of(app.workspace, former, DECEMBER)
    app.close()


def test_a_recovered_roster_knows_who_held_the_number_when(
    riders: Path, federation: Federation, hub: SimulatedHub, tmp_path: Path
) -> None:
    app = open_node(riders, federation, hub)
    app.pipeline.ingest()
    app.close()
    shutil.copytree(riders, tmp_path / "copy")
    app = open_node(riders, federation, hub)
    app.pipeline.run([DECEMBER])
    changed_hands(app)
    app.pipeline.enrol(JANUARY)
    app.pipeline.run([JANUARY])
    before = [app.pipeline.roster.active(epoch) for epoch in (DECEMBER, JANUARY)]
    app.close()
    app = open_node(tmp_path / "copy", federation, hub)
    changed_hands(app)
    app.recovery.recover()
    assert [app.pipeline.roster.active(epoch) for epoch in (DECEMBER, JANUARY)] == before
    app.close()


def rides_of(workspace: Workspace, number: int, epoch: Epoch) -> int:
    [month] = show_person(workspace, number, (epoch,)).months
    return sum(month.credited_mg.values()) // 1000


@pytest.fixture
def riders(tmp_path: Path) -> Path:
    write_home(tmp_path / "node")
    return tmp_path / "node"


def test_a_release_begun_is_drawn_first(home: Home) -> None:
    with home.opened() as workspace:
        workspace.database.execute(
            "INSERT INTO release (epoch, state, policy_hash, nonce, reservation_sequence)"
            " VALUES (202101, 'reserved', x'', x'01', 1)"
        )
        with pytest.raises(Unavailable, match="begun and not drawn"):
            reassign(workspace, ANNA, SINCE)
        assert reassign(workspace, ANNA, datetime.date(2021, 2, 1)).is_new
