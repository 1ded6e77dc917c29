"""Charts in Office files, as the table behind them. Does not look at how they are drawn."""

from typing import Any

from ....core.types.documents import Locator
from ..block_builder import Outline, line, table


def add_chart(outline: Outline, root: Any, at: Locator) -> None:
    """Append a chart's titles, and its numbers: categories down, series across."""
    for title in root.iter("{*}title"):
        outline.add(line(" ".join(text.text or "" for text in title.iter("{*}t"))), "paragraph", at)
    series = list(root.iter("{*}ser"))
    names = [" ".join(value.text or "" for value in one.iterfind("{*}tx//{*}v")) for one in series]
    columns = [_points(one, ("{*}val", "{*}yVal")) for one in series]
    categories = _points(series[0], ("{*}cat", "{*}xVal")) if series else {}
    numbers = sorted(categories.keys() | {number for column in columns for number in column})
    rows = [[categories.get(number, ""), *(column.get(number, "") for column in columns)] for number in numbers]
    if rows:
        outline.add(table([["", *names], *rows]), "table", at)


def _points(series: Any, names: tuple[str, ...]) -> dict[int, str]:
    points = {}
    for name in names:
        for point in series.iterfind(f"{name}//{{*}}pt"):
            number = point.get("idx", "")
            if number.isdecimal():
                points[int(number[:6])] = " ".join(value.text or "" for value in point.iter("{*}v"))
    return points
