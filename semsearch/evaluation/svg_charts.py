"""Draw small charts as SVG for pages without scripts."""

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, log10

COLOURS = ("#2f5d8a", "#c2632b", "#5b8c3e", "#8a4f7d", "#7a7a7a")

_ROW_HEIGHT = 22
_LABEL_WIDTH = 190
_CHART_WIDTH = 640
_LEGEND_ROW_HEIGHT = 16
_DASHES = "6 4"
_SMALLEST_SHARE_WITH_OWN_AXIS = 0.2
"""Shares above it are drawn on an axis that does not start at 0: differences of a few hundredths matter."""

_FONT = 'font-family="system-ui, sans-serif" font-size="12"'


def draw_bar_chart(
    title: str, values: Mapping[str, Sequence[float | None]], names: Sequence[str], *, max_value: float | None = None
) -> str:
    """Draw horizontal bars: under each label one bar for each name.

    `values` has for each label one number per name, None for no bar. `max_value` is the value of a bar of full length;
    the default is the largest value.
    """
    numbers = [value for row in values.values() for value in row if value is not None]
    full_length_value = max_value or max(numbers, default=1.0) or 1.0
    height = 30 + _ROW_HEIGHT * len(numbers) + 8 * len(values) + 24
    parts, y = [_draw_text(0, 16, title, is_bold=True)], 30.0
    for label, row in values.items():
        parts.append(_draw_text(_LABEL_WIDTH - 8, y + 15, label, anchor="end"))
        for index, value in enumerate(row):
            if value is None:
                continue
            width = max(1.0, (_CHART_WIDTH - _LABEL_WIDTH - 70) * max(0.0, value) / full_length_value)
            colour = COLOURS[index % len(COLOURS)]
            parts.append(
                f'<rect x="{_LABEL_WIDTH}" y="{y:.1f}" width="{width:.1f}" height="{_ROW_HEIGHT - 4}" fill="{colour}"/>'
            )
            parts.append(_draw_text(_LABEL_WIDTH + width + 6, y + 13, f"{value:.4g}"))
            y += _ROW_HEIGHT
        y += 8
    return _wrap_svg(height, [*parts, *_draw_legend(names, height - 8)])


def draw_line_chart(
    title: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    axes: tuple[str, str],
    *,
    log_axes: tuple[bool, bool] = (False, False),
    x_labels: Sequence[str] = (),
    y_ticks: Sequence[float] = (),
) -> str:
    """Draw one line of points (x, y) for each name; a logarithmic axis starts at its smallest value, not at 0.

    With `x_labels` the values of x are positions in it. `y_ticks` replace the measured values on the axis of y, which
    then starts at the first of them. Of more lines than colours, the others are dashed.
    """
    points = [point for line in series.values() for point in line]
    ticks = _choose_ticks([x for x, _ in points]), y_ticks or _choose_ticks([y for _, y in points])
    scales = (
        _Scale([x for x, _ in points], log_axes[0]),
        _Scale([*ticks[1], *(y for _, y in points)], log_axes[1], y_ticks[0] if y_ticks else 0.0),
    )
    left, right, top, bottom = 60.0, _CHART_WIDTH - (50.0 if x_labels else 20.0), 36.0, 300.0

    def to_pixels(point: tuple[float, float]) -> tuple[float, float]:
        x, y = (scale(value) for scale, value in zip(scales, point, strict=True))
        return left + x * (right - left), bottom - y * (bottom - top)

    parts = [
        _draw_text(0, 16, title, is_bold=True),
        _draw_text((left + right) / 2, bottom + 34, axes[0], anchor="middle"),
    ]
    parts.append(_draw_text(0, top - 6, axes[1]))
    parts.append(f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#888"/>')
    first_x, first_y = points[0]
    parts += [
        _draw_text(to_pixels((x, first_y))[0], bottom + 16, x_labels[int(x)] if x_labels else f"{x:g}", anchor="middle")
        for x in ticks[0]
    ]
    parts += [_draw_text(left - 6, to_pixels((first_x, y))[1] + 4, f"{y:.3g}", anchor="end") for y in ticks[1]]
    for index, line in enumerate(series.values()):
        colour = COLOURS[index % len(COLOURS)]
        pixels = [to_pixels(point) for point in line]
        coordinates = " ".join(f"{x:.1f},{y:.1f}" for x, y in pixels)
        dashes = f' stroke-dasharray="{_DASHES}"' if index >= len(COLOURS) else ""
        parts.append(f'<polyline points="{coordinates}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" {_fill(index)}/>' for x, y in pixels]
    extra = _LEGEND_ROW_HEIGHT * (_count_legend_rows(list(series)) - 1)
    return _wrap_svg(370 + extra, [*parts, *_draw_legend(list(series), 362)])


def draw_run_chart(title: str, series: Mapping[str, Sequence[tuple[float, float]]], dates: Sequence[str]) -> str:
    """Draw one line for each name over runs; x is the position of the run's date."""
    values = [y for line in series.values() for _, y in line]
    return draw_line_chart(title, series, ("run (UTC)", ""), x_labels=dates, y_ticks=_choose_even_ticks(values))


class _Scale:
    """Converts a value to a position on an axis, from 0 to 1."""

    def __init__(self, values: Sequence[float], is_logarithmic: bool, start: float = 0.0) -> None:
        self._is_logarithmic = is_logarithmic
        scaled = [self._transform(value) for value in values] or [0.0]
        self._low = min(scaled) if is_logarithmic else min(start, *scaled)
        self._span = max(scaled) - self._low or 1.0

    def __call__(self, value: float) -> float:
        return (self._transform(value) - self._low) / self._span

    def _transform(self, value: float) -> float:
        return log10(max(value, 1e-12)) if self._is_logarithmic else value


def _choose_even_ticks(values: Sequence[float]) -> list[float]:
    """Return five even ticks: from 0 to the highest value, or between tenths if the values are shares."""
    low, high = 0.0, max(values, default=1.0) or 1.0
    if high <= 1 and min(values, default=0.0) > _SMALLEST_SHARE_WITH_OWN_AXIS:
        low, high = ceil(10 * min(values) - 1) / 10, ceil(10 * high) / 10
    return [low + (high - low) * step / 4 for step in range(5)]


def _choose_ticks(values: Sequence[float]) -> list[float]:
    """Return at most six of the values, so that every tick is a measured value."""
    distinct = sorted(set(values))
    step = max(1, -(-len(distinct) // 6))
    return distinct[::step]


def _draw_legend(names: Sequence[str], y: float) -> list[str]:
    """Draw the colour of each name, from left to right; what does not fit a row begins the next one."""
    parts, x = [], float(_LABEL_WIDTH)
    if len(names) < 2:
        return []
    for index, name in enumerate(names):
        if x > _LABEL_WIDTH and x + _legend_width(name) > _CHART_WIDTH:
            x, y = float(_LABEL_WIDTH), y + _LEGEND_ROW_HEIGHT
        parts += [
            f'<rect x="{x:.0f}" y="{y - 9:.0f}" width="10" height="10" {_fill(index)}/>',
            _draw_text(x + 15, y, name),
        ]
        x += _legend_width(name)
    return parts


def _fill(index: int) -> str:
    """Return the attributes of a point: filled, or hollow where the colour is used a second time."""
    colour = COLOURS[index % len(COLOURS)]
    return f'fill="{colour}"' if index < len(COLOURS) else f'fill="#fff" stroke="{colour}" stroke-width="2"'


def _count_legend_rows(names: Sequence[str]) -> int:
    x, rows = float(_LABEL_WIDTH), 1
    for name in names:
        if x > _LABEL_WIDTH and x + _legend_width(name) > _CHART_WIDTH:
            x, rows = float(_LABEL_WIDTH), rows + 1
        x += _legend_width(name)
    return rows


def _legend_width(name: str) -> float:
    return 30 + 7 * len(name)


def _draw_text(x: float, y: float, text: str, *, anchor: str = "start", is_bold: bool = False) -> str:
    weight = ' font-weight="600"' if is_bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'


def _wrap_svg(height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_CHART_WIDTH} {height:.0f}" width="{_CHART_WIDTH}"'
        f' {_FONT} fill="#222">'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )
