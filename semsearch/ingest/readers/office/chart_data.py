"""Charts in Office files, as the table behind them. Does not look at how they are drawn."""

from typing import Any

from ....core.types.documents import Locator
from ..block_builder import BlockBuilder, collapse_whitespace, format_table


def add_chart(builder: BlockBuilder, root: Any, locator: Locator) -> None:
    """Append a chart's titles, and its numbers: categories down, series across."""
    for title in root.iter("{*}title"):
        builder.add(collapse_whitespace(" ".join(text.text or "" for text in title.iter("{*}t"))), "paragraph", locator)
    series = list(root.iter("{*}ser"))
    names = [" ".join(value.text or "" for value in one.iterfind("{*}tx//{*}v")) for one in series]
    columns = [_read_points(one, ("{*}val", "{*}yVal")) for one in series]
    categories = _read_points(series[0], ("{*}cat", "{*}xVal")) if series else {}
    numbers = sorted(categories.keys() | {number for column in columns for number in column})
    rows = [[categories.get(number, ""), *(column.get(number, "") for column in columns)] for number in numbers]
    if rows:
        builder.add(format_table([["", *names], *rows]), "table", locator)


def _read_points(series: Any, names: tuple[str, ...]) -> dict[int, str]:
    points = {}
    for name in names:
        for point in series.iterfind(f"{name}//{{*}}pt"):
            number = point.get("idx", "")
            if number.isdecimal():
                points[int(number[:6])] = " ".join(value.text or "" for value in point.iter("{*}v"))
    return points
