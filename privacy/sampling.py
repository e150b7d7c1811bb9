"""Sampling by amount: how many draws, where each one points, what an outcome excludes. Exact arithmetic only.

A draw is a 128-bit fraction that the beacon alone decides; it points into [0, total amount), so that whoever
makes a challenge needs no total, and a leaf is drawn as often as its amount is large.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from fractions import Fraction
from math import comb

from privacy.ciphersuite import prefixed
from protos.epochs import Epoch, format_epoch, parse_epoch
from protos.json_text import parse_json
from protos.problems import Malformed, Problem
from protos.v1.problem_pb2 import REASON_UNKNOWN_FIELD_VALUE, REASON_WRONG_SHAPE

FRACTION_BITS = 128
DRAWS_MAX = 100_000
CHALLENGE_BYTES_MAX = 8 << 20

_DRAW_TAG = b"cgsp-sample-draw-v1\x00"
_FORM = "cgsp-challenge-1"
_SHARE = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,6}))?%")
_RATIO = re.compile(r"[0-9]{1,9}/[0-9]{1,9}")
# Upper bounds are told in steps of a millionth.
_STEPS = 1_000_000


def parse_share(text: str) -> Fraction:
    """Read a percentage like "1%" or "99.5%", above 0 and below 100; raises Malformed UNKNOWN_FIELD_VALUE."""
    found = _SHARE.fullmatch(text)
    value = Fraction(f"{found[1]}.{found[2] or 0}") / 100 if found else Fraction(0)
    if not 0 < value < 1:
        raise Malformed(
            REASON_UNKNOWN_FIELD_VALUE,
            f"{text!r} is not a percentage above 0 % and below 100 %.",
            remedy="Write it as 1% or 99.5%.",
        )
    return value


def is_excluded(draws: int, share: Fraction, confidence: Fraction, discrepancies: int = 0) -> bool:
    """Say whether draws that hit an overstated share no more often than that exclude it, exactly.

    The chance of so few hits, P(Binomial(draws, share) <= discrepancies), is at most 1 - confidence.
    """
    top, bottom = share.numerator, share.denominator
    rest = bottom - top
    few: int = sum(
        comb(draws, hit) * top**hit * rest ** (draws - hit) for hit in range(min(discrepancies, draws) + 1)
    )
    allowed = 1 - confidence
    outcomes: int = bottom**draws
    return few * allowed.denominator <= allowed.numerator * outcomes


def draws_needed(detect: Fraction, confidence: Fraction, discrepancies: int = 0) -> int:
    """Give the fewest draws that would hit the share more often than `discrepancies` with that confidence.

    Raises Malformed UNKNOWN_FIELD_VALUE.
    """
    low, high = 0, discrepancies + 1
    while not is_excluded(high, detect, confidence, discrepancies):
        if high >= DRAWS_MAX:
            raise Malformed(
                REASON_UNKNOWN_FIELD_VALUE,
                f"{float(detect):.4%} with {float(confidence):.2%} takes more than {DRAWS_MAX} draws.",
                remedy="Detect a larger share, or be content with less confidence.",
            )
        low, high = high, min(2 * high, DRAWS_MAX)
    while low + 1 < high:
        middle = (low + high) // 2
        if is_excluded(middle, detect, confidence, discrepancies):
            high = middle
        else:
            low = middle
    return high


def excluded_share(draws: int, discrepancies: int, confidence: Fraction) -> Fraction:
    """Give the smallest overstated share, in millionths, that so few hits exclude with that confidence."""
    low, high = 0, _STEPS
    while low + 1 < high:
        middle = (low + high) // 2
        if is_excluded(draws, Fraction(middle, _STEPS), confidence, discrepancies):
            high = middle
        else:
            low = middle
    return Fraction(high, _STEPS)


def draw(beacon: bytes, enterprise_id: str, epoch: Epoch, number: int) -> int:
    """Give a draw's 128-bit fraction, from 0 to 2^128 - 1."""
    place = prefixed(enterprise_id.encode()) + epoch.to_bytes(4, "big") + number.to_bytes(4, "big")
    digest = hashlib.sha256(_DRAW_TAG + prefixed(beacon) + place).digest()
    return int.from_bytes(digest[: FRACTION_BITS // 8], "big")


def point(fraction: int, total_amount: int) -> int:
    """Give where a fraction points in [0, total amount); its chance errs by less than total / 2^128."""
    return fraction * total_amount >> FRACTION_BITS


@dataclass(frozen=True, slots=True)
class Challenge:
    """What an auditor hands to an enterprise: whose epoch, which beacon, the draws that follow from it."""

    origin: str
    enterprise_id: str
    epoch: Epoch
    detect: Fraction
    confidence: Fraction
    beacon_index: int
    beacon: bytes
    draws: tuple[int, ...]

    @classmethod
    def make(
        cls,
        origin: str,
        enterprise_id: str,
        epoch: Epoch,
        *,
        detect: Fraction,
        confidence: Fraction,
        beacon_index: int,
        beacon: bytes,
        discrepancies: int = 0,
    ) -> Challenge:
        """Derive as many draws as detection and confidence ask for, after so many discrepancies."""
        count = draws_needed(detect, confidence, discrepancies)
        draws = tuple(draw(beacon, enterprise_id, epoch, number) for number in range(count))
        return cls(origin, enterprise_id, epoch, detect, confidence, beacon_index, beacon, draws)

    def is_derived(self, beacon: bytes) -> bool:
        """Say whether beacon and draws are those that follow from a logged beacon's value."""
        own = (draw(beacon, self.enterprise_id, self.epoch, number) for number in range(len(self.draws)))
        return beacon == self.beacon and tuple(own) == self.draws

    def encode(self) -> bytes:
        """Write the challenge file."""
        described = {
            "form": _FORM,
            "origin": self.origin,
            "enterprise_id": self.enterprise_id,
            "epoch": format_epoch(self.epoch),
            "detect": str(self.detect),
            "confidence": str(self.confidence),
            "beacon_entry": self.beacon_index,
            "beacon": self.beacon.hex(),
            "draws": [f"{one:032x}" for one in self.draws],
        }
        return json.dumps(described, indent=1).encode() + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Challenge:
        """Read a challenge file; raises Malformed."""
        try:
            found = parse_json(data)
            challenge = cls(
                origin=str(found["origin"]),
                enterprise_id=str(found["enterprise_id"]),
                epoch=parse_epoch(found["epoch"]),
                detect=_share(found["detect"]),
                confidence=_share(found["confidence"]),
                beacon_index=int(found["beacon_entry"]),
                beacon=bytes.fromhex(found["beacon"]),
                draws=tuple(int(str(one), 16) for one in found["draws"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, Problem):
            raise _no_challenge() from None
        if found.get("form") != _FORM or not challenge._is_in_range():
            raise _no_challenge()
        return challenge

    def _is_in_range(self) -> bool:
        shares = 0 < self.detect < 1 and 0 < self.confidence < 1
        draws = 1 <= len(self.draws) <= DRAWS_MAX and all(0 <= one < 1 << FRACTION_BITS for one in self.draws)
        return shares and draws


def _share(text: str) -> Fraction:
    if not _RATIO.fullmatch(text):
        raise _no_challenge()
    return Fraction(text)


def _no_challenge() -> Malformed:
    return Malformed(REASON_WRONG_SHAPE, "This is not a challenge that cgsp-audit sample wrote.")
