"""Files of judged questions: JSON Lines as `semsearch eval` reads them, with their evidence and whether reviewed."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..core.errors import InvalidError, NotFoundError, StorageError
from ..core.private_files import write_private_file
from ..core.types.judgements import Evidence, JudgedQuestion, Split


def write_judged_questions(path: Path, questions: Iterable[JudgedQuestion]) -> None:
    """Replace a file atomically; only its owner may read it, because it has what people asked."""
    lines = [json.dumps(_encode(question), ensure_ascii=False) for question in questions]
    try:
        write_private_file(path, "".join(f"{line}\n" for line in lines).encode())
    except OSError as exc:
        raise StorageError(f"{path} cannot be written: {exc.strerror}") from exc


def read_judged_questions(path: Path) -> list[JudgedQuestion]:
    """Return the questions of an exported file; an InvalidError names the file and the line."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError as exc:
        raise NotFoundError(f"there is no file {path}") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidError(f"{path} cannot be read as UTF-8 text: {exc}") from exc
    questions = []
    for number, line in enumerate(lines, 1):
        try:
            questions += [_decode(json.loads(line))] if line.strip() else []
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
            raise InvalidError(f"{path}, line {number}: this was not written by semsearch feedback export") from exc
    return questions


def write_splits(path: Path, questions: Iterable[JudgedQuestion]) -> dict[str, Path]:
    """Write the reviewed questions of each split to a file beside `path`; return the files by split.

    A split without questions has no file, because `semsearch eval` refuses an empty one.
    """
    reviewed = [question for question in questions if question.reviewed]
    written: dict[str, Path] = {}
    splits: tuple[Split, ...] = ("training", "held-out")
    for split in splits:
        target = path.with_name(f"{path.stem}.{split}{path.suffix or '.jsonl'}")
        chosen = [question for question in reviewed if question.split == split]
        if chosen:
            write_judged_questions(target, chosen)
            written[split] = target
        else:
            target.unlink(missing_ok=True)
    return written


def _encode(question: JudgedQuestion) -> dict[str, Any]:
    fields = asdict(question)
    return {**{name: value for name, value in fields.items() if name != "is_agreed"}, "agreed": question.is_agreed}


def _decode(stored: dict[str, Any]) -> JudgedQuestion:
    evidence = tuple(Evidence(**item) for item in stored["evidence"])
    question = JudgedQuestion(
        str(stored["id"]), stored["query"], stored["relevant"], stored["split"], stored["agreed"] is True, evidence,
        stored["reviewed"] is True,
    )  # fmt: skip
    if not isinstance(question.query, str) or not isinstance(question.relevant, dict):
        raise ValueError("the types of the fields are wrong")
    return question
