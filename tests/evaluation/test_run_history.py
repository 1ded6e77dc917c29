"""The history of runs: which runs belong together, damaged lines, and the chart."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from evaluation.test_runner import make_result, make_run

from semsearch.core.errors import InvalidError
from semsearch.evaluation.datasets import JudgedQuery
from semsearch.evaluation.run_history import (
    HISTORY_FILE,
    append_history,
    describe_dataset,
    draw_history,
    make_history_lines,
    read_history,
)

QUERIES = [JudgedQuery("1", "How long is leave?", {"a": 1}, answers=("26",))]
DATASET = describe_dataset(Path("q.jsonl"), QUERIES)


def make_lines(day: int, *scores: float) -> list[dict[str, Any]]:
    """Return the lines of runs on this day with these scores."""
    runs = [make_run(make_result(1, {"ndcg": score})) for score in scores]
    return make_history_lines(runs, "book", DATASET, now=datetime(2026, 11, day, 12, tzinfo=UTC))


def test_dataset_is_known_by_its_content() -> None:
    """Another name of the file is the same data set; another judgement is another one."""
    assert describe_dataset(Path("other"), list(QUERIES)).sha256 == DATASET.sha256
    assert describe_dataset(Path("q"), [JudgedQuery("1", "How long is leave?", {"a": 2})]).sha256 != DATASET.sha256


def test_runs_of_the_same_questions_and_collection_are_read(tmp_path: Path) -> None:
    """A line that was cut off is left out and does not damage the next one; no question is in the file."""
    assert read_history(tmp_path, DATASET, "book") == []
    append_history(tmp_path, make_lines(1, 0.5))
    path = tmp_path / HISTORY_FILE
    path.write_bytes(path.read_bytes() + b'{"format": 1, "date')
    append_history(tmp_path, [{**make_lines(2, 0.6)[0], "collection": "other"}, *make_lines(3, 0.7)])
    lines = read_history(tmp_path, DATASET, "book")
    assert [(line["date"], line["measures"]["ndcg"]) for line in lines] == [
        ("2026-11-01T12:00:00Z", 0.5),
        ("2026-11-03T12:00:00Z", 0.7),
    ]
    assert path.stat().st_mode & 0o777 == 0o600
    assert "leave" not in path.read_text()


@pytest.mark.parametrize(
    "text", ["[]", "{}", "1", '{"format": 2}', "[" * 100_000, '{"format":1,"measures":{}}', "\xff"]
)
def test_line_of_another_format_is_left_out(tmp_path: Path, text: str) -> None:
    """No content of the file is an error."""
    (tmp_path / HISTORY_FILE).write_text(f"{text}\n", encoding="latin-1")
    assert read_history(tmp_path, DATASET, "book") == []


def test_chart_has_a_line_for_each_name_and_a_position_for_each_date() -> None:
    """Runs of one comparison share a position; runs that were stopped are left out."""
    lines = [*make_lines(1, 0.5), *make_lines(2, 0.6), *make_lines(2, 0.9), *make_lines(3, 0.1)]
    lines[2]["name"], lines[3]["complete"] = "<short>", False
    svg = draw_history(lines, None, {"ndcg": "nDCG@10"})
    root = ElementTree.fromstring(svg)
    circles = [(each.get("cx"), each.get("fill")) for each in root.iter("{http://www.w3.org/2000/svg}circle")]
    assert len(circles) == 3
    assert circles[1][0] == circles[2][0] != circles[0][0]
    assert "nDCG@10: book, q.jsonl" in svg
    assert "11-02 12:00" in svg
    assert "11-03" not in svg


def test_measure_that_no_run_has_is_refused() -> None:
    """The error lists those that there are."""
    with pytest.raises(InvalidError, match="no complete run has the measure answer; the runs have ndcg, p50_ms"):
        draw_history(make_lines(1, 0.5), "answer", {})
