"""Headers and locales of any form choose one of two languages; what is asked for more weighs more."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.languages import (
    CHINESE,
    ENGLISH,
    RANGES_MAX,
    accepted_language,
    lines_beside,
    terminal_language,
)

TAGS = {CHINESE: ("zh", "zh-CN", "zh-Hans-CN", "ZH-hk"), ENGLISH: ("en", "en-US", "EN-gb")}
OTHERS = ("fr", "de-CH", "ja", "zhx", "english", "x-zh")
THOUSANDTHS = st.integers(0, 1_000)


def ranged(tag: str, thousandths: int) -> str:
    return f"{tag};q={thousandths // 1000}.{thousandths % 1000:03}"


@given(st.text())
def test_any_text_chooses_a_language(header: str) -> None:
    assert accepted_language(header) in (CHINESE, ENGLISH)


@given(st.text(alphabet="zhen-*;q=01., \t", max_size=200))
def test_what_nearly_is_a_header_chooses_a_language(header: str) -> None:
    assert accepted_language(header) in (CHINESE, ENGLISH)


@given(
    st.sampled_from(TAGS[CHINESE]),
    st.sampled_from(TAGS[ENGLISH]),
    THOUSANDTHS,
    THOUSANDTHS,
    st.lists(st.tuples(st.sampled_from(OTHERS), THOUSANDTHS), max_size=5),
    st.randoms(use_true_random=False),
)
def test_the_heavier_of_two_is_chosen_in_any_order(
    chinese: str, english: str, mine: int, its: int, others: list[tuple[str, int]], random: Random
) -> None:
    ranges = [(chinese, mine), (english, its), *others]
    random.shuffle(ranges)
    chosen = accepted_language(", ".join(ranged(*one) for one in ranges))
    if mine != its:
        assert chosen == (CHINESE if mine > its else ENGLISH)
    elif mine:
        assert chosen == (
            CHINESE if ranges.index((chinese, mine)) < ranges.index((english, its)) else ENGLISH
        )


@pytest.mark.parametrize("tag", TAGS[CHINESE])
def test_a_language_alone_is_taken_and_zero_is_none_of_it(tag: str) -> None:
    assert accepted_language(tag) == CHINESE
    assert accepted_language(f"fr, {tag};q=0.1") == CHINESE
    assert accepted_language(f"{tag};q=0, *") == ENGLISH
    assert accepted_language(f"{tag}, en;q=0") == CHINESE


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", ENGLISH),
        ("*", ENGLISH),
        ("zh, *", CHINESE),
        ("en;q=0, *;q=0.5", CHINESE),
        ("zh-CN,zh;q=0.9,en-US;q=0.8,en;q=0.7", CHINESE),
        ("en-US,en;q=0.9,zh-CN;q=0.8", ENGLISH),
        ("zhx", ENGLISH),
        ("zh;q=2", ENGLISH),
        ("zh;q=0.1234", ENGLISH),
        ("zh;level=1", ENGLISH),
    ],
)
def test_examples(header: str, language: str) -> None:
    assert accepted_language(header) == language


def test_only_the_first_ranges_are_read() -> None:
    assert accepted_language("fr," * (RANGES_MAX - 1) + "zh") == CHINESE
    assert accepted_language("fr," * RANGES_MAX + "zh") == ENGLISH


@pytest.fixture
def terminal() -> Iterator[io.TextIOWrapper]:
    """Give a real terminal's end to write to."""
    master, slave = os.openpty()
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        yield stream
    os.close(master)


LOCALES: list[tuple[Mapping[str, str], str]] = [
    ({}, ENGLISH),
    ({"LANG": "zh_CN.UTF-8"}, CHINESE),
    ({"LANG": "zh"}, CHINESE),
    ({"LANG": "zh_CN@pinyin"}, CHINESE),
    ({"LANG": "zhx_CN"}, ENGLISH),
    ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, CHINESE),
    ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "C"}, ENGLISH),
    ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, ENGLISH),
    ({"LANG": "zh_CN.UTF-8", "LC_ALL": "", "LC_MESSAGES": ""}, CHINESE),
]


@pytest.mark.parametrize(("environment", "language"), LOCALES)
def test_a_terminal_speaks_its_locale(
    terminal: io.TextIOWrapper, environment: Mapping[str, str], language: str
) -> None:
    assert terminal_language(terminal, environment) == language


def test_what_is_no_terminal_or_cannot_write_chinese_gets_english(terminal: io.TextIOWrapper) -> None:
    chinese = {"LANG": "zh_TW.Big5"}
    for none in (io.StringIO(), io.TextIOWrapper(io.BytesIO(), encoding="utf-8")):
        assert terminal_language(none, chinese) == ENGLISH
    terminal.reconfigure(encoding="big5")
    assert terminal_language(terminal, chinese) == ENGLISH
    terminal.reconfigure(encoding="gb18030")
    assert terminal_language(terminal, chinese) == CHINESE


def test_lines_stand_beside_english_in_chinese_alone() -> None:
    assert lines_beside(306, ENGLISH) == ("", "")
    told, advice = lines_beside(306, CHINESE)
    assert told.startswith("错误：") and advice.startswith("处理：")
    assert lines_beside(346, CHINESE)[1] == ""
