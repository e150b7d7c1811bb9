from __future__ import annotations

import pytest

from hub.pages import chart, kilograms, language_of, status_page, style_sheet
from hub.views import EnterpriseView, EpochView, PopulationEpoch, StatusView, Total, noise_halfwidth

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


def test_bars_start_at_zero_and_whiskers_enclose_them() -> None:
    zero, bars = chart(population((5_000, 1_000), (-2_000, 500)))
    right, left = bars
    assert (right.x, left.x + left.width) == (zero, zero)
    for bar in bars:
        assert bar.low <= bar.high
    assert right.low < right.x + right.width < right.high


def test_a_chart_of_nothing_is_empty() -> None:
    assert chart([])[1] == []
    assert chart(population((0, 0)))[1][0].width == 0


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


def test_the_style_sheet_names_no_outside_resource() -> None:
    assert b"url(" not in style_sheet()
    assert b"@import" not in style_sheet()


def test_an_accounts_interval_is_wider_than_a_normal_ones() -> None:
    sigma_mg = 1_000_000
    half = noise_halfwidth(sigma_mg**2)
    assert 1.96 * sigma_mg < half < 2.2 * sigma_mg
    assert noise_halfwidth(0) == 0
