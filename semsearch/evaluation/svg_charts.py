"""Small charts as SVG, which stand in a page without a script. Does not know what is measured."""

from collections.abc import Mapping, Sequence
from html import escape
from math import log10

COLOURS = ("#2f5d8a", "#c2632b", "#5b8c3e", "#8a4f7d", "#7a7a7a")

_ROW = 22
_LABEL = 190
_WIDTH = 640
_FONT = 'font-family="system-ui, sans-serif" font-size="12"'


def bars(
    title: str, values: Mapping[str, Sequence[float | None]], names: Sequence[str], *, most: float | None = None
) -> str:
    """Horizontal bars: for each label one of each name.

    `values` has a number for each name under each label, or None where there is nothing to show; `most` is the length
    of the longest, if it is not the largest.
    """
    shown = [value for row in values.values() for value in row if value is not None]
    longest = most or max(shown, default=1.0) or 1.0
    height = 30 + _ROW * len(shown) + 8 * len(values) + 24
    parts, y = [_text(0, 16, title, bold=True)], 30.0
    for label, row in values.items():
        parts.append(_text(_LABEL - 8, y + 15, label, anchor="end"))
        for place, value in enumerate(row):
            if value is None:
                continue
            width = max(1.0, (_WIDTH - _LABEL - 70) * max(0.0, value) / longest)
            colour = COLOURS[place % len(COLOURS)]
            parts.append(f'<rect x="{_LABEL}" y="{y:.1f}" width="{width:.1f}" height="{_ROW - 4}" fill="{colour}"/>')
            parts.append(_text(_LABEL + width + 6, y + 13, f"{value:.4g}"))
            y += _ROW
        y += 8
    return _svg(height, [*parts, *_legend(names, height - 8)])


def lines(
    title: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    axes: tuple[str, str],
    *,
    logarithmic: tuple[bool, bool] = (False, False),
) -> str:
    """Lines through points (x, y), one for each name; each axis may be logarithmic, and then begins above 0."""
    points = [point for line in series.values() for point in line]
    scales = [_Scale([point[axis] for point in points], logarithmic[axis]) for axis in (0, 1)]
    left, right, top, bottom = 60.0, _WIDTH - 20.0, 36.0, 300.0

    def place(point: tuple[float, float]) -> tuple[float, float]:
        across, up = (scale(value) for scale, value in zip(scales, point, strict=True))
        return left + across * (right - left), bottom - up * (bottom - top)

    parts = [_text(0, 16, title, bold=True), _text((left + right) / 2, bottom + 34, axes[0], anchor="middle")]
    parts.append(_text(0, top - 6, axes[1]))
    parts.append(f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#888"/>')
    some_x, some_y = points[0]
    parts += [
        _text(place((value, some_y))[0], bottom + 16, f"{value:g}", anchor="middle")
        for value in _ticks([point[0] for point in points])
    ]
    parts += [
        _text(left - 6, place((some_x, value))[1] + 4, f"{value:.3g}", anchor="end")
        for value in _ticks([point[1] for point in points])
    ]
    for number, line in enumerate(series.values()):
        colour = COLOURS[number % len(COLOURS)]
        spots = [place(point) for point in line]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        parts.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in spots]
    return _svg(370, [*parts, *_legend(list(series), 362)])


class _Scale:
    """From a value to its share of the axis."""

    def __init__(self, values: Sequence[float], logarithmic: bool) -> None:
        self._log = logarithmic
        found = [self._of(value) for value in values] or [0.0]
        self._low = min(found) if logarithmic else min(0.0, *found)
        self._span = max(found) - self._low or 1.0

    def __call__(self, value: float) -> float:
        return (self._of(value) - self._low) / self._span

    def _of(self, value: float) -> float:
        return log10(max(value, 1e-12)) if self._log else value


def _ticks(values: Sequence[float]) -> list[float]:
    """Few of the values themselves: what is read off a chart was measured."""
    distinct = sorted(set(values))
    step = max(1, -(-len(distinct) // 6))
    return distinct[::step]


def _legend(names: Sequence[str], y: float) -> list[str]:
    parts, x = [], float(_LABEL)
    if len(names) < 2:
        return []
    for number, name in enumerate(names):
        colour = COLOURS[number % len(COLOURS)]
        parts += [f'<rect x="{x:.0f}" y="{y - 9:.0f}" width="10" height="10" fill="{colour}"/>', _text(x + 15, y, name)]
        x += 30 + 7 * len(name)
    return parts


def _text(x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'


def _svg(height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" width="{_WIDTH}" {_FONT}'
        f' fill="#222">'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )
