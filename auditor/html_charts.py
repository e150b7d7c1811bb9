"""Charts as inline SVG: numbers in, markup out; every label is escaped, colours stand in attributes."""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Sequence

WIDTH = 760
LABEL_WIDTH = 150
ROW = 24
HEIGHT = 260
GRAMS_PER_KG = 1000

_COLOURS = {"PASS": "#1a7f37", "FINDINGS": "#cf222e", "UNCHECKED": "#9a6700"}
_CONTROL = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_GREY, _BLUE = "#57606a", "#0969da"


def text(value: object) -> str:
    """Escape a value for HTML text and attributes; control and format characters are shown as U+FFFD."""
    shown = "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(one) in _CONTROL else one for one in str(value)
    )
    return html.escape(shown, quote=True)


def bars(title: str, rows: Sequence[tuple[str, int, str]]) -> str:
    """Draw one horizontal bar a row (label, count, verdict) on a logarithmic scale."""
    longest = max((math.log10(count + 1) for _, count, _ in rows), default=0) or 1
    room = WIDTH - LABEL_WIDTH - 90
    drawn = []
    for number, (label, count, verdict) in enumerate(rows):
        top, width = number * ROW, room * math.log10(count + 1) / longest
        drawn.append(_text(LABEL_WIDTH - 8, top + 16, label, anchor="end"))
        drawn.append(
            f'<rect x="{LABEL_WIDTH}" y="{top + 4}" width="{max(width, 1):.1f}" height="{ROW - 8}" '
            f'fill="{_COLOURS.get(verdict, _GREY)}"/>'
        )
        drawn.append(_text(LABEL_WIDTH + width + 6, top + 16, f"{count:,}"))
    return _svg(title, len(rows) * ROW, drawn)


def intervals(title: str, rows: Sequence[tuple[str, int, int]]) -> str:
    """Draw a point with its interval a row (label, grams, half-width in grams), upright, in kg."""
    if not rows:
        return ""
    low = min(0, *(value - half for _, value, half in rows), 0)
    high = max(1, *(value + half for _, value, half in rows), 1)
    step = (WIDTH - LABEL_WIDTH) / len(rows)

    def y(grams: float) -> float:
        return HEIGHT - 30 - (grams - low) / (high - low) * (HEIGHT - 60)

    drawn = [_line(LABEL_WIDTH, y(0), WIDTH, y(0), _GREY)]
    drawn += [
        _text(LABEL_WIDTH - 8, y(at) + 4, f"{at / GRAMS_PER_KG:,.0f}", anchor="end")
        for at in sorted({low, 0, high})
    ]
    for number, (label, value, half) in enumerate(rows):
        x = LABEL_WIDTH + step * (number + 0.5)
        drawn.append(_line(x, y(value - half), x, y(value + half), _BLUE))
        drawn += [_line(x - 6, y(end), x + 6, y(end), _BLUE) for end in (value - half, value + half)]
        drawn.append(f'<circle cx="{x:.1f}" cy="{y(value):.1f}" r="4" fill="{_BLUE}"/>')
        drawn.append(_text(x, HEIGHT - 8, label, anchor="middle"))
    return _svg(title, HEIGHT, drawn)


def _svg(title: str, height: int, drawn: Sequence[str]) -> str:
    name = text(title)
    return (
        f'<p class="note">{name}</p><svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="{name}">{"".join(drawn)}</svg>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, label: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#1b1f24">{text(label)}</text>'
