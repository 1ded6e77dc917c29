"""Questions and judgements as the field writes them down."""

import json
from pathlib import Path

import pytest

from semsearch.errors import Invalid, NotFound
from semsearch.judgements import Judged, matched, read


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
    assert read(path) == [
        Judged("1", "How long?", {"a.md": 1, "b.md": 1}),
        Judged("7", "And then?", {"c.md": 2}, ("26 weeks",), answerable=False, history=("Who?",)),
    ]


def test_a_folder_of_beir(tmp_path: Path) -> None:
    """Queries with `_id` and `text`, and judgements with a head."""
    write(tmp_path / "queries.jsonl", {"_id": "q1", "text": "what is lift"}, {"_id": "q2", "text": "what is drag"})
    write(tmp_path / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore", "q1\td1\t1", "q1\td2\t0", "q9\td3\t1")
    assert read(tmp_path) == [Judged("q1", "what is lift", {"d1": 1, "d2": 0}), Judged("q2", "what is drag")]


def test_files_of_trec(tmp_path: Path) -> None:
    """Topics with a tab, judgements with a column that nobody uses, and grades below 0."""
    topics = write(tmp_path / "topics.tsv", "301\tinternational crime", "302\tpolio eradication")
    qrels = write(tmp_path / "qrels", "301 0 FBIS3-1 1", "301 0 FBIS3-2 -2", "302 0 FT934-1 2")
    found = read(topics, qrels)
    assert [one.grades for one in found] == [{"FBIS3-1": 1, "FBIS3-2": -2}, {"FT934-1": 2}]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("no tab here", "line 2: neither"),
        ('{"query": ""}', 'line 2: there is no question: it needs "query"'),
        ('{"query": "x", "relevant": {"a": "much"}}', "line 2: invalid literal"),
        ("{", "line 2: Expecting"),
    ],
)
def test_what_is_wrong_is_named_by_its_line(tmp_path: Path, line: str, why: str) -> None:
    """The file, the line, and what is missing."""
    path = write(tmp_path / "q.jsonl", {"query": "fine"}, line)
    with pytest.raises(Invalid, match=why):
        read(path)


def test_files_that_are_not_there_or_hold_nothing(tmp_path: Path) -> None:
    """Each says which file it is."""
    with pytest.raises(NotFound, match=r"none\.jsonl"):
        read(tmp_path / "none.jsonl")
    with pytest.raises(Invalid, match="has no question"):
        read(write(tmp_path / "empty.jsonl", ""))
    with pytest.raises(Invalid, match="line 2: a judgement is"):
        read(write(tmp_path / "q.tsv", "1\tx"), write(tmp_path / "r.tsv", "1\ta\t1", "1\t2"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Invalid, match="UTF-8"):
        read(tmp_path / "binary")


def test_names_are_matched_with_uris() -> None:
    """A document may be named by its uri, or by the end of it as long as no other has the same; the rest is named."""
    judged = [Judged("1", "?", {"docs/a.md": 1, "b": 2, "c.md": 1, "zz": 1, "same": 3})]
    uris = ["docs/a.md", "x/b.txt", "y/c.md", "one/same.md", "two/same.md"]
    found, missing = matched(judged, uris)
    assert found[0].grades == {"docs/a.md": 1, "x/b.txt": 2, "y/c.md": 1, "zz": 1, "same": 3}
    assert missing == ["zz", "same"]
