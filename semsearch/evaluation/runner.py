"""Run judged questions against a collection and compute the metrics of the run. Does not read files or print."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..answers.history import MAX_TURNS
from ..collection import Collection
from ..core.errors import BudgetError, InvalidError
from ..core.types.answer_requests import DEFAULT_OPTIONS, AnswerRequest, GenerationOptions
from ..core.types.answers import Answer
from ..core.types.search import SearchMode
from ..core.types.usage import Usage
from ..search.retrieval import MAX_K
from .answer_scores import count_answer, score_answer
from .datasets import JudgedQuery
from .metrics import (
    ConfidenceInterval,
    Ratio,
    bootstrap,
    bootstrap_ratios,
    ndcg,
    recall,
    reciprocal_rank,
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
    """Of the search, as `cpu_milliseconds`."""
    cpu_milliseconds: float
    answer_milliseconds: float | None = None
    """None if the question was not answered."""
    tokens: int = 0
    """Of the answer, with those of the earlier questions of its history; as `cost_usd`."""
    cost_usd: float | None = 0.0
    """None if a price is unknown."""


@dataclass(frozen=True, slots=True)
class EvaluationRun:
    """The results of a set of questions for one collection with one set of options."""

    name: str
    settings: Mapping[str, Any]
    outcomes: tuple[QuestionResult, ...]
    cost_usd: float | None
    refused: str = ""
    """The error of a budget that ended the run before its last question."""

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

    def compute_answer_costs(self) -> dict[str, float]:
        """Return latency, tokens and cost of an answer, if questions were asked; without the cost if it is unknown."""
        answered = [outcome for outcome in self.outcomes if outcome.answer_milliseconds is not None]
        if not answered:
            return {}
        latencies = sorted(outcome.answer_milliseconds or 0.0 for outcome in answered)
        costs = [outcome.cost_usd for outcome in answered if outcome.cost_usd is not None]
        return {
            "answer_p50_ms": round(statistics.median(latencies), 3),
            "answer_p95_ms": round(latencies[min(len(latencies) - 1, int(0.95 * len(latencies)))], 3),
            "answer_tokens": statistics.fmean(outcome.tokens for outcome in answered),
            **({"answer_usd": statistics.fmean(costs)} if len(costs) == len(answered) else {}),
        }


@dataclass(frozen=True, slots=True)
class Variant:
    """A collection with one set of options, for searches and for answers."""

    name: str
    search_collection: Collection
    answer_collection: Collection
    """The same collection; may have its own cache of query vectors, so that a search before it saves it nothing."""
    mode: SearchMode = "hybrid"
    diversity: float = 0.0
    k: int | None = None
    """Number of hits that an answer is generated from; None leaves it to the profile."""
    options: GenerationOptions = DEFAULT_OPTIONS
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What else the run says about it."""


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
    variant = Variant(collection.name, collection, collection, mode)
    return evaluate_variants([variant], judged, k=k, ask=ask, on_progress=on_progress)[0]


def evaluate_variants(
    variants: Sequence[Variant],
    judged: Sequence[JudgedQuery],
    *,
    k: int = 10,
    ask: bool = False,
    on_progress: Callable[[int], None] = lambda completed: None,
) -> list[EvaluationRun]:
    """Run every question with each variant in turn, each time beginning with another one; return a run of each.

    As the variants are interleaved, a change of the load or of the server affects all of them. If a budget refuses a
    request, the runs have the questions that all variants have completed; BudgetError if there are none.
    """
    if not 1 <= k <= MAX_EVALUATION_K:
        raise InvalidError(
            f"k is between 1 and {MAX_EVALUATION_K}, not {k}: a search ranks {MAX_K} chunks, ten for each document"
        )
    results: list[list[QuestionResult]] = [[] for _ in variants]
    refused = ""
    for number, judged_query in enumerate(judged):
        shift = number % len(variants)
        try:
            for index in (*range(shift, len(variants)), *range(shift)):
                results[index].append(_evaluate_question(variants[index], judged_query, k, ask=ask))
        except BudgetError as exc:
            if not number:
                raise
            refused = str(exc)
            break
        on_progress(number + 1)
    completed_count = min(map(len, results))
    runs = []
    for variant, outcomes in zip(variants, results, strict=True):
        settings = {"k": k, "mode": variant.mode, "ask": ask, **variant.settings}
        cost = _sum_costs([outcome.cost_usd for outcome in outcomes])
        runs.append(EvaluationRun(variant.name, settings, tuple(outcomes[:completed_count]), cost, refused))
    return runs


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


def compare_costs(run: EvaluationRun, other: EvaluationRun) -> dict[str, ConfidenceInterval]:
    """Return how much more an answer of the run takes than one of the other: milliseconds, tokens and US dollars."""
    pairs = pair_results(run, other)
    differences: dict[str, list[float | None]] = {
        "answer_ms": [_subtract(a.answer_milliseconds, b.answer_milliseconds) for a, b in pairs],
        "answer_tokens": [float(a.tokens - b.tokens) for a, b in pairs],
        "answer_usd": [_subtract(a.cost_usd, b.cost_usd) for a, b in pairs],
    }
    if any(result.answer_milliseconds is None for pair in pairs for result in pair):
        return {}
    known = {name: [value for value in values if value is not None] for name, values in differences.items()}
    return {name: bootstrap(values) for name, values in known.items() if values and len(values) == len(pairs)}


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


def _subtract(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other


def _score_ranking(ranking: Sequence[str], judged_query: JudgedQuery, k: int) -> dict[str, float]:
    if not any(grade > 0 for grade in judged_query.grades.values()):
        return {}
    metrics = zip(RANKING_METRICS, (ndcg, reciprocal_rank, recall), strict=True)
    return {name: compute(ranking, judged_query.grades, k) for name, compute in metrics}


def _evaluate_question(variant: Variant, judged_query: JudgedQuery, k: int, *, ask: bool) -> QuestionResult:
    start, cpu_start = time.perf_counter(), time.process_time()
    hits = variant.search_collection.search(
        judged_query.query,
        k * CHUNKS_PER_DOCUMENT,
        mode=variant.mode,
        history=judged_query.history,
        diversity=variant.diversity,
    )
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    ranking = tuple(dict.fromkeys(hit.uri for hit in hits))[:k]
    result = QuestionResult(
        judged_query.id,
        judged_query.query,
        _score_ranking(ranking, judged_query, k),
        {},
        ranking,
        1000 * seconds,
        1000 * cpu_seconds,
    )
    return _add_answer(result, variant, judged_query) if ask else result


def _add_answer(result: QuestionResult, variant: Variant, judged_query: JudgedQuery) -> QuestionResult:
    start = time.perf_counter()
    answer, usage = _ask_question(variant, judged_query)
    return replace(
        result,
        scores={**result.scores, **score_answer(answer, judged_query)},
        counts=count_answer(answer, judged_query),
        answer_milliseconds=1000 * (time.perf_counter() - start),
        tokens=usage.prompt_tokens + usage.completion_tokens + usage.embedding_tokens,
        cost_usd=usage.cost_usd,
    )


def _ask_question(variant: Variant, judged_query: JudgedQuery) -> tuple[Answer, Usage]:
    """Return the answer to a question, and its usage including the earlier questions of its history."""
    collection = variant.answer_collection
    request = AnswerRequest("?", k=variant.k, options=variant.options, ignores_approved=True, is_recorded=False)
    if not judged_query.history:
        answer = collection.ask(replace(request, question=judged_query.query))
        return answer, answer.usage
    session = collection.create_session().id
    try:
        questions = (*judged_query.history[-MAX_TURNS:], judged_query.query)
        answers = [collection.ask(replace(request, question=question, session=session)) for question in questions]
    finally:
        collection.backends.ledger.delete_session(collection.caller.record_owner, session)
    return answers[-1], sum((answer.usage for answer in answers), Usage())


def _sum_costs(costs: Sequence[float | None]) -> float | None:
    """Return the sum of all costs; None if one is unknown."""
    known_costs = [cost for cost in costs if cost is not None]
    return sum(known_costs) if len(known_costs) == len(costs) else None
