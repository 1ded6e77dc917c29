"""Content gaps: what people asked a collection and did not get, by topic. Only for callers with the scope `admin`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ..collection import Collection
from ..core.errors import ForbiddenError, InvalidError
from ..core.types.access import LOCAL_CALLER, Caller
from ..core.types.answer_requests import AnswerRequest
from ..core.types.gaps import Gap, GapReason
from ..library import Library
from .failed_questions import FailedQuestion, collect_failed_questions
from .question_clusters import SIMILAR, cluster_vectors, embed_questions, find_central_row
from .recorded_sources import iter_rated_answers

DEFAULT_GAPS = 20
MAX_GAPS = 200
NEAREST_HITS = 3
MAX_COUNT_PER_OWNER = 5
MIN_OWNERS = 2
"""Of a gap that is shown, where answers of several owners are recorded: no owner's question is shown alone."""


def find_gaps(
    library: Library,
    name: str,
    *,
    since: float = 0.0,
    limit: int = DEFAULT_GAPS,
    verify: bool = False,
    caller: Caller = LOCAL_CALLER,
) -> list[Gap]:
    """Return the content gaps of a collection, those of most owners first. `since` is in seconds since 1970.

    With `verify` the question of each gap is asked again, which may cost money; it is not recorded.

    >>> answer = handbook.ask("Who painted the Mona Lisa?")
    >>> gap = find_gaps(library, "handbook")[0]
    >>> gap.question, gap.reason
    ('Who painted the Mona Lisa?', 'low_score')
    """
    if not 1 <= limit <= MAX_GAPS:
        raise InvalidError(f"limit is between 1 and {MAX_GAPS}, not {limit}")
    collection = open_for_reports(library, name, caller)
    if verify:
        caller.check_scope("ask")
    questions = collect_failed_questions(iter_rated_answers(library, collection, since))
    min_owners = MIN_OWNERS if library.ledger.has_several_owners() else 1
    gaps = _cluster_questions(collection, questions, min_owners)[:limit]
    if "search" in caller.scopes:  # no scope includes another
        gaps = [replace(gap, nearest=tuple(collection.search(gap.question, NEAREST_HITS))) for gap in gaps]
    return [replace(gap, closed=_is_closed(collection, gap)) for gap in gaps] if verify else gaps


def open_for_reports(library: Library, name: str, caller: Caller) -> Collection:
    """Open a collection for a report on all owners; ForbiddenError without the scope, or if the caller has a filter."""
    collection = library.open(name, caller=caller)
    caller.check_scope("admin")
    if caller.filter is not None:
        raise ForbiddenError(
            f"you may see only a part of the collection {name}, and this report covers all questions about it"
        )
    return collection


def _cluster_questions(collection: Collection, questions: Sequence[FailedQuestion], min_owners: int) -> list[Gap]:
    """Return a gap for each cluster of at least so many owners, without its hits."""
    if not questions:
        return []
    vectors, owners = embed_questions(collection, [each.text for each in questions]), [each.owner for each in questions]
    gaps = []
    for rows in cluster_vectors(vectors, SIMILAR):
        if len({owners[row] for row in rows}) >= min_owners:
            central = questions[find_central_row(vectors, rows, owners)]
            gaps.append(_make_gap(central.text, [questions[row] for row in rows], has_cap=min_owners > 1))
    return sorted(gaps, key=lambda gap: (-gap.owners, -gap.count, -gap.last, gap.question))


def _make_gap(text: str, questions: Sequence[FailedQuestion], *, has_cap: bool) -> Gap:
    counts, reasons_by_owner = Counter[str](), dict[str, Counter[GapReason]]()
    for each in questions:
        counts[each.owner] += each.reasons.total()
        reasons_by_owner.setdefault(each.owner, Counter()).update(each.reasons)
    reasons = Counter(reason for owner_reasons in reasons_by_owner.values() for reason in owner_reasons)
    return Gap(
        text,
        count=sum(min(count, MAX_COUNT_PER_OWNER) if has_cap else count for count in counts.values()),
        owners=len(counts),
        first=min(each.first for each in questions),
        last=max(each.last for each in questions),
        reason=min(reasons, key=lambda reason: (-reasons[reason], reason)),
        reasons=dict(reasons),
        rejected_quotes=frozenset().union(*(each.rejected_quotes for each in questions)),
    )


def _is_closed(collection: Collection, gap: Gap) -> bool:
    """Return whether the question is answered now, from another source than those of rejected answers."""
    answer = collection.ask(AnswerRequest(gap.question, is_recorded=False))  # else it would be a question of an owner
    quotes = {(citation.uri, citation.quote) for citation in answer.citations}
    return answer.answered and not quotes <= gap.rejected_quotes
