"""Judged questions in our own JSON Lines and in BEIR and TREC files."""

import json
from pathlib import Path
from typing import Any

import pytest

from semsearch.core.errors import InvalidError, NotFoundError
from semsearch.evaluation.datasets import JudgedQuery, match_uris, read_dataset


def write_lines(path: Path, *lines: object) -> Path:
    """Write a file of these lines; lines that are not strings are written as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def test_json_lines_are_read(tmp_path: Path) -> None:
    """A question may have id, grades, answers, answerability and history."""
    path = write_lines(
        tmp_path / "q.jsonl",
        {"query": "How long?", "relevant": ["a.md", "b.md"]},
        {
            "id": 7,
            "query": "And then?",
            "relevant": {"c.md": 2},
            "answers": ["26 weeks"],
            "answerable": False,
            "history": ["Who?"],
        },
        "",
    )
    judged = read_dataset(path)
    assert judged == [
        JudgedQuery(judged[0].id, "How long?", {"a.md": 1, "b.md": 1}),
        JudgedQuery("7", "And then?", {"c.md": 2}, ("26 weeks",), answerable=False, history=("Who?",)),
    ]


def test_beir_folder_is_read(tmp_path: Path) -> None:
    """Queries have `_id` and `text`, and judgements have a header."""
    write_lines(
        tmp_path / "queries.jsonl", {"_id": "q1", "text": "what is lift"}, {"_id": "q2", "text": "what is drag"}
    )
    write_lines(tmp_path / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore", "q1\td1\t1", "q1\td2\t0", "q9\td3\t1")
    assert read_dataset(tmp_path) == [
        JudgedQuery("q1", "what is lift", {"d1": 1, "d2": 0}),
        JudgedQuery("q2", "what is drag"),
    ]


def test_trec_files_are_read(tmp_path: Path) -> None:
    """Topics have a tab, judgements an unused column, and grades may be negative."""
    topics = write_lines(tmp_path / "topics.tsv", "301\tinternational crime", "302\tpolio eradication")
    qrels = write_lines(tmp_path / "qrels", "301 0 FBIS3-1 1", "301 0 FBIS3-2 -2", "302 0 FT934-1 2")
    judged = read_dataset(topics, qrels)
    assert [query.grades for query in judged] == [{"FBIS3-1": 1, "FBIS3-2": -2}, {"FT934-1": 2}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no tab here", "neither"),
        ("\tno id", "neither"),
        ('{"query": ""}', 'the line has no question: it needs "query"'),
        ('{"query": null}', 'the line has no question: it needs "query"'),
        ('{"query": "\\u200b"}', "the question is empty"),
        (json.dumps({"query": "x" * 4_001}), "the question has 4001 characters; the maximum is 4000"),
        (f"2\t{'x' * 4_001}", "the question has 4001 characters; the maximum is 4000"),
        ('{"query": "x", "history": [""]}', '"history" holds an empty text'),
        ('{"query": "x", "history": {"a": 1}}', '"history" is a text or a list of texts'),
        ('{"query": "x", "relevant": {"a": "much"}}', "a grade is a whole number .* not 'much'"),
        ('{"query": "x", "relevant": {"a": 1.5}}', "a grade is a whole number .* not 1.5"),
        ('{"query": "x", "relevant": {"a": Infinity}}', "a grade is a whole number .* not inf"),
        ('{"query": "x", "relevant": {"a": NaN}}', "a grade is a whole number .* not nan"),
        (f'{{"query": "x", "relevant": {{"a": {"9" * 400}}}}}', "a grade is a whole number"),
        ('{"query": "x", "relevant": {"a": null}}', "a grade is a whole number .* not None"),
        ('{"query": "x", "relevant": {"a": true}}', "a grade is a whole number .* not True"),
        ('{"query": "x", "relevant": [["a"]]}', '"relevant" is a text or a list of texts'),
        ('{"query": "x", "relevant": [1.5]}', '"relevant" is a text or a list of texts'),
        ('{"query": "x", "relevant": ["\\ud800"]}', '"relevant" holds half of a surrogate pair'),
        ('{"query": "x", "answers": true}', '"answers" is a text or a list of texts'),
        ('{"query": "x", "answerable": "false"}', "\"answerable\" is true or false, not 'false'"),
        ('{"query": "x", "id": [1]}', '"id" is a text or a whole number'),
        ('{"query": "x", "id": ""}', '"id" holds an empty text'),
        ('{"query": "x", "deep": ' + "[" * 100_000 + "}", "the JSON is nested too deeply"),
        ("{", "Expecting"),
    ],
)
def test_error_names_the_file_and_the_line(tmp_path: Path, line: str, message: str) -> None:
    """The message also has the cause."""
    path = write_lines(tmp_path / "q.jsonl", {"query": "fine"}, line)
    with pytest.raises(InvalidError, match=f"q.jsonl, line 2: {message}"):
        read_dataset(path)


@pytest.mark.parametrize(
    ("line", "equivalent"),
    [
        ({"relevant": "a.txt"}, {"relevant": ["a.txt"]}),
        ({"relevant": [1, 2]}, {"relevant": ["1", "2"]}),
        ({"relevant": 1}, {"relevant": ["1"]}),
        ({"relevant": {"a.txt": "2", "b.txt": 1.0}}, {"relevant": {"a.txt": 2, "b.txt": 1}}),
        ({"relevant": None, "answers": None, "history": None, "answerable": None}, {}),
        ({"answers": "26 weeks", "history": "Who?"}, {"answers": ["26 weeks"], "history": ["Who?"]}),
        ({"answers": [26]}, {"answers": ["26"]}),
    ],
)
def test_unambiguous_values_are_converted(tmp_path: Path, line: dict[str, Any], equivalent: dict[str, Any]) -> None:
    """A single text is a list of one, an integer id is a text, and null is an absent field."""
    first, second = (
        write_lines(tmp_path / f"{n}.jsonl", {"id": "q", "query": "x", **fields})
        for n, fields in enumerate([line, equivalent])
    )
    assert read_dataset(first) == read_dataset(second)


def test_only_line_feeds_end_a_line(tmp_path: Path) -> None:
    """U+2028 and U+0085 do not end a line, and a lone surrogate is removed as in any question."""
    path = tmp_path / "q.jsonl"
    path.write_bytes('{"query": "one\u2028two"}\r\n\r\n{"query": "three\u0085four"}\r\n'.encode())
    assert [query.query for query in read_dataset(path)] == ["one\ntwo", "three\nfour"]
    assert read_dataset(write_lines(path, r'{"query": "leave \ud800"}'))[0].query == "leave"


@pytest.mark.parametrize(
    "lines",
    [
        [{"id": 1, "query": "a"}, {"id": "1", "query": "b"}],
        ["1\ta", "1\tb"],
    ],
)
def test_duplicate_id_is_refused(tmp_path: Path, lines: list[object]) -> None:
    """Judgements could not be assigned to one of two questions with the same id."""
    with pytest.raises(InvalidError, match=r"q\.jsonl, line 3: the same .* as in line 1"):
        read_dataset(write_lines(tmp_path / "q.jsonl", lines[0], "", lines[1]))


def test_id_is_derived_from_text_and_history(tmp_path: Path) -> None:
    """Other lines do not change it, and the same text with another history is another question."""
    follow_up = {"query": "And then?", "history": ["Who?"]}
    (query,) = read_dataset(write_lines(tmp_path / "one.jsonl", {"query": "And then?"}))
    judged = read_dataset(write_lines(tmp_path / "two.jsonl", {"query": "Who?"}, follow_up, {"query": "And then?"}))
    assert query == judged[2]
    assert len({query.id for query in judged}) == 3
    with pytest.raises(
        InvalidError, match="line 2: the same question or id as in line 1; give each question its own id"
    ):
        read_dataset(write_lines(tmp_path / "same.jsonl", follow_up, follow_up))
    lines = [{"id": "a", **follow_up}, {"id": "b", **follow_up}]
    assert len(read_dataset(write_lines(tmp_path / "apart.jsonl", *lines))) == 2


@pytest.mark.parametrize(
    ("lines", "grades"),
    [
        (["q1 0 a.txt 1.0"], {"a.txt": 1}),
        (["q1\t0\ta.txt\t1 "], {"a.txt": 1}),
        (["q1\t0\ta.txt\t1\t"], {"a.txt": 1}),
        (["q1\ta.txt\t1\t"], {"a.txt": 1}),
        (["", "query-id\tcorpus-id\tscore", "q1\ta.txt\t2"], {"a.txt": 2}),
        (["query iteration document grade", "q1 0 a.txt 2", "q1 0 a.txt 2"], {"a.txt": 2}),
    ],
)
def test_only_a_header_is_skipped(tmp_path: Path, lines: list[str], grades: dict[str, int]) -> None:
    """The first line is a judgement unless it has no digit; white space around columns is ignored."""
    assert (
        read_dataset(write_lines(tmp_path / "q.tsv", "q1\tx"), write_lines(tmp_path / "r", *lines))[0].grades == grades
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["q1 0 a.txt high"], "line 1: a grade is a whole number .* not 'high'"),
        (["q1 0 a.txt 0.5"], "line 1: a grade is a whole number .* not '0.5'"),
        (["query corpus", "q1\ta\t1"], "line 1: a judgement is"),
        (["q1\ta\t1", "q1\tb"], "line 2: a judgement is"),
        (["q1\ta\t1", "query-id\tcorpus-id\tscore"], "line 2: a grade is"),
        (["q1\t\t1"], "line 1: a judgement is"),
        (["q1\ta\t1", "q1\ta\t0"], "line 2: q1 has another grade for a in an earlier line"),
        (["q7\ta\t1"], "judges none of the questions of .*q.tsv: its first column has their ids"),
        ([""], "judges none of the questions"),
    ],
)
def test_invalid_judgement_is_an_error(tmp_path: Path, lines: list[str], message: str) -> None:
    """No judgement is skipped silently."""
    with pytest.raises(InvalidError, match=message):
        read_dataset(write_lines(tmp_path / "q.tsv", "q1\tx"), write_lines(tmp_path / "r", *lines))


def test_missing_empty_and_binary_files_are_errors(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(NotFoundError, match=r"none\.jsonl"):
        read_dataset(tmp_path / "none.jsonl")
    with pytest.raises(InvalidError, match="has no question"):
        read_dataset(write_lines(tmp_path / "empty.jsonl", ""))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidError, match="UTF-8"):
        read_dataset(tmp_path / "binary")


def test_names_are_matched_with_uris() -> None:
    """A document is named by its uri or by a unique file name; names that match no document are returned."""
    judged = [JudgedQuery("1", "?", {"docs/a.md": 1, "b": 2, "c.md": 1, "zz": 1, "same": 3})]
    uris = ["docs/a.md", "x/b.txt", "y/c.md", "one/same.md", "two/same.md"]
    matched, missing = match_uris(judged, uris)
    assert matched[0].grades == {"docs/a.md": 1, "x/b.txt": 2, "y/c.md": 1, "zz": 1, "same": 3}
    assert missing == ["zz", "same"]
