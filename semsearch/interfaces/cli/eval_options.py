"""The options of `semsearch eval`, and the files that it reads and writes for every kind of run."""

import errno
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...collection import Collection
from ...core.errors import InvalidError, StorageError
from ...core.types.search import SearchMode
from ...evaluation.datasets import JudgedQuery, match_uris, read_dataset
from . import output


@dataclass(frozen=True, slots=True)
class EvalOptions:
    """The options of the command."""

    queries: Path
    qrels: Path | None
    collection: str
    against: str | None
    k: int
    mode: SearchMode
    against_mode: SearchMode | None
    ask: bool
    limit: int | None
    baseline_path: Path | None = None
    tolerance: float | None = None
    save_path: Path | None = None
    html_path: Path | None = None
    quiet: bool = False
    """Whether no progress is shown."""
    compare: tuple[str, ...] = ()
    """Configurations to compare: names, or pairs such as k=5,mode=dense."""
    configurations_path: Path | None = None
    budget: float | None = None
    """US dollars that the run may cost."""
    chart_path: Path | None = None
    measure: str | None = None
    """Drawn in the chart."""
    history: bool = False
    """Whether earlier runs are shown, and nothing is run."""


def read_judged_queries(options: EvalOptions) -> list[JudgedQuery]:
    """Return the questions of the file; InvalidError if none has a judgement that this run measures."""
    if options.measure is not None and options.chart_path is None:
        raise InvalidError("--measure chooses what --chart draws; give both or neither")
    queries = read_dataset(options.queries, options.qrels)[: options.limit]
    if not any(query.grades or query.answers or query.answerable is not None for query in queries):
        raise InvalidError(
            f"{options.queries}: no question has a judgement; give --qrels, or add `relevant` to the questions"
        )
    if not (options.ask or any(query.grades for query in queries)):
        raise InvalidError(
            f"{options.queries}: answers and refusals are measured with --ask only; rankings need --qrels or `relevant`"
        )
    return queries


def match_documents(collection: Collection, judged: Sequence[JudgedQuery]) -> list[JudgedQuery]:
    """Return the questions with grades by the collection's uris; warn about judged documents that it does not have."""
    matched, missing = match_uris(judged, [document.uri for document in collection.documents()])
    if missing:
        examples, name = ", ".join(missing[:3]), collection.name
        remedy = f"they count as not retrieved; semsearch documents -c {name} lists the names"
        output.print_err(f"{len(missing)} judged documents are not in {name}, such as {examples}: {remedy}")
    return matched


def validate_writable(path: Path) -> None:
    """Raise StorageError if the file cannot be written; checked before the run, which may cost money."""
    target = path if path.exists() else path.absolute().parent
    if not target.exists():
        raise StorageError(f"{path} cannot be written: there is no folder {target}")
    if not os.access(target, os.W_OK):
        raise StorageError(f"{path} cannot be written: {os.strerror(errno.EACCES)}")


def write_file(path: Path, text: str) -> None:
    """Write a result; StorageError if the file cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise StorageError(f"{path} cannot be written: {exc.strerror}") from exc


def write_json(path: Path, result: dict[str, Any]) -> None:
    """Write a result as JSON; StorageError if the file cannot be written."""
    write_file(path, json.dumps(result, ensure_ascii=False, default=_slots_to_dict, indent=1))


def _slots_to_dict(value: Any) -> Any:
    return {name: getattr(value, name) for name in value.__slots__}
