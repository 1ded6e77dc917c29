"""Record a person's decisions on judged questions. Does not ask: an interface shows them and passes the decisions."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..core.errors import InvalidError, NotFoundError
from ..core.types.judgements import JudgedQuestion

ACCEPT_GROUPS = ("all", "agreed")
"""What can be accepted together: every question, or those on which two owners agree."""


def accept(questions: Iterable[JudgedQuestion], names: Iterable[str]) -> list[JudgedQuestion]:
    """Return the questions with those accepted that the names name: ids, or groups; NotFoundError for another name."""
    questions, names = list(questions), set(names)
    _check_names(questions, names - set(ACCEPT_GROUPS))
    return [
        replace(question, reviewed=True)
        if "all" in names or question.id in names or ("agreed" in names and question.is_agreed)
        else question
        for question in questions
    ]


def reject(questions: Iterable[JudgedQuestion], names: Iterable[str]) -> list[JudgedQuestion]:
    """Return the questions without those of these ids; NotFoundError for an unknown id."""
    questions, names = list(questions), set(names)
    _check_names(questions, names)
    return [question for question in questions if question.id not in names]


def edit(question: JudgedQuestion, query: str, relevant: Mapping[str, int]) -> JudgedQuestion:
    """Return the question, accepted, with another text and grades; InvalidError if nothing would be left of either."""
    if not query.strip():
        raise InvalidError("the question is empty")
    if not any(grade > 0 for grade in relevant.values()):
        raise InvalidError("no document would be relevant; reject the question instead")
    evidence = tuple(each for each in question.evidence if each.uri in relevant)
    return replace(question, query=query.strip(), relevant=dict(relevant), evidence=evidence, reviewed=True)


def _check_names(questions: Iterable[JudgedQuestion], names: Iterable[str]) -> None:
    unknown = sorted(set(names) - {question.id for question in questions})
    if unknown:
        raise NotFoundError(f"the file has no question with the id {unknown[0][:40]!r}")
