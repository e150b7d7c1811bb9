"""Charts laid out as whole numbers for the templates: bars with whiskers, and a line in its band.

A chart only repeats figures that stand in words and in a table beside it, and draws the noise with the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 480
ROW_HEIGHT = 40
BAND_HEIGHT = 160
BAND_TOP = 22


@dataclass(frozen=True, slots=True)
class Mark:
    """A figure to draw: its label, how it is written, its value and the half-width of the noise in it."""

    label: str
    text: str
    value: int
    half: int = 0


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure in units of length; low and high end its whisker."""

    label: str
    text: str
    y: int
    x: int
    width: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars below one another; `zero` is where they begin."""

    title: str
    zero: int
    height: int
    rows: tuple[Bar, ...]

    @property
    def spoken(self) -> str:
        """Say in words what is drawn."""
        return f"{self.title}: " + "; ".join(f"{one.label} {one.text}" for one in self.rows)


@dataclass(frozen=True, slots=True)
class Dot:
    """One point of a line, with its whisker."""

    x: int
    y: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Band:
    """A line over epochs with the interval of its noise; `zero` is the height of nothing."""

    title: str
    height: int
    zero: int
    outline: str
    line: str
    dots: tuple[Dot, ...]
    marks: tuple[Mark, ...]

    @property
    def spoken(self) -> str:
        """Say in words what is drawn."""
        return f"{self.title}: " + "; ".join(f"{one.label} {one.text}" for one in self.marks)


def bars(title: str, marks: Sequence[Mark]) -> Bars | None:
    """Lay figures out as bars on one scale; None where there is nothing to draw."""
    if not marks:
        return None
    lowest = min(0, *(one.value - one.half for one in marks))
    highest = max(1, *(one.value + one.half for one in marks))

    def place(value: int) -> int:
        return (value - lowest) * WIDTH // (highest - lowest)

    zero = place(0)
    rows = tuple(
        Bar(
            one.label,
            one.text,
            row * ROW_HEIGHT,
            min(zero, place(one.value)),
            abs(place(one.value) - zero),
            place(one.value - one.half),
            place(one.value + one.half),
        )
        for row, one in enumerate(marks)
    )
    return Bars(title, zero, ROW_HEIGHT * len(rows), rows)


def band(title: str, marks: Sequence[Mark]) -> Band | None:
    """Lay figures of successive epochs out as a line in its band; None where there are fewer than two."""
    if len(marks) < 2:
        return None
    lowest = min(0, *(one.value - one.half for one in marks))
    highest = max(1, *(one.value + one.half for one in marks))

    def up(value: int) -> int:
        return BAND_TOP + (highest - value) * (BAND_HEIGHT - BAND_TOP) // (highest - lowest)

    dots = tuple(
        Dot(
            at * (WIDTH - 2) // (len(marks) - 1) + 1,
            up(one.value),
            up(one.value - one.half),
            up(one.value + one.half),
        )
        for at, one in enumerate(marks)
    )
    over = [f"{one.x},{one.high}" for one in dots]
    under = [f"{one.x},{one.low}" for one in reversed(dots)]
    line = " ".join(f"{one.x},{one.y}" for one in dots)
    return Band(title, BAND_HEIGHT, up(0), " ".join([*over, *under]), line, dots, tuple(marks))
