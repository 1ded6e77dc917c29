"""The deflection report: questions answered, escalated and wrong, by week and topic. Only with the scope `admin`."""

from dataclasses import dataclass
from datetime import UTC, datetime

from ..core.types.access import LOCAL_CALLER, Caller
from ..core.types.answers import Answer, Citation
from ..core.types.documents import HEADING_SEPARATOR
from ..core.types.rated_answers import RatedAnswer
from ..core.types.search import Hit
from ..library import Library
from .failed_questions import find_gap_reason
from .gaps import MIN_OWNERS, open_for_reports
from .recorded_sources import iter_rated_answers

OTHER_TOPICS = "(other)"
"""Topics that too few owners asked about."""

NO_TOPIC = "(no match)"


@dataclass(slots=True)
class TopicCounts:
    """Counts of one week and topic. Each question is answered, escalated, or neither; `wrong` counts answered ones."""

    week: str
    """Such as `2026-W48`."""
    topic: str
    questions: int = 0
    answered: int = 0
    escalated: int = 0
    wrong: int = 0
    """Answers with negative feedback."""


def report_support(
    library: Library, name: str, *, since: float = 0.0, caller: Caller = LOCAL_CALLER
) -> list[TopicCounts]:
    """Return the counts of a collection, the last week first, then topics by falling number of questions.

    >>> answer = handbook.ask("How long is parental leave?")
    >>> [(row.topic, row.questions, row.answered) for row in report_support(library, "handbook")]
    [('docs', 1, 1)]
    """
    collection = open_for_reports(library, name, caller)
    min_owners = MIN_OWNERS if library.ledger.has_several_owners() else 1
    groups: dict[tuple[str, str], tuple[TopicCounts, set[str]]] = {}
    for rated in iter_rated_answers(library, collection, since):
        week, topic = format_week(rated.record.created), find_topic(rated.record.answer)
        counts, owners = groups.setdefault((week, topic), (TopicCounts(week, topic), set()))
        _add_answer(counts, rated)
        owners.add(rated.record.owner)
    rows = {(row.week, row.topic): row for row, owners in groups.values() if len(owners) >= min_owners}
    for counts, owners in groups.values():
        if len(owners) < min_owners:
            others = rows.setdefault((counts.week, OTHER_TOPICS), TopicCounts(counts.week, OTHER_TOPICS))
            _add_counts(others, counts)
    by_topic = sorted(rows.values(), key=lambda row: (-row.questions, row.topic))
    return sorted(by_topic, key=lambda row: row.week, reverse=True)


def find_topic(answer: Answer) -> str:
    """Return the folder of the document that answers best; of a document without a folder, its first heading."""
    if not answer.hits and not answer.citations:
        return NO_TOPIC
    best: Citation | Hit = answer.citations[0] if answer.citations else answer.hits[0]
    folder = best.uri.rpartition("/")[0]
    return folder or best.heading.split(HEADING_SEPARATOR)[0] or best.title or best.uri


def format_week(seconds: float) -> str:
    """Return the ISO week of a time in UTC.

    >>> format_week(0)
    '1970-W01'
    """
    year, week, _ = datetime.fromtimestamp(seconds, UTC).isocalendar()
    return f"{year}-W{week:02}"


def _add_answer(counts: TopicCounts, rated: RatedAnswer) -> None:
    answer = rated.record.answer
    counts.questions += 1
    counts.answered += answer.answered
    counts.escalated += answer.escalated
    counts.wrong += answer.answered and find_gap_reason(rated) in ("not_helpful", "wrong_citation")


def _add_counts(total: TopicCounts, counts: TopicCounts) -> None:
    total.questions += counts.questions
    total.answered += counts.answered
    total.escalated += counts.escalated
    total.wrong += counts.wrong
