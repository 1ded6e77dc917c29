"""Read judged questions from files: our own JSON Lines, TREC or BEIR. Does not search."""

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
    """A question with the grades of documents by uri and the correct answers."""

    id: str
    """From the file, or derived from text and history, so that the same question has the same id in every file."""
    query: str
    grades: Mapping[str, int] = field(default_factory=dict)
    """Relevance of each judged document; 0 is not relevant."""
    answers: tuple[str, ...] = ()
    answerable: bool | None = None
    """Whether the documents contain an answer; None if that is unknown."""
    history: tuple[str, ...] = ()


def read_dataset(queries: Path, qrels: Path | None = None) -> list[JudgedQuery]:
    """Read the judged questions of a file or a BEIR folder; an InvalidError names the file and the line.

    Questions are JSON Lines with `query` or `text`, or lines with an id, a tab and a text. Judgements are in the same
    line (`relevant`: a list of uris, or grades by uri) or in the file `qrels`: TREC lines (`query 0 document grade`),
    BEIR lines (`query document grade`, with or without a header), or our own lines with the same three columns.
    """
    if queries.is_dir():
        qrels = qrels or _first_file(queries / "qrels" / "test.tsv", queries / "qrels.tsv")
        queries = queries / "queries.jsonl"
    judged = _read_queries(queries)
    if qrels is None:
        return judged
    graded = _read_qrels(qrels)
    if not any(query.id in graded for query in judged):
        raise InvalidError(f"{qrels} judges none of the questions of {queries}: its first column has their ids")
    return [replace(query, grades={**query.grades, **graded.get(query.id, {})}) for query in judged]


@dataclass(frozen=True, slots=True)
class RecommendationCase:
    """Documents that someone has read, and others that are relevant to them, by uri."""

    positive: tuple[str, ...]
    relevant: frozenset[str]


def read_recommendation_cases(path: Path) -> list[RecommendationCase]:
    """Read JSON Lines of `positive` and `relevant`, each a list of uris; an InvalidError names the line."""
    cases = [case for _, case in _parse_lines(path, _parse_case)]
    if not cases:
        raise InvalidError(f"{path} has no case")
    return cases


def match_uris(judged: Iterable[JudgedQuery], uris: Iterable[str]) -> tuple[list[JudgedQuery], list[str]]:
    """Return the questions with grades by the collection's uris, and the judged names that match no document.

    A name matches the uri that is equal to it, else the only uri with this file name, with or without its extension.
    """
    known_uris = set(uris)
    uris_by_name: dict[str, set[str]] = {}
    for uri in known_uris:
        file_name = uri.rpartition("/")[2]
        for name in {file_name, file_name.rpartition(".")[0] or file_name}:
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
        replace(query, grades={resolve_uri(name): grade for name, grade in query.grades.items()}) for query in judged
    ]
    return matched_queries, list(missing)


def _first_file(*paths: Path) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


def _read_queries(path: Path) -> list[JudgedQuery]:
    judged: dict[str, JudgedQuery] = {}
    line_numbers: dict[str, int] = {}
    for number, query in _parse_lines(path, _parse_query):
        if query.id in judged:
            raise InvalidError(
                f"{path}, line {number}: the same question or id as in line {line_numbers[query.id]};"
                " give each question its own id"
            )
        judged[query.id], line_numbers[query.id] = query, number
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
            raise InvalidError(f"{path}, line {number}: {query} has another grade for {document} in an earlier line")
    return graded


def _parse_lines(path: Path, parse: Callable[[str, bool], _T]) -> Iterator[tuple[int, _T]]:
    """Yield the number and parsed value of each line; `parse` receives whether it is the first non-empty line."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as exc:
        raise NotFoundError(f"there is no file {path}") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidError(f"{path} cannot be read as UTF-8 text: {exc}") from exc
    is_first = True
    for number, line in enumerate(text.split("\n"), 1):  # splitlines() would split texts at U+2028 and U+0085
        if not line.strip():
            continue
        try:
            parsed = parse(line, is_first)
        except (ValueError, InvalidError) as exc:
            raise InvalidError(f"{path}, line {number}: {exc}") from exc
        is_first = False
        yield number, parsed


def _parse_query(line: str, is_first: bool) -> JudgedQuery:
    if not line.lstrip().startswith("{"):
        query_id, _, text = line.partition("\t")
        if not query_id.strip() or not text.strip():
            raise InvalidError("neither a JSON object nor an id, a tab and a question")
        return JudgedQuery(query_id.strip(), validate_query(text))
    try:
        entry = json.loads(line)
    except RecursionError as exc:
        raise InvalidError("the JSON is nested too deeply") from exc
    query = entry.get("query", entry.get("text"))
    if not isinstance(query, str) or not query.strip():
        raise InvalidError('the line has no question: it needs "query" with a text')
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


def _parse_case(line: str, is_first: bool) -> RecommendationCase:
    try:
        entry = json.loads(line)
    except RecursionError as exc:
        raise InvalidError("the JSON is nested too deeply") from exc
    if not isinstance(entry, dict):
        raise InvalidError('a case is an object with the lists "positive" and "relevant"')
    positive, relevant = _parse_texts(entry, "positive"), frozenset(_parse_texts(entry, "relevant"))
    if not positive or not relevant:
        raise InvalidError('a case needs uris in "positive" and in "relevant"')
    if shared := relevant.intersection(positive):
        raise InvalidError(f"{min(shared)!r:.80} is both positive and relevant; what was read is not recommended")
    return RecommendationCase(positive, relevant)


def _derive_id(query: str, history: Iterable[str]) -> str:
    return hashlib.sha256(json.dumps([*history, query]).encode()).hexdigest()[:12]


def _parse_grades(entry: Mapping[str, Any]) -> dict[str, int]:
    relevant = entry.get("relevant")
    if not isinstance(relevant, dict):
        return dict.fromkeys(_parse_texts(entry, "relevant"), 1)
    return {_parse_text(name, "relevant", ""): _parse_grade(grade) for name, grade in relevant.items()}


def _parse_texts(entry: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return the texts of a field; a single text is a list of one."""
    value = entry.get(name)
    values = value if isinstance(value, list) else [] if value is None else [value]
    return tuple(_parse_text(item, name, f'"{name}" is a text or a list of texts') for item in values)


def _parse_text(value: object, name: str, requirement: str) -> str:
    """Return a text; an integer is converted, because the ids of many data sets are integers."""
    if type(value) is not str and type(value) is not int:
        raise InvalidError(f"{requirement}, not {value!r:.40}")
    text = str(value)
    if not text.strip():
        raise InvalidError(f'"{name}" holds an empty text')
    if _LONE_SURROGATE.search(text):
        raise InvalidError(f'"{name}" holds half of a surrogate pair, which is not a character: {text!r:.40}')
    return text


def _parse_judgement(line: str, is_first: bool) -> tuple[str, str, int] | None:
    """Return query id, document and grade; None for a header line, which has no digit."""
    line = line.strip()
    parts = [part.strip() for part in line.split("\t")] if "\t" in line else line.split()
    if len(parts) not in (3, 4) or not parts[-2]:
        raise InvalidError("a judgement is a query, a document and a grade, or in TREC format: query 0 document grade")
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
