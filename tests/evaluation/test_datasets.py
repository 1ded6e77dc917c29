"""Questions and judgements as the field writes them down."""

import json
from pathlib import Path
from typing import Any

import pytest

from semsearch.core.errors import InvalidError, NotFoundError
from semsearch.evaluation.datasets import JudgedQuery, match_uris, read_dataset


def write(path: Path, *lines: object) -> Path:
    """A file of these lines; what is no text is written as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def test_our_own_lines(tmp_path: Path) -> None:
    """A question may carry everything that is known of it."""
    path = write(
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
    found = read_dataset(path)
    assert found == [
        JudgedQuery(found[0].id, "How long?", {"a.md": 1, "b.md": 1}),
        JudgedQuery("7", "And then?", {"c.md": 2}, ("26 weeks",), answerable=False, history=("Who?",)),
    ]


def test_a_folder_of_beir(tmp_path: Path) -> None:
    """Queries with `_id` and `text`, and judgements with a head."""
    write(tmp_path / "queries.jsonl", {"_id": "q1", "text": "what is lift"}, {"_id": "q2", "text": "what is drag"})
    write(tmp_path / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore", "q1\td1\t1", "q1\td2\t0", "q9\td3\t1")
    assert read_dataset(tmp_path) == [
        JudgedQuery("q1", "what is lift", {"d1": 1, "d2": 0}),
        JudgedQuery("q2", "what is drag"),
    ]


def test_files_of_trec(tmp_path: Path) -> None:
    """Topics with a tab, judgements with a column that nobody uses, and grades below 0."""
    topics = write(tmp_path / "topics.tsv", "301\tinternational crime", "302\tpolio eradication")
    qrels = write(tmp_path / "qrels", "301 0 FBIS3-1 1", "301 0 FBIS3-2 -2", "302 0 FT934-1 2")
    found = read_dataset(topics, qrels)
    assert [one.grades for one in found] == [{"FBIS3-1": 1, "FBIS3-2": -2}, {"FT934-1": 2}]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("no tab here", "neither"),
        ("\tno id", "neither"),
        ('{"query": ""}', 'there is no question: it needs "query"'),
        ('{"query": null}', 'there is no question: it needs "query"'),
        ('{"query": "\\u200b"}', "the question is empty"),
        (json.dumps({"query": "x" * 4_001}), "the question has 4001 characters; at most 4000"),
        (f"2\t{'x' * 4_001}", "the question has 4001 characters; at most 4000"),
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
        ('{"query": "x", "relevant": ["\\ud800"]}', '"relevant" holds half of a character'),
        ('{"query": "x", "answers": true}', '"answers" is a text or a list of texts'),
        ('{"query": "x", "answerable": "false"}', "\"answerable\" is true or false, not 'false'"),
        ('{"query": "x", "id": [1]}', '"id" is a text or a whole number'),
        ('{"query": "x", "id": ""}', '"id" holds an empty text'),
        ('{"query": "x", "deep": ' + "[" * 100_000 + "}", "the JSON is nested too deeply"),
        ("{", "Expecting"),
    ],
)
def test_what_is_wrong_is_named_by_its_line(tmp_path: Path, line: str, why: str) -> None:
    """The file, the line, and what is missing."""
    path = write(tmp_path / "q.jsonl", {"query": "fine"}, line)
    with pytest.raises(InvalidError, match=f"q.jsonl, line 2: {why}"):
        read_dataset(path)


@pytest.mark.parametrize(
    ("line", "meant"),
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
def test_one_is_a_list_of_one(tmp_path: Path, line: dict[str, Any], meant: dict[str, Any]) -> None:
    """What can be meant in one way only is read so: a text for a list, a whole number for an id, null for nothing."""
    both = [write(tmp_path / f"{n}.jsonl", {"id": "q", "query": "x", **each}) for n, each in enumerate([line, meant])]
    assert read_dataset(both[0]) == read_dataset(both[1])


def test_lines_end_where_the_file_says(tmp_path: Path) -> None:
    """Separators that a text may hold end no line, and half of a character is left out as in any question."""
    path = tmp_path / "q.jsonl"
    path.write_bytes('{"query": "one\u2028two"}\r\n\r\n{"query": "three\u0085four"}\r\n'.encode())
    assert [one.query for one in read_dataset(path)] == ["one\ntwo", "three\nfour"]
    assert read_dataset(write(path, r'{"query": "leave \ud800"}'))[0].query == "leave"


@pytest.mark.parametrize(
    "lines",
    [
        [{"id": 1, "query": "a"}, {"id": "1", "query": "b"}],
        ["1\ta", "1\tb"],
    ],
)
def test_an_id_stands_for_one_question(tmp_path: Path, lines: list[object]) -> None:
    """Two questions with one id are refused; the judgements would go to both."""
    with pytest.raises(InvalidError, match=r"q\.jsonl, line 3: the same .* as in line 1"):
        read_dataset(write(tmp_path / "q.jsonl", lines[0], "", lines[1]))


def test_a_question_without_an_id_is_known_by_its_text(tmp_path: Path) -> None:
    """A line before it changes nothing, and the same words after another question are another question."""
    asked = {"query": "And then?", "history": ["Who?"]}
    (one,) = read_dataset(write(tmp_path / "one.jsonl", {"query": "And then?"}))
    two = read_dataset(write(tmp_path / "two.jsonl", {"query": "Who?"}, asked, {"query": "And then?"}))
    assert one == two[2]
    assert len({each.id for each in two}) == 3
    with pytest.raises(InvalidError, match="line 2: the same question or id as in line 1; give each an id of its own"):
        read_dataset(write(tmp_path / "same.jsonl", asked, asked))
    assert len(read_dataset(write(tmp_path / "apart.jsonl", {"id": "a", **asked}, {"id": "b", **asked}))) == 2


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
def test_only_a_head_is_left_out(tmp_path: Path, lines: list[str], grades: dict[str, int]) -> None:
    """The first line is a judgement unless nothing in it can be one, whatever stands around its columns."""
    assert read_dataset(write(tmp_path / "q.tsv", "q1\tx"), write(tmp_path / "r", *lines))[0].grades == grades


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["q1 0 a.txt high"], "line 1: a grade is a whole number .* not 'high'"),
        (["q1 0 a.txt 0.5"], "line 1: a grade is a whole number .* not '0.5'"),
        (["query corpus", "q1\ta\t1"], "line 1: a judgement is"),
        (["q1\ta\t1", "q1\tb"], "line 2: a judgement is"),
        (["q1\ta\t1", "query-id\tcorpus-id\tscore"], "line 2: a grade is"),
        (["q1\t\t1"], "line 1: a judgement is"),
        (["q1\ta\t1", "q1\ta\t0"], "line 2: q1 has another grade for a before"),
        (["q7\ta\t1"], "judges none of the questions of .*q.tsv: its first column has their ids"),
        ([""], "judges none of the questions"),
    ],
)
def test_judgements_that_are_none_are_named(tmp_path: Path, lines: list[str], why: str) -> None:
    """None is left out without a word."""
    with pytest.raises(InvalidError, match=why):
        read_dataset(write(tmp_path / "q.tsv", "q1\tx"), write(tmp_path / "r", *lines))


def test_files_that_are_not_there_or_hold_nothing(tmp_path: Path) -> None:
    """Each says which file it is."""
    with pytest.raises(NotFoundError, match=r"none\.jsonl"):
        read_dataset(tmp_path / "none.jsonl")
    with pytest.raises(InvalidError, match="has no question"):
        read_dataset(write(tmp_path / "empty.jsonl", ""))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidError, match="UTF-8"):
        read_dataset(tmp_path / "binary")


def test_names_are_matched_with_uris() -> None:
    """A document may be named by its uri, or by the end of it as long as no other has the same; the rest is named."""
    judged = [JudgedQuery("1", "?", {"docs/a.md": 1, "b": 2, "c.md": 1, "zz": 1, "same": 3})]
    uris = ["docs/a.md", "x/b.txt", "y/c.md", "one/same.md", "two/same.md"]
    found, missing = match_uris(judged, uris)
    assert found[0].grades == {"docs/a.md": 1, "x/b.txt": 2, "y/c.md": 1, "zz": 1, "same": 3}
    assert missing == ["zz", "same"]
