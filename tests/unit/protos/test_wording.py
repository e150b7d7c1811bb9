"""Every reason has one short sentence in Chinese, and none but the reasons have."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN, REASON_UNSPECIFIED, Reason
from protos.wording import REASONS_ZH, wording_zh

SENTENCE_CHARACTERS_MAX = 30
REMEDY_CHARACTERS_MAX = 40
# Chinese text and its punctuation, whole numbers, and no Latin but what has no Chinese name.
CHINESE_TEXT = re.compile(r"[\u4e00-\u9fff，；、：（）0-9]+。")


def test_every_reason_has_its_words_and_no_other_number_has() -> None:
    assert set(REASONS_ZH) == set(Reason.values())


@pytest.mark.parametrize("reason", Reason.values())
def test_words_are_one_short_chinese_sentence(reason: int) -> None:
    words = REASONS_ZH[reason]
    assert CHINESE_TEXT.fullmatch(words.sentence)
    assert len(words.sentence) <= SENTENCE_CHARACTERS_MAX
    assert not words.remedy or CHINESE_TEXT.fullmatch(words.remedy)
    assert len(words.remedy) <= REMEDY_CHARACTERS_MAX


def test_no_two_reasons_are_told_alike() -> None:
    sentences = [words.sentence for words in REASONS_ZH.values()]
    assert len(set(sentences)) == len(sentences)


@given(st.integers())
def test_a_number_of_a_later_version_is_told_by_its_group(reason: int) -> None:
    words = wording_zh(reason)
    assert CHINESE_TEXT.fullmatch(words.sentence)
    if reason in REASONS_ZH:
        assert words == REASONS_ZH[reason]
    elif reason // 100 == 9:
        assert words == REASONS_ZH[REASON_INVARIANT_BROKEN]
    else:
        assert (words == REASONS_ZH[REASON_UNSPECIFIED]) == (reason // 100 not in {1, 2, 3, 4, 5})
