"""Reads questions with what is known to be right about them: our JSON Lines, TREC or BEIR files. Does not search."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .errors import Invalid, NotFound

MOST_QUERIES = 1_000_000


@dataclass(frozen=True, slots=True)
class Judged:
    """A question, the documents that answer it by uri, and the answers that are right."""

    id: str
    query: str
    grades: Mapping[str, int] = field(default_factory=dict)
    """Relevance of each judged document; 0 is not relevant."""
    answers: tuple[str, ...] = ()
    answerable: bool | None = None
    """Whether the documents hold an answer, where that is known."""
    history: tuple[str, ...] = ()


def read(queries: Path, qrels: Path | None = None) -> list[Judged]:
    """The questions of a file or of a BEIR folder, with their judgements; Invalid names the file and the line.

    Questions are JSON Lines with `query` or `text`, or lines of an id, a tab and a text. Judgements stand beside them
    (`relevant`: a list of uris, or grades by uri), or in `qrels`: lines of TREC (`query 0 document grade`), of BEIR
    (`query document grade`, with or without a head), or our own of the same three columns.
    """
    if queries.is_dir():
        qrels = qrels or _first(queries / "qrels" / "test.tsv", queries / "qrels.tsv")
        queries = queries / "queries.jsonl"
    judged = list(_lines(queries, _query))
    if not judged:
        raise Invalid(f"{queries} has no question")
    graded: dict[str, dict[str, int]] = {}
    for query, document, grade in _lines(qrels, _judgement) if qrels else ():
        graded.setdefault(query, {})[document] = grade
    return [replace(one, grades={**one.grades, **graded.get(one.id, {})}) for one in judged]


def matched(judged: Iterable[Judged], uris: Iterable[str]) -> tuple[list[Judged], list[str]]:
    """The questions with judgements by the collection's uris, and the names of documents that it does not hold.

    A name stands for the uri that it is, or for the only one whose last part, with or without its ending, it is.
    """
    known = set(uris)
    short: dict[str, set[str]] = {}
    for uri in known:
        last = uri.rpartition("/")[2]
        for name in {last, last.rpartition(".")[0] or last}:
            short.setdefault(name, set()).add(uri)
    missing: dict[str, None] = {}

    def uri_of(name: str) -> str:
        if name in known:
            return name
        if len(found := short.get(name, set())) == 1:
            return next(iter(found))
        missing[name] = None
        return name

    matched = [replace(one, grades={uri_of(name): grade for name, grade in one.grades.items()}) for one in judged]
    return matched, list(missing)


def _first(*paths: Path) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


def _lines(path: Path, parse: Callable[[str, int], Any]) -> Iterator[Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as exc:
        raise NotFound(f"there is no file {path}") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise Invalid(f"{path} cannot be read as UTF-8 text: {exc}") from exc
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found = parse(line, number)
        except (ValueError, KeyError, TypeError, Invalid) as exc:
            raise Invalid(f"{path}, line {number}: {exc}") from exc
        if found is not None:
            yield found


def _query(line: str, number: int) -> Judged:
    if not line.lstrip().startswith("{"):
        name, tab, text = line.partition("\t")
        if not tab or not text.strip():
            raise Invalid("neither a JSON object nor an id, a tab and a question")
        return Judged(name.strip(), text.strip())
    entry = json.loads(line)
    query = entry.get("query", entry.get("text"))
    if not isinstance(query, str) or not query.strip():
        raise Invalid('there is no question: it needs "query", a text')
    relevant = entry.get("relevant", {})
    grades = dict.fromkeys(relevant, 1) if isinstance(relevant, list) else {k: int(v) for k, v in relevant.items()}
    return Judged(
        id=str(entry.get("id", entry.get("_id", number))),
        query=query,
        grades=grades,
        answers=tuple(map(str, entry.get("answers", ()))),
        answerable=entry.get("answerable"),
        history=tuple(map(str, entry.get("history", ()))),
    )


def _judgement(line: str, number: int) -> tuple[str, str, int] | None:
    parts = line.split("\t") if "\t" in line else line.split()
    if number == 1 and not parts[-1].lstrip("-").isdigit():
        return None  # a head
    if len(parts) not in (3, 4):
        raise Invalid("a judgement is a query, a document and a grade, or as TREC has it: query 0 document grade")
    return parts[0], parts[-2], int(parts[-1])
