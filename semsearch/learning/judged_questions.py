"""Make judged questions from feedback: join near-identical questions, let owners vote, and split them."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ..collection import Collection
from ..core.errors import InvalidError
from ..core.types.access import LOCAL_CALLER, Caller
from ..core.types.judgements import Evidence, JudgedQuestion, Split
from ..library import Library
from .failed_questions import normalize_question
from .gaps import MIN_OWNERS, open_for_reports
from .judgements import GRADES, Judgement, JudgementFinder
from .question_clusters import NEAR_IDENTICAL, cluster_vectors, embed_questions, find_central_row
from .recorded_sources import iter_rated_answers

DEFAULT_HELD_OUT = 0.2

_HASH_RANGE = 1 << 32


def make_judged_questions(
    library: Library,
    name: str,
    *,
    since: float = 0.0,
    held_out: float = DEFAULT_HELD_OUT,
    all_owners: bool = False,
    include_single: bool = False,
    caller: Caller = LOCAL_CALLER,
) -> list[JudgedQuestion]:
    """Return the judged questions of the caller's feedback, in the order in which they were asked.

    With `all_owners`, which needs the scope `admin`, those of every owner: a grade then needs the feedback of two
    owners, or of the caller. `include_single` adds grades of one owner, for a person to review.

    >>> answer = handbook.ask("How long is parental leave?")
    >>> feedback = library.add_feedback(answer.id, helpful=True)
    >>> [(each.query, each.relevant) for each in make_judged_questions(library, "handbook")]
    [('How long is parental leave?', {'docs/leave.md': 1})]
    """
    if not 0 <= held_out < 1:
        raise InvalidError(f"the share of held-out questions is from 0 to below 1, not {held_out:g}")
    collection = open_for_reports(library, name, caller) if all_owners else library.open(name, caller=caller)
    owner = None if all_owners else caller.record_owner
    judged, finder = dict[tuple[str, str], tuple[str, list[Judgement]]](), JudgementFinder(collection)
    for rated in iter_rated_answers(library, collection, since, owner):
        if judgements := finder.find(rated):
            record = rated.record
            key = record.owner, normalize_question(record.search_question)
            judged.setdefault(key, (record.search_question, []))[1].extend(judgements)
    min_owners = MIN_OWNERS if all_owners and not include_single else 1
    return _split(_join_questions(collection, list(judged.values()), min_owners), held_out)


def _join_questions(
    collection: Collection, judged: Sequence[tuple[str, list[Judgement]]], min_owners: int
) -> list[JudgedQuestion]:
    """Return one question for each cluster of near-identical ones; those without a relevant document are left out.

    A grade needs the votes of `min_owners` owners, or that of the caller.
    """
    if not judged:
        return []
    vectors = embed_questions(collection, [text for text, _ in judged])
    owners = [judgements[0].owner for _, judgements in judged]
    questions = []
    for rows in cluster_vectors(vectors, NEAR_IDENTICAL):
        judgements = [judgement for row in rows for judgement in judged[row][1]]
        text = judged[find_central_row(vectors, rows, owners)][0]
        if (question := _make_question(text, judgements, collection.caller.owner, min_owners)) is not None:
            questions.append(question)
    return questions


def _make_question(text: str, judgements: Iterable[Judgement], own: str, min_owners: int) -> JudgedQuestion | None:
    """Return the question with the documents on which the votes are clear; None if no relevant one is among them."""
    by_uri: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        by_uri.setdefault(judgement.uri, []).append(judgement)
    relevant, evidence, is_agreed = dict[str, int](), list[Evidence](), True
    for uri, given in by_uri.items():
        winners, grade = _count_votes(given, own)
        if own not in winners and len(winners) < min_owners:
            continue
        relevant[uri] = grade
        is_agreed &= len(winners) >= MIN_OWNERS
        evidence += _make_evidence([each for each in given if winners.get(each.owner) == each.source], len(winners))
    if not any(relevant.values()):
        return None
    digest = hashlib.sha256(normalize_question(text).encode()).hexdigest()
    return JudgedQuestion(digest[:12], text, relevant, "training", is_agreed, tuple(evidence))


def _count_votes(judgements: Sequence[Judgement], own: str) -> tuple[Mapping[str, str], int]:
    """Return the last source of each owner of the majority, and the grade of the document; no owner if it is a tie.

    Each owner has one vote, however often they said it. That of the caller, `own`, decides.
    """
    last = {judgement.owner: judgement.source for judgement in judgements}
    relevant = {owner: source for owner, source in last.items() if GRADES[source] > 0}
    irrelevant = {owner: source for owner, source in last.items() if owner not in relevant}
    if own not in last and len(relevant) == len(irrelevant):
        return {}, 0
    if own in irrelevant or (own not in last and len(relevant) < len(irrelevant)):
        return irrelevant, 0
    named = sum(source == "right_chunk" for source in relevant.values())
    return relevant, GRADES["right_chunk" if 2 * named > len(relevant) else "helpful"]


def _make_evidence(judgements: Iterable[Judgement], owners: int) -> list[Evidence]:
    """Return each passage once, in reading order."""
    spans = {(each.uri, each.start, each.end, each.quote, each.source) for each in judgements}
    return [Evidence(*span, owners=owners) for span in sorted(spans)]


def _split(questions: Sequence[JudgedQuestion], held_out: float) -> list[JudgedQuestion]:
    """Return the questions with their split: all that share documents, directly or through others, are in the same."""
    groups: dict[str, str] = {}

    def find_group(uri: str) -> str:
        while groups.setdefault(uri, uri) != uri:
            uri = groups[uri]
        return uri

    for question in questions:
        first, *others = sorted(map(find_group, question.relevant))
        groups.update(dict.fromkeys(others, first))
    return [
        replace(question, split=_choose_split(find_group(next(iter(question.relevant))), held_out))
        for question in questions
    ]


def _choose_split(group: str, held_out: float) -> Split:
    number = int(hashlib.sha256(group.encode()).hexdigest()[:8], 16)
    return "held-out" if number < held_out * _HASH_RANGE else "training"


def count_splits(questions: Iterable[JudgedQuestion]) -> dict[str, int]:
    """Return the number of questions of each split."""
    counts = Counter(question.split for question in questions)
    return {"training": counts["training"], "held_out": counts["held-out"]}
