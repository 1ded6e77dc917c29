"""Puts judged questions to a collection and adds up how it did. Does not read files and does not print."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..answers.citations import extract_sentence_text
from ..answers.history import MAX_TURNS
from ..answers.verification import SupportJudge
from ..collection import Collection
from ..core.errors import InvalidError
from ..core.types.answers import AnalyzedQuery, Answer, Citation, Passage, Sentence
from ..core.types.search import SearchMode
from ..search.retrieval import MAX_K
from ..text.analyzer import analyze
from .datasets import JudgedQuery
from .metrics import (
    ConfidenceInterval,
    Ratio,
    bootstrap,
    bootstrap_ratios,
    ndcg,
    recall,
    reciprocal_rank,
    score_citations,
)

CHUNKS_PER_DOCUMENT = 10
"""So many chunks are asked for each document that is judged, because a document may have several among the best."""

MAX_EVALUATION_K = MAX_K // CHUNKS_PER_DOCUMENT
"""Documents that can be measured with so many chunks for each."""

RUN_FORMAT = 2
"""Of saved runs; the first one kept no counts by question."""

RANKING_METRICS = ("ndcg", "mrr", "recall")

_ZERO_RATIO = Ratio(0, 0)


@dataclass(frozen=True, slots=True)
class QuestionResult:
    """One question and what became of it."""

    id: str
    query: str
    scores: Mapping[str, float]
    """By measure; a question has only those for which something is known of it."""
    counts: Mapping[str, Ratio]
    """What of it counts among the citations, and the refusals, of all questions together."""
    found: tuple[str, ...]
    """Documents, best first."""
    milliseconds: float
    cpu_milliseconds: float


@dataclass(frozen=True, slots=True)
class EvaluationRun:
    """One collection under one setting, over a set of questions."""

    name: str
    settings: Mapping[str, Any]
    outcomes: tuple[QuestionResult, ...]
    cost_usd: float | None

    def compute_means(self) -> dict[str, float]:
        """The mean of each measure over the questions that have it, and the shares over all."""
        names = dict.fromkeys(name for one in self.outcomes for name in one.scores)
        means = {name: statistics.fmean(self.scores_by_question(name).values()) for name in names}
        counted = dict.fromkeys(name for one in self.outcomes for name in one.counts)
        shares = {
            name: sum((one.counts.get(name, _ZERO_RATIO) for one in self.outcomes), _ZERO_RATIO) for name in counted
        }
        return means | {name: share for name, count in shares.items() if (share := count.share) is not None}

    def scores_by_question(self, name: str) -> dict[str, float]:
        """A measure, by question."""
        return {one.id: one.scores[name] for one in self.outcomes if name in one.scores}

    def compute_latency(self) -> dict[str, float]:
        """Milliseconds of a question: median and 95th percentile of the clock, and the mean of the processor's."""
        waited = sorted(one.milliseconds for one in self.outcomes)
        return {
            "p50_ms": round(statistics.median(waited), 3),
            "p95_ms": round(waited[min(len(waited) - 1, int(0.95 * len(waited)))], 3),
            "cpu_ms": round(statistics.fmean(one.cpu_milliseconds for one in self.outcomes), 3),
        }


def evaluate(
    collection: Collection,
    judged: Sequence[JudgedQuery],
    *,
    k: int = 10,
    mode: SearchMode = "hybrid",
    ask: bool = False,
    on_progress: Callable[[int], None] = lambda done: None,
) -> EvaluationRun:
    """Put every question, one after the other; `said` is told how many are done.

    A document counts by its best chunk. With `ask` each question is answered too, which may cost money; a follow-up is
    asked in a conversation, after the questions before it.
    """
    if not 1 <= k <= MAX_EVALUATION_K:
        raise InvalidError(
            f"k is between 1 and {MAX_EVALUATION_K}, not {k}: a search ranks {MAX_K} chunks, ten for each document"
        )
    outcomes: list[QuestionResult] = []
    costs: list[float | None] = []
    for number, judged_query in enumerate(judged, 1):
        began, cpu = time.perf_counter(), time.process_time()
        hits = collection.search(judged_query.query, k * CHUNKS_PER_DOCUMENT, mode=mode, history=judged_query.history)
        waited, worked = time.perf_counter() - began, time.process_time() - cpu
        ranking = tuple(dict.fromkeys(hit.uri for hit in hits))[:k]
        scores, counts = _score_ranking(ranking, judged_query, k), dict[str, Ratio]()
        if ask:
            answer, cost = _ask_question(collection, judged_query)
            scores |= _score_answer(answer, judged_query)
            counts = _count_answer(answer, judged_query)
            costs.append(cost)
        outcomes.append(
            QuestionResult(judged_query.id, judged_query.query, scores, counts, ranking, 1000 * waited, 1000 * worked)
        )
        on_progress(number)
    settings = {"k": k, "mode": mode, "ask": ask}
    return EvaluationRun(collection.name, settings, tuple(outcomes), _sum_costs(costs))


def pair_results(run: EvaluationRun, other: EvaluationRun) -> list[tuple[QuestionResult, QuestionResult]]:
    """What became of each question in both runs; a question is the same if its id and its text are."""
    theirs = {(one.id, one.query): one for one in other.outcomes}
    return [(one, theirs[one.id, one.query]) for one in run.outcomes if (one.id, one.query) in theirs]


def compare_runs(run: EvaluationRun, other: EvaluationRun) -> dict[str, ConfidenceInterval]:
    """By how much the run is better than the other in each measure that both have, over the questions of both."""
    differences: dict[str, ConfidenceInterval | None] = {}
    both = pair_results(run, other)
    for name in run.compute_means():
        scored = [a.scores[name] - b.scores[name] for a, b in both if name in a.scores and name in b.scores]
        counted = [(a.counts.get(name, _ZERO_RATIO), b.counts.get(name, _ZERO_RATIO)) for a, b in both]
        differences[name] = bootstrap(scored) if scored else bootstrap_ratios(counted)
    return {name: interval for name, interval in differences.items() if interval is not None}


def find_regressions(differences: Mapping[str, ConfidenceInterval], tolerance: float) -> list[str]:
    """The measures that fell by more than the tolerance, and not by chance."""
    return [name for name, interval in differences.items() if interval.mean < -tolerance and interval.high < 0]


def run_to_json(run: EvaluationRun) -> dict[str, Any]:
    """A run as JSON."""
    return {"format": RUN_FORMAT, "means": run.compute_means(), "latency": run.compute_latency(), **asdict(run)}


def run_from_json(value: Mapping[str, Any]) -> EvaluationRun:
    """A run that was saved; Invalid if another version of semsearch did in another form."""
    outcomes = value["outcomes"]
    if (saved_format := value.get("format", 1)) != RUN_FORMAT:
        raise InvalidError(
            f"another version of semsearch saved it, in form {saved_format} and not {RUN_FORMAT}; save the run anew"
        )
    settings = {name: value["settings"][name] for name in ("k", "mode", "ask")}
    return EvaluationRun(value["name"], settings, tuple(map(_question_result_from_json, outcomes)), value["cost_usd"])


def _question_result_from_json(value: Mapping[str, Any]) -> QuestionResult:
    counts = {name: Ratio(**count) for name, count in value["counts"].items()}
    return QuestionResult(**{**value, "counts": counts, "found": tuple(value["found"])})


def _score_ranking(ranking: Sequence[str], judged_query: JudgedQuery, k: int) -> dict[str, float]:
    if not any(grade > 0 for grade in judged_query.grades.values()):
        return {}
    measures = zip(RANKING_METRICS, (ndcg, reciprocal_rank, recall), strict=True)
    return {name: measure(ranking, judged_query.grades, k) for name, measure in measures}


def _ask_question(collection: Collection, judged_query: JudgedQuery) -> tuple[Answer, float | None]:
    """The answer to a question, and the cost of it and of those to the questions before it."""
    if not judged_query.history:
        answer = collection.ask(judged_query.query)
        return answer, answer.usage.cost_usd
    session = collection.create_session().id
    try:
        answers = [
            collection.ask(each, session=session) for each in (*judged_query.history[-MAX_TURNS:], judged_query.query)
        ]
    finally:
        collection.backends.ledger.delete_session(collection.caller.owner, session)
    return answers[-1], _sum_costs([answer.usage.cost_usd for answer in answers])


def _sum_costs(costs: Sequence[float | None]) -> float | None:
    """All costs together; None if one is unknown."""
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _score_answer(answer: Answer, judged_query: JudgedQuery) -> dict[str, float]:
    """Whether a right answer stands in the answer, and in its first sentence."""
    if not judged_query.answers:
        return {}
    sentences = [" ".join(analyze(sentence.text)) for sentence in answer.sentences]
    right = [f" {' '.join(analyze(text))} " for text in judged_query.answers]
    whole, first = f" {' '.join(sentences)} ", f" {' '.join(sentences[:1])} "
    return {
        "answer": float(any(text in whole for text in right)),
        "answer_first": float(any(text in first for text in right)),
    }


def _count_answer(answer: Answer, judged_query: JudgedQuery) -> dict[str, Ratio]:
    """What is added up over all questions: citations, and refusals where it is known what is right."""
    counts: dict[str, Ratio] = {}
    if answer.answered:
        precision, recalled = _score_answer_citations(answer, judged_query.query)
        counts = {"citation_precision": precision, "citation_recall": recalled}
    answerable = (
        judged_query.answerable if judged_query.answerable is not None else (True if judged_query.answers else None)
    )
    if answerable is None:
        return counts
    refused = not answer.answered
    if refused:
        counts["refusal_precision"] = Ratio(int(not answerable), 1)
    if not answerable:
        counts["refusal_recall"] = Ratio(int(refused), 1)
    return counts


def _score_answer_citations(answer: Answer, query: str) -> tuple[Ratio, Ratio]:
    by_marker = {cited.marker: cited for cited in answer.citations}
    passages = {cited.marker: _citation_to_passage(cited) for cited in answer.citations}
    judge = SupportJudge(AnalyzedQuery(query, tuple(analyze(query)), {}), list(passages.values()))

    def supports(number: int, markers: Sequence[int]) -> bool:
        text = extract_sentence_text(answer.sentences[number], answer.citations)
        return judge(text, [(passages[marker], 1) for marker in markers]) == "supported"

    return score_citations(
        ([marker for marker in sentence.citations if marker in by_marker] for sentence in answer.sentences), supports
    )


def _citation_to_passage(citation: Citation) -> Passage:
    sentence = Sentence(citation.start, citation.end, citation.quote, tuple(analyze(citation.quote)), citation.chunk_id)
    return Passage(
        id=str(citation.marker),
        uri=citation.uri,
        title=citation.title,
        heading=citation.heading,
        page=citation.page,
        start=citation.start,
        end=citation.end,
        sentences=(sentence,),
        content_sha256=citation.content_sha256,
        score=1.0,
    )
