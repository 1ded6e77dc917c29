"""Collect the questions that got no good answer, from recorded answers and their feedback. Does not cluster."""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..core.types.answers import Answer
from ..core.types.gaps import GapReason
from ..core.types.rated_answers import RatedAnswer

MAX_QUESTIONS = 5_000
"""The last questions of all owners together."""

MAX_QUESTIONS_PER_OWNER = 1_000
"""The last ones of each, so that one owner cannot displace the others."""

REFUSALS = ("forbidden_topic", "person_requested")
"""Reasons for which no document is missing: no search was made."""

_FAILED_VERDICTS = ("unsupported", "contradicted")


@dataclass(slots=True)
class FailedQuestion:
    """One question of one owner, with all times that it failed. Times are seconds since 1970."""

    owner: str
    text: str
    first: float
    last: float
    reasons: Counter[GapReason] = field(default_factory=Counter)
    rejected_quotes: set[tuple[str, str]] = field(default_factory=set)
    """Uri and quote of citations in answers that got negative feedback."""


def collect_failed_questions(answers: Iterable[RatedAnswer]) -> list[FailedQuestion]:
    """Return the last failed questions, in the order in which they were first asked; `answers` are in order of time.

    Questions of one owner that differ in case and spaces only are one.
    """
    failed: dict[tuple[str, str], FailedQuestion] = {}
    for rated in answers:
        if (reason := find_gap_reason(rated)) is None:
            continue
        record = rated.record
        key = record.owner, normalize_question(record.search_question)
        question = failed.setdefault(
            key, FailedQuestion(record.owner, record.search_question, record.created, record.created)
        )
        question.last = record.created
        question.reasons[reason] += 1
        if record.answer.answered:
            question.rejected_quotes |= {(citation.uri, citation.quote) for citation in record.answer.citations}
    return _keep_last(failed.values())


def find_gap_reason(rated: RatedAnswer) -> GapReason | None:
    """Return why an answer is no good one; None if it is. What its owner said counts more than what was verified."""
    answer, feedback = rated.record.answer, rated.feedback
    if answer.reason in REFUSALS:
        return None
    if not answer.answered:
        return None if feedback and feedback.helpful else answer.reason or "low_score"
    if feedback is not None and feedback.helpful is False:
        return "not_helpful"
    if feedback is not None and feedback.wrong_marker is not None:
        return "wrong_citation"
    return "unsupported" if _is_mostly_unsupported(answer) else None


def normalize_question(text: str) -> str:
    """Return a question without differences in case and spaces.

    >>> normalize_question("How long is  Leave? ")
    'how long is leave?'
    """
    return " ".join(text.casefold().split())


def _is_mostly_unsupported(answer: Answer) -> bool:
    failed = sum(sentence.support in _FAILED_VERDICTS for sentence in answer.sentences)
    return failed * 2 >= max(len(answer.sentences), 1)


def _keep_last(questions: Iterable[FailedQuestion]) -> list[FailedQuestion]:
    """Return the questions that were asked last, at most so many of each owner and of all together."""
    kept: deque[FailedQuestion] = deque()
    counts: Counter[str] = Counter()
    for question in sorted(questions, key=lambda each: each.last, reverse=True):
        if counts[question.owner] < MAX_QUESTIONS_PER_OWNER and len(kept) < MAX_QUESTIONS:
            counts[question.owner] += 1
            kept.append(question)
    return sorted(kept, key=lambda each: (each.first, each.owner, each.text))
