"""Run judged questions against a collection and compute the metrics of the run. Does not read files or print."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..answers.history import MAX_TURNS
from ..answers.plain_text import extract_sentence_text
from ..answers.verification import SupportChecker
from ..collection import Collection
from ..core.errors import InvalidError
from ..core.types.answer_requests import AnswerRequest
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
"""Chunks requested per ranked document, because several of the best chunks may belong to one document."""

MAX_EVALUATION_K = MAX_K // CHUNKS_PER_DOCUMENT
"""The longest ranking of documents that `MAX_K` chunks allow."""

RUN_FORMAT = 2
"""Version of the JSON of saved runs; version 1 had no counts by question."""

RANKING_METRICS = ("ndcg", "mrr", "recall")

_ZERO_RATIO = Ratio(0, 0)


@dataclass(frozen=True, slots=True)
class QuestionResult:
    """The scores, counts, ranking and latency of one question."""

    id: str
    query: str
    scores: Mapping[str, float]
    """By metric; a metric is missing if the question has no judgement for it."""
    counts: Mapping[str, Ratio]
    """Counts of citations and refusals by metric; they are summed over all questions."""
    found: tuple[str, ...]
    """Uris of the documents, best first."""
    milliseconds: float
    cpu_milliseconds: float


@dataclass(frozen=True, slots=True)
class EvaluationRun:
    """The results of a set of questions for one collection with one set of options."""

    name: str
    settings: Mapping[str, Any]
    outcomes: tuple[QuestionResult, ...]
    cost_usd: float | None

    def compute_means(self) -> dict[str, float]:
        """Return the mean of each score over the questions that have it, and each share over all counts."""
        score_names = dict.fromkeys(name for outcome in self.outcomes for name in outcome.scores)
        means = {name: statistics.fmean(self.scores_by_question(name).values()) for name in score_names}
        count_names = dict.fromkeys(name for outcome in self.outcomes for name in outcome.counts)
        totals = {
            name: sum((outcome.counts.get(name, _ZERO_RATIO) for outcome in self.outcomes), _ZERO_RATIO)
            for name in count_names
        }
        return means | {name: share for name, total in totals.items() if (share := total.share) is not None}

    def scores_by_question(self, name: str) -> dict[str, float]:
        """Return one metric by question id."""
        return {outcome.id: outcome.scores[name] for outcome in self.outcomes if name in outcome.scores}

    def compute_latency(self) -> dict[str, float]:
        """Return the milliseconds of a search: median and 95th percentile of wall time, mean of CPU time."""
        latencies = sorted(outcome.milliseconds for outcome in self.outcomes)
        return {
            "p50_ms": round(statistics.median(latencies), 3),
            "p95_ms": round(latencies[min(len(latencies) - 1, int(0.95 * len(latencies)))], 3),
            "cpu_ms": round(statistics.fmean(outcome.cpu_milliseconds for outcome in self.outcomes), 3),
        }


def evaluate(
    collection: Collection,
    judged: Sequence[JudgedQuery],
    *,
    k: int = 10,
    mode: SearchMode = "hybrid",
    ask: bool = False,
    on_progress: Callable[[int], None] = lambda completed: None,
) -> EvaluationRun:
    """Search for every question in turn; call `on_progress` with the number of completed questions.

    A document ranks by its best chunk. With `ask` each question is also answered, which may cost money; a follow-up
    question is asked in a session, after the earlier questions of its history.
    """
    if not 1 <= k <= MAX_EVALUATION_K:
        raise InvalidError(
            f"k is between 1 and {MAX_EVALUATION_K}, not {k}: a search ranks {MAX_K} chunks, ten for each document"
        )
    outcomes: list[QuestionResult] = []
    costs: list[float | None] = []
    for number, judged_query in enumerate(judged, 1):
        start, cpu_start = time.perf_counter(), time.process_time()
        hits = collection.search(judged_query.query, k * CHUNKS_PER_DOCUMENT, mode=mode, history=judged_query.history)
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        ranking = tuple(dict.fromkeys(hit.uri for hit in hits))[:k]
        scores, counts = _score_ranking(ranking, judged_query, k), dict[str, Ratio]()
        if ask:
            answer, cost = _ask_question(collection, judged_query)
            scores |= _score_answer(answer, judged_query)
            counts = _count_answer(answer, judged_query)
            costs.append(cost)
        outcomes.append(
            QuestionResult(
                judged_query.id, judged_query.query, scores, counts, ranking, 1000 * seconds, 1000 * cpu_seconds
            )
        )
        on_progress(number)
    settings = {"k": k, "mode": mode, "ask": ask}
    return EvaluationRun(collection.name, settings, tuple(outcomes), _sum_costs(costs))


def pair_results(run: EvaluationRun, other: EvaluationRun) -> list[tuple[QuestionResult, QuestionResult]]:
    """Return the results of each question that both runs have; questions match by id and text."""
    other_results = {(result.id, result.query): result for result in other.outcomes}
    return [
        (result, other_results[result.id, result.query])
        for result in run.outcomes
        if (result.id, result.query) in other_results
    ]


def compare_runs(run: EvaluationRun, other: EvaluationRun) -> dict[str, ConfidenceInterval]:
    """Return how much better the run is than the other in each metric of both, over the questions of both."""
    differences: dict[str, ConfidenceInterval | None] = {}
    pairs = pair_results(run, other)
    for name in run.compute_means():
        score_differences = [a.scores[name] - b.scores[name] for a, b in pairs if name in a.scores and name in b.scores]
        ratio_pairs = [(a.counts.get(name, _ZERO_RATIO), b.counts.get(name, _ZERO_RATIO)) for a, b in pairs]
        differences[name] = bootstrap(score_differences) if score_differences else bootstrap_ratios(ratio_pairs)
    return {name: interval for name, interval in differences.items() if interval is not None}


def find_regressions(differences: Mapping[str, ConfidenceInterval], tolerance: float) -> list[str]:
    """Return the metrics that fell by more than the tolerance and whose 95 % interval is below 0."""
    return [name for name, interval in differences.items() if interval.mean < -tolerance and interval.high < 0]


def run_to_json(run: EvaluationRun) -> dict[str, Any]:
    """Convert a run to a JSON object."""
    return {"format": RUN_FORMAT, "means": run.compute_means(), "latency": run.compute_latency(), **asdict(run)}


def run_from_json(value: Mapping[str, Any]) -> EvaluationRun:
    """Restore a saved run; InvalidError if it has another format."""
    outcomes = value["outcomes"]
    if (saved_format := value.get("format", 1)) != RUN_FORMAT:
        raise InvalidError(
            f"another version of semsearch saved it in format {saved_format}, not {RUN_FORMAT}; save a new run"
        )
    settings = {name: value["settings"][name] for name in ("k", "mode", "ask")}
    return EvaluationRun(value["name"], settings, tuple(map(_question_result_from_json, outcomes)), value["cost_usd"])


def _question_result_from_json(value: Mapping[str, Any]) -> QuestionResult:
    counts = {name: Ratio(**count) for name, count in value["counts"].items()}
    return QuestionResult(**{**value, "counts": counts, "found": tuple(value["found"])})


def _score_ranking(ranking: Sequence[str], judged_query: JudgedQuery, k: int) -> dict[str, float]:
    if not any(grade > 0 for grade in judged_query.grades.values()):
        return {}
    metrics = zip(RANKING_METRICS, (ndcg, reciprocal_rank, recall), strict=True)
    return {name: compute(ranking, judged_query.grades, k) for name, compute in metrics}


def _ask_question(collection: Collection, judged_query: JudgedQuery) -> tuple[Answer, float | None]:
    """Return the answer to a question, and its cost including the earlier questions of its history."""
    if not judged_query.history:
        answer = collection.ask(AnswerRequest(judged_query.query, ignores_approved=True))
        return answer, answer.usage.cost_usd
    session = collection.create_session().id
    try:
        questions = (*judged_query.history[-MAX_TURNS:], judged_query.query)
        requests = [AnswerRequest(question, session=session, ignores_approved=True) for question in questions]
        answers = [collection.ask(request) for request in requests]
    finally:
        collection.backends.ledger.delete_session(collection.caller.owner, session)
    return answers[-1], _sum_costs([answer.usage.cost_usd for answer in answers])


def _sum_costs(costs: Sequence[float | None]) -> float | None:
    """Return the sum of all costs; None if one is unknown."""
    known_costs = [cost for cost in costs if cost is not None]
    return sum(known_costs) if len(known_costs) == len(costs) else None


def _score_answer(answer: Answer, judged_query: JudgedQuery) -> dict[str, float]:
    """Return whether a correct answer is in the answer, and in its first sentence, each 0.0 or 1.0.

    Of an excerpt, its best sentence counts in place of the first one.
    """
    if not judged_query.answers:
        return {}
    correct_answers = [f" {' '.join(analyze(text))} " for text in judged_query.answers]
    full_text = " ".join(sentence.text for sentence in answer.sentences)
    texts = {"answer": full_text, "answer_first": _get_main_sentence(answer)}
    terms = {name: f" {' '.join(analyze(text))} " for name, text in texts.items()}
    return {name: float(any(text in terms[name] for text in correct_answers)) for name in texts}


def _get_main_sentence(answer: Answer) -> str:
    """Return the best sentence of an excerpt, the first one of a generated answer; empty without an answer."""
    if answer.kind == "excerpt" and answer.passages:
        passage = answer.passages[0]
        return passage.text[passage.best.start - passage.start : passage.best.end - passage.start]
    return answer.sentences[0].text if answer.sentences else ""


def _count_answer(answer: Answer, judged_query: JudgedQuery) -> dict[str, Ratio]:
    """Return the counts of citations, and of refusals if it is known whether the question is answerable."""
    counts: dict[str, Ratio] = {}
    if answer.answered:
        citation_precision, citation_recall = _score_answer_citations(answer, judged_query.query)
        counts = {"citation_precision": citation_precision, "citation_recall": citation_recall}
    answerable = (
        judged_query.answerable if judged_query.answerable is not None else (True if judged_query.answers else None)
    )
    if answerable is None:
        return counts
    if not answer.answered:
        counts["refusal_precision"] = Ratio(int(not answerable), 1)
    if not answerable:
        counts["refusal_recall"] = Ratio(int(not answer.answered), 1)
    return counts


def _score_answer_citations(answer: Answer, query: str) -> tuple[Ratio, Ratio]:
    passages = {citation.marker: _citation_to_passage(citation) for citation in answer.citations}
    check_support = SupportChecker(AnalyzedQuery(query, tuple(analyze(query)), {}), list(passages.values()))

    def supports(number: int, markers: Sequence[int]) -> bool:
        text = extract_sentence_text(answer.sentences[number], answer.citations)
        if answer.sentences[number].support == "verbatim":  # a copy, however long
            return all(passages[marker].sentences[0].text == text for marker in markers)
        return check_support(text, [(passages[marker], 1) for marker in markers]) == "supported"

    return score_citations(
        ([marker for marker in sentence.citations if marker in passages] for sentence in answer.sentences), supports
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
