"""Charts stay inside their frame, begin at zero, and draw the noise around the value."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hub.charts import BAND_HEIGHT, BAND_TOP, WIDTH, Mark, band, bars

GRAMS = st.integers(-(10**12), 10**12)
MARKS = st.lists(st.builds(Mark, st.just("a"), st.just("b"), GRAMS, st.integers(0, 10**12)), max_size=12)


@given(MARKS)
def test_bars_begin_at_zero_and_whiskers_hold_their_ends(marks: list[Mark]) -> None:
    chart = bars("t", marks)
    assert (chart is None) == (not marks)
    if chart is None:
        return
    for one, bar in zip(marks, chart.rows, strict=True):
        end = bar.x + bar.width if one.value >= 0 else bar.x
        assert chart.zero in (bar.x, bar.x + bar.width)
        assert 0 <= bar.low <= end <= bar.high <= WIDTH


@given(MARKS)
def test_a_line_stays_in_its_band_and_the_band_in_its_frame(marks: list[Mark]) -> None:
    chart = band("t", marks)
    assert (chart is None) == (len(marks) < 2)
    if chart is None:
        return
    assert len(chart.dots) == len(marks)
    for dot in chart.dots:
        assert 0 <= dot.x <= WIDTH
        assert BAND_TOP <= dot.high <= dot.y <= dot.low <= BAND_HEIGHT
    assert [dot.x for dot in chart.dots] == sorted(dot.x for dot in chart.dots)
    assert BAND_TOP <= chart.zero <= BAND_HEIGHT


def test_larger_figures_are_drawn_longer_and_said_in_words() -> None:
    chart = bars("Domains", [Mark("travel", "1.0 ± 0.5", 1_000, 500), Mark("life", "3.0 ± 0.5", 3_000, 500)])
    assert chart is not None
    assert chart.rows[0].width < chart.rows[1].width
    assert chart.spoken == "Domains: travel 1.0 ± 0.5; life 3.0 ± 0.5"
