"""Reads questions with what is known to be right about them: our JSON Lines, TREC or BEIR files. Does not search."""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from ..core.errors import InvalidError, NotFoundError
from ..text.cleaning import validate_query

MAX_GRADE = 1_000

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class JudgedQuery:
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


def read_dataset(queries: Path, qrels: Path | None = None) -> list[JudgedQuery]:
    """The questions of a file or of a BEIR folder, with their judgements; Invalid names the file and the line.

    Questions are JSON Lines with `query` or `text`, or lines of an id, a tab and a text. Judgements stand beside them
    (`relevant`: a list of uris, or grades by uri), or in `qrels`: lines of TREC (`query 0 document grade`), of BEIR
    (`query document grade`, with or without a head), or our own of the same three columns.
    """
    if queries.is_dir():
        qrels = qrels or _first_file(queries / "qrels" / "test.tsv", queries / "qrels.tsv")
        queries = queries / "queries.jsonl"
    judged = _read_queries(queries)
    if qrels is None:
        return judged
    graded = _read_qrels(qrels)
    if not any(one.id in graded for one in judged):
        raise InvalidError(f"{qrels} judges none of the questions of {queries}: its first column has their ids")
    return [replace(one, grades={**one.grades, **graded.get(one.id, {})}) for one in judged]


def match_uris(judged: Iterable[JudgedQuery], uris: Iterable[str]) -> tuple[list[JudgedQuery], list[str]]:
    """The questions with judgements by the collection's uris, and the names of documents that it does not hold.

    A name stands for the uri that it is, or for the only one whose last part, with or without its ending, it is.
    """
    known_uris = set(uris)
    uris_by_name: dict[str, set[str]] = {}
    for uri in known_uris:
        last = uri.rpartition("/")[2]
        for name in {last, last.rpartition(".")[0] or last}:
            uris_by_name.setdefault(name, set()).add(uri)
    missing: dict[str, None] = {}

    def resolve_uri(name: str) -> str:
        if name in known_uris:
            return name
        if len(matches := uris_by_name.get(name, set())) == 1:
            return next(iter(matches))
        missing[name] = None
        return name

    matched_queries = [
        replace(one, grades={resolve_uri(name): grade for name, grade in one.grades.items()}) for one in judged
    ]
    return matched_queries, list(missing)


def _first_file(*paths: Path) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


def _read_queries(path: Path) -> list[JudgedQuery]:
    judged: dict[str, JudgedQuery] = {}
    lines: dict[str, int] = {}
    for number, one in _parse_lines(path, _parse_query):
        if one.id in judged:
            raise InvalidError(
                f"{path}, line {number}: the same question or id as in line {lines[one.id]}; give each an id of its own"
            )
        judged[one.id], lines[one.id] = one, number
    if not judged:
        raise InvalidError(f"{path} has no question")
    return list(judged.values())


def _read_qrels(path: Path) -> dict[str, dict[str, int]]:
    graded: dict[str, dict[str, int]] = {}
    for number, judgement in _parse_lines(path, _parse_judgement):
        if judgement is None:
            continue
        query, document, grade = judgement
        grades = graded.setdefault(query, {})
        if grades.setdefault(document, grade) != grade:
            raise InvalidError(f"{path}, line {number}: {query} has another grade for {document} before")
    return graded


def _parse_lines(path: Path, parse: Callable[[str, bool], _T]) -> Iterator[tuple[int, _T]]:
    """What each line says, with its number; `parse` is told whether the line is the first that says anything."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as exc:
        raise NotFoundError(f"there is no file {path}") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidError(f"{path} cannot be read as UTF-8 text: {exc}") from exc
    first = True
    for number, line in enumerate(text.split("\n"), 1):  # splitlines() would part texts at U+2028 and U+0085
        if not line.strip():
            continue
        try:
            parsed = parse(line, first)
        except (ValueError, InvalidError) as exc:
            raise InvalidError(f"{path}, line {number}: {exc}") from exc
        first = False
        yield number, parsed


def _parse_query(line: str, is_first: bool) -> JudgedQuery:
    if not line.lstrip().startswith("{"):
        name, _, text = line.partition("\t")
        if not name.strip() or not text.strip():
            raise InvalidError("neither a JSON object nor an id, a tab and a question")
        return JudgedQuery(name.strip(), validate_query(text))
    try:
        entry = json.loads(line)
    except RecursionError as exc:
        raise InvalidError("the JSON is nested too deeply") from exc
    query = entry.get("query", entry.get("text"))
    if not isinstance(query, str) or not query.strip():
        raise InvalidError('there is no question: it needs "query", a text')
    query, history = validate_query(query), tuple(map(validate_query, _parse_texts(entry, "history")))
    raw_id, answerable = entry.get("id", entry.get("_id")), entry.get("answerable")
    if not (answerable is None or isinstance(answerable, bool)):
        raise InvalidError(f'"answerable" is true or false, not {answerable!r:.40}')
    return JudgedQuery(
        id=_derive_id(query, history)
        if raw_id is None
        else _parse_text(raw_id, "id", '"id" is a text or a whole number'),
        query=query,
        grades=_parse_grades(entry),
        answers=_parse_texts(entry, "answers"),
        answerable=answerable,
        history=history,
    )


def _derive_id(query: str, history: Iterable[str]) -> str:
    return hashlib.sha256(json.dumps([*history, query]).encode()).hexdigest()[:12]


def _parse_grades(entry: Mapping[str, Any]) -> dict[str, int]:
    relevant = entry.get("relevant")
    if not isinstance(relevant, dict):
        return dict.fromkeys(_parse_texts(entry, "relevant"), 1)
    return {_parse_text(name, "relevant", ""): _parse_grade(grade) for name, grade in relevant.items()}


def _parse_texts(entry: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """What stands under a name; one text is a list of one."""
    value = entry.get(name)
    values = value if isinstance(value, list) else [] if value is None else [value]
    return tuple(_parse_text(each, name, f'"{name}" is a text or a list of texts') for each in values)


def _parse_text(value: object, name: str, requirement: str) -> str:
    """A text, or a whole number as one: ids of many data sets are numbers."""
    if type(value) is not str and type(value) is not int:
        raise InvalidError(f"{requirement}, not {value!r:.40}")
    text = str(value)
    if not text.strip():
        raise InvalidError(f'"{name}" holds an empty text')
    if _LONE_SURROGATE.search(text):
        raise InvalidError(f'"{name}" holds half of a character, which no text has: {text!r:.40}')
    return text


def _parse_judgement(line: str, is_first: bool) -> tuple[str, str, int] | None:
    """What the columns say; None of a head, in which there is no number."""
    line = line.strip()
    parts = [part.strip() for part in line.split("\t")] if "\t" in line else line.split()
    if len(parts) not in (3, 4) or not parts[-2]:
        raise InvalidError("a judgement is a query, a document and a grade, or as TREC has it: query 0 document grade")
    if is_first and not any(letter.isdigit() for letter in line):
        return None
    return parts[0], parts[-2], _parse_grade(parts[-1])


def _parse_grade(value: object) -> int:
    try:
        number = float(value) if isinstance(value, str | float) or type(value) is int else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not (abs(number) <= MAX_GRADE and number.is_integer()):
        raise InvalidError(f"a grade is a whole number from -{MAX_GRADE} to {MAX_GRADE}, not {value!r:.40}")
    return int(number)
