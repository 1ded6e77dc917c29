"""Reads questions with what is known to be right about them: our JSON Lines, TREC or BEIR files. Does not search."""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from ..core.errors import Invalid, NotFound
from ..text.cleaning import question

MOST_GRADE = 1_000

_HALF = re.compile("[\ud800-\udfff]")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Judged:
    """A question, the documents that answer it by uri, and the answers that are right."""

    id: str
    """Its own, or one that follows from its text and history: so it is the same question in another file."""
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
    judged = _questions(queries)
    if qrels is None:
        return judged
    graded = _graded(qrels)
    if not any(one.id in graded for one in judged):
        raise Invalid(f"{qrels} judges none of the questions of {queries}: its first column has their ids")
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


def _questions(path: Path) -> list[Judged]:
    judged: dict[str, Judged] = {}
    lines: dict[str, int] = {}
    for number, one in _lines(path, _query):
        if one.id in judged:
            raise Invalid(
                f"{path}, line {number}: the same question or id as in line {lines[one.id]}; give each an id of its own"
            )
        judged[one.id], lines[one.id] = one, number
    if not judged:
        raise Invalid(f"{path} has no question")
    return list(judged.values())


def _graded(path: Path) -> dict[str, dict[str, int]]:
    graded: dict[str, dict[str, int]] = {}
    for number, found in _lines(path, _judgement):
        if found is None:
            continue
        query, document, grade = found
        grades = graded.setdefault(query, {})
        if grades.setdefault(document, grade) != grade:
            raise Invalid(f"{path}, line {number}: {query} has another grade for {document} before")
    return graded


def _lines(path: Path, parse: Callable[[str, bool], _T]) -> Iterator[tuple[int, _T]]:
    """What each line says, with its number; `parse` is told whether the line is the first that says anything."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as exc:
        raise NotFound(f"there is no file {path}") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise Invalid(f"{path} cannot be read as UTF-8 text: {exc}") from exc
    first = True
    for number, line in enumerate(text.split("\n"), 1):  # splitlines() would part texts at U+2028 and U+0085
        if not line.strip():
            continue
        try:
            found = parse(line, first)
        except (ValueError, Invalid) as exc:
            raise Invalid(f"{path}, line {number}: {exc}") from exc
        first = False
        yield number, found


def _query(line: str, first: bool) -> Judged:
    if not line.lstrip().startswith("{"):
        name, _, text = line.partition("\t")
        if not name.strip() or not text.strip():
            raise Invalid("neither a JSON object nor an id, a tab and a question")
        return Judged(name.strip(), question(text))
    try:
        entry = json.loads(line)
    except RecursionError as exc:
        raise Invalid("the JSON is nested too deeply") from exc
    query = entry.get("query", entry.get("text"))
    if not isinstance(query, str) or not query.strip():
        raise Invalid('there is no question: it needs "query", a text')
    query, history = question(query), tuple(map(question, _texts(entry, "history")))
    given, answerable = entry.get("id", entry.get("_id")), entry.get("answerable")
    if not (answerable is None or isinstance(answerable, bool)):
        raise Invalid(f'"answerable" is true or false, not {answerable!r:.40}')
    return Judged(
        id=_derived(query, history) if given is None else _text(given, "id", '"id" is a text or a whole number'),
        query=query,
        grades=_grades(entry),
        answers=_texts(entry, "answers"),
        answerable=answerable,
        history=history,
    )


def _derived(query: str, history: Iterable[str]) -> str:
    return hashlib.sha256(json.dumps([*history, query]).encode()).hexdigest()[:12]


def _grades(entry: Mapping[str, Any]) -> dict[str, int]:
    relevant = entry.get("relevant")
    if not isinstance(relevant, dict):
        return dict.fromkeys(_texts(entry, "relevant"), 1)
    return {_text(name, "relevant", ""): _grade(grade) for name, grade in relevant.items()}


def _texts(entry: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """What stands under a name; one text is a list of one."""
    value = entry.get(name)
    values = value if isinstance(value, list) else [] if value is None else [value]
    return tuple(_text(each, name, f'"{name}" is a text or a list of texts') for each in values)


def _text(value: object, name: str, rule: str) -> str:
    """A text, or a whole number as one: ids of many data sets are numbers."""
    if type(value) is not str and type(value) is not int:
        raise Invalid(f"{rule}, not {value!r:.40}")
    text = str(value)
    if not text.strip():
        raise Invalid(f'"{name}" holds an empty text')
    if _HALF.search(text):
        raise Invalid(f'"{name}" holds half of a character, which no text has: {text!r:.40}')
    return text


def _judgement(line: str, first: bool) -> tuple[str, str, int] | None:
    """What the columns say; None of a head, in which there is no number."""
    line = line.strip()
    parts = [part.strip() for part in line.split("\t")] if "\t" in line else line.split()
    if len(parts) not in (3, 4) or not parts[-2]:
        raise Invalid("a judgement is a query, a document and a grade, or as TREC has it: query 0 document grade")
    if first and not any(letter.isdigit() for letter in line):
        return None
    return parts[0], parts[-2], _grade(parts[-1])


def _grade(value: object) -> int:
    try:
        number = float(value) if isinstance(value, str | float) or type(value) is int else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not (abs(number) <= MOST_GRADE and number.is_integer()):
        raise Invalid(f"a grade is a whole number from -{MOST_GRADE} to {MOST_GRADE}, not {value!r:.40}")
    return int(number)
