"""Epochs and civil days as they stand in messages: an epoch is a month, YYYYMM; a day counts from 1970-01-01.

Days are UTC+8 civil days; a record belongs to the day it starts on.
"""

from __future__ import annotations

import datetime
import re
from typing import NewType

from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_UNKNOWN_FIELD_VALUE

Epoch = NewType("Epoch", int)

_TEXT = re.compile(r"\d{4}-\d{2}")
_ORIGIN = datetime.date(1970, 1, 1)


def checked_epoch(value: int) -> Epoch:
    """Take a number from outside as an epoch; raises Malformed unless it is YYYYMM of 1970 to 9997."""
    if not 197001 <= value <= 999712 or not 1 <= value % 100 <= 12:
        raise Malformed(
            REASON_UNKNOWN_FIELD_VALUE, f"{value} is not an epoch.", remedy="Write year and month, as 202012."
        )
    return Epoch(value)


def parse_epoch(text: str) -> Epoch:
    """Read "2020-12"; raises Malformed on anything else."""
    if not _TEXT.fullmatch(text):
        raise Malformed(
            REASON_UNKNOWN_FIELD_VALUE, "An epoch is written YYYY-MM.", remedy="For example 2020-12."
        )
    return checked_epoch(int(text[:4]) * 100 + int(text[5:]))


def format_epoch(epoch: Epoch) -> str:
    """Write the epoch as "2020-12"."""
    return f"{epoch // 100:04d}-{epoch % 100:02d}"


def shift_epoch(epoch: Epoch, months: int) -> Epoch:
    """Give the epoch that many months later (earlier if negative)."""
    total = (epoch // 100) * 12 + epoch % 100 - 1 + months
    return checked_epoch(total // 12 * 100 + total % 12 + 1)


def next_epoch(epoch: Epoch) -> Epoch:
    """Give the month after."""
    return shift_epoch(epoch, 1)


def previous_epoch(epoch: Epoch) -> Epoch:
    """Give the month before."""
    return shift_epoch(epoch, -1)


def first_day(epoch: Epoch) -> int:
    """Give the number of the epoch's first day."""
    return (datetime.date(epoch // 100, epoch % 100, 1) - _ORIGIN).days


def end_day(epoch: Epoch) -> int:
    """Give the number of the first day after the epoch."""
    return first_day(next_epoch(epoch))


def days_in(epoch: Epoch) -> int:
    """Count the epoch's days."""
    return end_day(epoch) - first_day(epoch)


def epoch_of(day: int) -> Epoch:
    """Give the epoch a day lies in."""
    date = _ORIGIN + datetime.timedelta(days=day)
    return Epoch(date.year * 100 + date.month)
