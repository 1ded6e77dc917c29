"""Puts judged questions to a collection and adds up how it did. Does not read files and does not print."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..answers.citations import unnumbered
from ..answers.history import MAX_TURNS
from ..answers.verification import Judge
from ..collection import Collection
from ..core.errors import Invalid
from ..core.types.answers import Answer, Citation, Passage, Question, Sentence
from ..core.types.search import Mode
from ..search.retrieval import MAX_K
from ..text.analyzer import terms
from .datasets import Judged
from .metrics import Counted, Interval, bootstrap, bootstrap_shares, citations, ndcg, recall, reciprocal_rank

CHUNKS_PER_DOCUMENT = 10
"""So many chunks are asked for each document that is judged, because a document may have several among the best."""

MOST = MAX_K // CHUNKS_PER_DOCUMENT
"""Documents that can be measured with so many chunks for each."""

FORMAT = 2
"""Of saved runs; the first one kept no counts by question."""

RANKING = ("ndcg", "mrr", "recall")

_NOTHING = Counted(0, 0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One question and what became of it."""

    id: str
    query: str
    scores: Mapping[str, float]
    """By measure; a question has only those for which something is known of it."""
    counts: Mapping[str, Counted]
    """What of it counts among the citations, and the refusals, of all questions together."""
    found: tuple[str, ...]
    """Documents, best first."""
    milliseconds: float
    cpu_milliseconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """One collection under one setting, over a set of questions."""

    name: str
    settings: Mapping[str, Any]
    outcomes: tuple[Outcome, ...]
    cost_usd: float | None

    def means(self) -> dict[str, float]:
        """The mean of each measure over the questions that have it, and the shares over all."""
        names = dict.fromkeys(name for one in self.outcomes for name in one.scores)
        means = {name: statistics.fmean(self.values(name).values()) for name in names}
        counted = dict.fromkeys(name for one in self.outcomes for name in one.counts)
        shares = {name: sum((one.counts.get(name, _NOTHING) for one in self.outcomes), _NOTHING) for name in counted}
        return means | {name: share for name, count in shares.items() if (share := count.share) is not None}

    def values(self, name: str) -> dict[str, float]:
        """A measure, by question."""
        return {one.id: one.scores[name] for one in self.outcomes if name in one.scores}

    def latency(self) -> dict[str, float]:
        """Milliseconds of a question: median and 95th percentile of the clock, and the mean of the processor's."""
        waited = sorted(one.milliseconds for one in self.outcomes)
        return {
            "p50_ms": round(statistics.median(waited), 3),
            "p95_ms": round(waited[min(len(waited) - 1, int(0.95 * len(waited)))], 3),
            "cpu_ms": round(statistics.fmean(one.cpu_milliseconds for one in self.outcomes), 3),
        }


def evaluate(
    collection: Collection,
    judged: Sequence[Judged],
    *,
    k: int = 10,
    mode: Mode = "hybrid",
    ask: bool = False,
    said: Callable[[int], None] = lambda done: None,
) -> Run:
    """Put every question, one after the other; `said` is told how many are done.

    A document counts by its best chunk. With `ask` each question is answered too, which may cost money; a follow-up is
    asked in a conversation, after the questions before it.
    """
    if not 1 <= k <= MOST:
        raise Invalid(f"k is between 1 and {MOST}, not {k}: a search ranks {MAX_K} chunks, ten for each document")
    outcomes: list[Outcome] = []
    costs: list[float | None] = []
    for number, one in enumerate(judged, 1):
        began, cpu = time.perf_counter(), time.process_time()
        hits = collection.search(one.query, k * CHUNKS_PER_DOCUMENT, mode=mode, history=one.history)
        waited, worked = time.perf_counter() - began, time.process_time() - cpu
        found = tuple(dict.fromkeys(hit.uri for hit in hits))[:k]
        scores, counts = _ranked(found, one, k), dict[str, Counted]()
        if ask:
            answer, cost = _asked(collection, one)
            scores |= _answered(answer, one)
            counts = _counted(answer, one)
            costs.append(cost)
        outcomes.append(Outcome(one.id, one.query, scores, counts, found, 1000 * waited, 1000 * worked))
        said(number)
    settings = {"k": k, "mode": mode, "ask": ask}
    return Run(collection.name, settings, tuple(outcomes), _sum(costs))


def pairs(run: Run, other: Run) -> list[tuple[Outcome, Outcome]]:
    """What became of each question in both runs; a question is the same if its id and its text are."""
    theirs = {(one.id, one.query): one for one in other.outcomes}
    return [(one, theirs[one.id, one.query]) for one in run.outcomes if (one.id, one.query) in theirs]


def compare(run: Run, other: Run) -> dict[str, Interval]:
    """By how much the run is better than the other in each measure that both have, over the questions of both."""
    differences: dict[str, Interval | None] = {}
    both = pairs(run, other)
    for name in run.means():
        scored = [a.scores[name] - b.scores[name] for a, b in both if name in a.scores and name in b.scores]
        counted = [(a.counts.get(name, _NOTHING), b.counts.get(name, _NOTHING)) for a, b in both]
        differences[name] = bootstrap(scored) if scored else bootstrap_shares(counted)
    return {name: found for name, found in differences.items() if found is not None}


def regressions(differences: Mapping[str, Interval], tolerance: float) -> list[str]:
    """The measures that fell by more than the tolerance, and not by chance."""
    return [name for name, found in differences.items() if found.mean < -tolerance and found.high < 0]


def saved(run: Run) -> dict[str, Any]:
    """A run as JSON."""
    return {"format": FORMAT, "means": run.means(), "latency": run.latency(), **asdict(run)}


def loaded(value: Mapping[str, Any]) -> Run:
    """A run that was saved; Invalid if another version of semsearch did in another form."""
    outcomes = value["outcomes"]
    if (found := value.get("format", 1)) != FORMAT:
        raise Invalid(f"another version of semsearch saved it, in form {found} and not {FORMAT}; save the run anew")
    settings = {name: value["settings"][name] for name in ("k", "mode", "ask")}
    return Run(value["name"], settings, tuple(map(_outcome, outcomes)), value["cost_usd"])


def _outcome(value: Mapping[str, Any]) -> Outcome:
    counts = {name: Counted(**count) for name, count in value["counts"].items()}
    return Outcome(**{**value, "counts": counts, "found": tuple(value["found"])})


def _ranked(found: Sequence[str], one: Judged, k: int) -> dict[str, float]:
    if not any(grade > 0 for grade in one.grades.values()):
        return {}
    measures = zip(RANKING, (ndcg, reciprocal_rank, recall), strict=True)
    return {name: measure(found, one.grades, k) for name, measure in measures}


def _asked(collection: Collection, one: Judged) -> tuple[Answer, float | None]:
    """The answer to a question, and the cost of it and of those to the questions before it."""
    if not one.history:
        answer = collection.ask(one.query)
        return answer, answer.usage.cost_usd
    session = collection.begin().id
    try:
        asked = [collection.ask(each, session=session) for each in (*one.history[-MAX_TURNS:], one.query)]
    finally:
        collection.ledger.end(collection.caller.owner, session)
    return asked[-1], _sum([answer.usage.cost_usd for answer in asked])


def _sum(costs: Sequence[float | None]) -> float | None:
    """All costs together; None if one is unknown."""
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _answered(answer: Answer, one: Judged) -> dict[str, float]:
    """Whether a right answer stands in the answer, and in its first sentence."""
    if not one.answers:
        return {}
    sentences = [" ".join(terms(sentence.text)) for sentence in answer.sentences]
    right = [f" {' '.join(terms(text))} " for text in one.answers]
    whole, first = f" {' '.join(sentences)} ", f" {' '.join(sentences[:1])} "
    return {
        "answer": float(any(text in whole for text in right)),
        "answer_first": float(any(text in first for text in right)),
    }


def _counted(answer: Answer, one: Judged) -> dict[str, Counted]:
    """What is added up over all questions: citations, and refusals where it is known what is right."""
    found: dict[str, Counted] = {}
    if answer.answered:
        precision, recalled = _cited(answer, one.query)
        found = {"citation_precision": precision, "citation_recall": recalled}
    answerable = one.answerable if one.answerable is not None else (True if one.answers else None)
    if answerable is None:
        return found
    refused = not answer.answered
    if refused:
        found["refusal_precision"] = Counted(int(not answerable), 1)
    if not answerable:
        found["refusal_recall"] = Counted(int(refused), 1)
    return found


def _cited(answer: Answer, query: str) -> tuple[Counted, Counted]:
    by_marker = {cited.marker: cited for cited in answer.citations}
    passages = {cited.marker: _passage(cited) for cited in answer.citations}
    judge = Judge(Question(query, tuple(terms(query)), {}), list(passages.values()))

    def supports(number: int, markers: Sequence[int]) -> bool:
        text = unnumbered(answer.sentences[number], answer.citations)
        return judge(text, [(passages[marker], 1) for marker in markers]) == "supported"

    return citations(
        ([marker for marker in sentence.citations if marker in by_marker] for sentence in answer.sentences), supports
    )


def _passage(cited: Citation) -> Passage:
    sentence = Sentence(cited.start, cited.end, cited.quote, tuple(terms(cited.quote)), cited.chunk_id)
    return Passage(
        id=str(cited.marker),
        uri=cited.uri,
        title=cited.title,
        heading=cited.heading,
        page=cited.page,
        start=cited.start,
        end=cited.end,
        sentences=(sentence,),
        content_sha256=cited.content_sha256,
        score=1.0,
    )
