"""Convert charts in Office files to the table of their data. Ignores how they are drawn."""

from typing import Any

from ....core.types.documents import Locator
from ..block_builder import BlockBuilder, collapse_whitespace, format_table


def add_chart(builder: BlockBuilder, root: Any, locator: Locator) -> None:
    """Append a chart's titles and its data as a table: a row per category, a column per series."""
    for title in root.iter("{*}title"):
        builder.add(collapse_whitespace(" ".join(text.text or "" for text in title.iter("{*}t"))), "paragraph", locator)
    series = list(root.iter("{*}ser"))
    names = [" ".join(value.text or "" for value in element.iterfind("{*}tx//{*}v")) for element in series]
    columns = [_read_points(element, ("{*}val", "{*}yVal")) for element in series]
    categories = _read_points(series[0], ("{*}cat", "{*}xVal")) if series else {}
    indexes = sorted(categories.keys() | {index for column in columns for index in column})
    rows = [[categories.get(index, ""), *(column.get(index, "") for column in columns)] for index in indexes]
    if rows:
        builder.add(format_table([["", *names], *rows]), "table", locator)


def _read_points(series: Any, names: tuple[str, ...]) -> dict[int, str]:
    points = {}
    for name in names:
        for point in series.iterfind(f"{name}//{{*}}pt"):
            index = point.get("idx", "")
            if index.isdecimal():
                points[int(index[:6])] = " ".join(value.text or "" for value in point.iter("{*}v"))
    return points
