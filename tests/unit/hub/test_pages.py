from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from accounting.programmes.eligibility import FACT_NAMES
from hub import book_pages, pages, programme_wording
from hub.amounts import kilograms, written
from hub.pages import status_page
from hub.programme_pages import programme_page
from hub.programme_views import BoardView, Named, ProgrammeLine, ProgrammeView
from hub.templates import NAVIGATION, language_of, problem_page, style_sheet
from hub.views import DueView, EnterpriseView, EpochView, PopulationEpoch, StatusView, Total, noise_halfwidth
from protos.problems import Malformed, Problem
from protos.v1.problem_pb2 import REASON_WRONG_SHAPE, Reason
from protos.wording import REASONS_ZH

# Texts whose figures stand in another order in Chinese.
REORDERED = ("/for", "/for_points", "/attestation", "/expiry/fixed_day")
STATUS = StatusView(origin="<b>&", log_size=3, log_root="00" * 32, witness_quorum=0, accounts=7)


def population(*totals: tuple[int, int]) -> list[PopulationEpoch]:
    return [
        PopulationEpoch(
            epoch=f"2020-{month:02d}",
            enterprises=["bikes"],
            total=Total(
                grams=grams,
                sigma_grams=half,
                halfwidth_grams=half,
                low_grams=grams - half,
                high_grams=grams + half,
            ),
            cells=[],
            domains=[],
            regions=[],
            methodologies=[],
        )
        for month, (grams, half) in enumerate(totals, start=1)
    ]


@pytest.mark.parametrize(
    ("grams", "text"),
    [
        (0, "0.0"),
        (49, "0.0"),
        (50, "0.1"),
        (-49, "0.0"),
        (-50, "-0.1"),
        (1_234_567, "1,234.6"),
        (-99_950, "-100.0"),
    ],
)
def test_kilograms_are_rounded_exactly(grams: int, text: str) -> None:
    assert kilograms(grams) == text


@pytest.mark.parametrize(
    ("query", "accepted", "language"),
    [
        ("zh", "en", "zh"),
        ("en", "zh-CN", "en"),
        (None, "zh-CN,zh;q=0.9", "zh"),
        (None, "", "en"),
        ("xx", "fr", "en"),
    ],
)
def test_the_language_asked_for_is_taken(query: str | None, accepted: str, language: str) -> None:
    assert language_of(query, accepted) == language


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_comes_from_parties_is_escaped(language: str) -> None:
    hostile = EnterpriseView(id="bikes", name="<script>", name_zh="<img>", enrolled=1, suspended=False)
    epoch = EpochView(
        epoch="2020-12",
        number=202012,
        state="open",
        released=[],
        nothing_to_report=[],
        waiting_for=["bikes"],
        close=None,
    )
    page = status_page(language, STATUS, [hostile], [epoch], population((5_000, 1_000)))
    assert "&lt;b&gt;&amp;" in page
    for tag in ("<script", "<img", "<b>"):
        assert tag not in page


def flat(words: object, place: str = "") -> dict[str, str]:
    """Give every text of a page's words by its place."""
    if isinstance(words, Mapping):
        return {
            key: text for name, one in words.items() for key, text in flat(one, f"{place}/{name}").items()
        }
    return {place: str(words)}


@pytest.mark.parametrize("words", [pages.WORDS, book_pages.WORDS, programme_wording.WORDS, NAVIGATION])
def test_every_text_of_a_page_is_in_both_languages(words: Mapping[str, object]) -> None:
    english, chinese = flat(words["en"]), flat(words["zh"])
    assert set(english) == set(chinese)
    # What is no text but a mark, or a tag of the language.
    marks = {"/and", "/then", "/is", "/of", "/lang", "/claims/stays"}
    for place, text in chinese.items():
        assert place in marks or re.search("[\u4e00-\u9fff]", text), (place, text)
        assert re.findall(r"{.*?}", text) == re.findall(r"{.*?}", english[place]) or place in REORDERED
    assert all(text.isascii() for text in english.values())


def test_conditions_are_told_in_words() -> None:
    for words in programme_wording.WORDS.values():
        assert set(words["facts"]) == set(FACT_NAMES)


@pytest.mark.parametrize(
    ("language", "told"),
    [("en", "Bikes: due by 2021-01-31 17:00 UTC"), ("zh", "单车: 截止 2021-02-01 01:00 （北京时间）")],
)
def test_parties_and_times_are_told_as_people_know_them(language: str, told: str) -> None:
    bikes = EnterpriseView(id="bikes", name="Bikes", name_zh="单车", enrolled=1, suspended=False)
    until = datetime(2021, 1, 31, 17, tzinfo=UTC)
    epoch = EpochView(
        epoch="2020-12",
        number=202012,
        state="open",
        released=["bikes"],
        nothing_to_report=[],
        waiting_for=["bikes"],
        close=None,
        due=[DueView(role="enterprise", id="bikes", until=until, is_soon=False, is_missing=False)],
    )
    page = status_page(language, STATUS, [bikes], [epoch], population((5_000, 1_000)))
    assert told in re.sub(r"\s+", " ", page)
    assert page.count(bikes.called(language)) == 5
    assert page.count("<td>bikes") == 0


def test_what_persons_call_themselves_is_not_translated() -> None:
    name = Named(en="Board", zh="榜")
    place = {"place": 1, "key": "sold", "amount": 5, "halfwidth": 2, "is_certain": True}
    boards = [
        BoardView(id=by, names=name, by=by, group_min=1, places=[place | {"key": key}])
        for by, key in (("account", "sold"), ("domain", "travel"))
    ]
    seen = ProgrammeView(
        line=ProgrammeLine(
            id="city",
            version=1,
            names=name,
            first_epoch="2020-12",
            last_epoch=None,
            is_in_force=True,
            is_illustrative=False,
        ),
        cited="",
        sha256="",
        unit=name,
        epoch="2021-01",
        caps={},
        expiry={"kind": "none"},
        maturity_epochs=0,
        claim_window_epochs=0,
        points={},
        earning=[],
        rewards=[],
        funds=[],
        batches=[],
        boards=boards,
    )
    page = programme_page("zh", seen, {})
    assert "<td>sold</td>" in page and "<td>出行</td>" in page


def test_the_style_sheet_names_no_outside_resource() -> None:
    assert b"url(" not in style_sheet()
    assert b"@import" not in style_sheet()


def test_an_accounts_interval_is_wider_than_a_normal_ones() -> None:
    sigma_mg = 1_000_000
    half = noise_halfwidth(sigma_mg**2)
    assert 1.96 * sigma_mg < half < 2.2 * sigma_mg
    assert noise_halfwidth(0) == 0


@pytest.mark.parametrize(
    ("amount", "unit", "text"),
    [
        (1_234_567_000, "mg", "1,234.57"),
        (-4_999, "mg", "0.00"),
        (-5_000, "mg", "-0.01"),
        (27_205, "fen", "272.05"),
        (10_000, "bp", "100.00"),
        (1_000, "t", "1,000"),
        (7, "COIN", "7"),
    ],
)
def test_amounts_are_written_in_the_units_people_use(amount: int, unit: str, text: str) -> None:
    assert written(amount, unit) == text


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_page_can_be_reached_without_a_mouse_or_a_script(language: str) -> None:
    page = problem_page(
        language, Malformed(REASON_WRONG_SHAPE, "<script>alert(1)</script>", remedy="Ask again.")
    )
    assert 'href="#content"' in page
    assert "&lt;script&gt;" in page
    for link in ("/?lang=", "/programmes?lang=", "/books/government?lang="):
        assert f'href="{link}{language}"' in page
    assert not re.search(r"<script|style=|https?:|javascript:", page)


@pytest.mark.parametrize("reason", Reason.values())
def test_a_refusal_begins_in_the_pages_language(reason: Reason.ValueType) -> None:
    words, problem = REASONS_ZH[reason], Problem(reason, "What came.", remedy="Do this.")
    chinese = re.sub(r"<[^>]*>|\s+", " ", problem_page("zh", problem))
    assert re.search(rf"{words.sentence}.*{words.remedy}.*详情.*What came\. .*Do this\.", chinese)
    english = problem_page("en", problem)
    assert words.sentence not in english and "What came." in english


def luminance(colour: str) -> float:
    """Give the relative luminance of #rrggbb or #rgb (WCAG 2.2)."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * one for one in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return sum(weight * one for weight, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_text_and_charts_stand_out_in_both_themes(theme: int) -> None:
    found = re.findall(r"--(\w+): (#[0-9a-f]+);", style_sheet().decode())
    colours = dict(found[theme * 7 : theme * 7 + 7])
    assert set(colours) == {"ink", "quiet", "line", "paper", "bar", "band", "whisker"}
    for name in ("ink", "quiet"):
        assert contrast(colours[name], colours["paper"]) >= 4.5
    for name, on in (("bar", "paper"), ("whisker", "paper"), ("whisker", "bar"), ("bar", "band")):
        assert contrast(colours[name], colours[on]) >= 3
