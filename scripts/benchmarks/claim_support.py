"""Q5: how often the support check rejects true and false claims, made from the questions and answers of squad2_a."""

import random
import re
import statistics
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semsearch import Library
from semsearch.answers.verification import SupportChecker
from semsearch.core.types.answers import AnalyzedQuery, Passage, Sentence, SupportVerdict
from semsearch.search.retrieval import Query, Search, analyze_query, retrieve
from semsearch.text.analyzer import analyze
from semsearch.text.entities import extract_names, extract_numbers
from semsearch.text.sentences import split_sentences

from . import machine
from .judged_collections import ingest_judged, load_judged, read_json_lines
from .results import Bound, Figure, Result
from .scale import Scale

_QUESTION_START = re.compile(
    r"^\W*(?:(?:in|on|at|to|from|for|by|of|with)\s+)?(?:what|which|who|whom|whose|where|when|why|how)\b"
    r"(?:\s+(?:many|much|long|old|far|year|did|does|do|is|are|was|were)\b)*",
    re.IGNORECASE,
)
_BOUNDS = {
    "true: question and answer (unsupported)": Bound("<=", 0.05),
    "other article (unsupported)": Bound(">=", 1.0),
    "best-ranked wrong passage (unsupported)": Bound(">=", 0.98),
    "answer from elsewhere (unsupported)": Bound(">=", 0.99),
    "answer from the same passage (unsupported)": Bound(">=", 0.50),
    "altered number (unsupported)": Bound(">=", 1.0),
    "altered name (unsupported)": Bound(">=", 1.0),
}
_CONTEXT_WORDS = 8
"""Words on each side of the answer in a shortened sentence."""


@dataclass(frozen=True, slots=True)
class SupportCase:
    """A question with the passage and the sentence in it that answer it."""

    question: AnalyzedQuery
    passage: Passage
    number: int
    start: int
    """Start of the answer in its sentence."""
    answer: str
    article: str
    wrong_passage: Passage
    """The best-ranked passage for the question that does not answer it."""

    @property
    def sentence(self) -> str:
        """The sentence that holds the answer."""
        return self.passage.sentences[self.number - 1].text


def q5(scale: Scale) -> Result:
    """Rates at which the support check rejects true and false claims (2 minutes)"""
    cases = list(read_cases(scale.data / "squad2_a", scale.limit))
    articles = sorted({case.article for case in cases})
    shares_by_half = {
        half: measure_verdicts([case for case in cases if case.article in set(articles[index::2])])
        for index, half in enumerate(("tuning half", "held-out half"))
    }
    figures = [
        Figure(f"{kind.removesuffix(' (unsupported)')}, {half}", "", shares[kind], bound=bound)
        for half, shares in shares_by_half.items()
        for kind, bound in _BOUNDS.items()
        if kind in shares
    ]
    notes = [
        "shares of claims that are called unsupported or contradicted: true claims (false alarms) and each kind of"
        " false claims; the constants were tuned on one half of the articles",
        "a claim is the words of the question with an answer; it cites the answer's sentence, or the nearest one of"
        " another passage. If that sentence has all words of the answer, the claim may be true and is omitted",
    ]
    return Result("Q5", "Support check", machine.describe_machine(), figures, notes, short=scale.short)


def read_cases(folder: Path, limit: int | None = None) -> Iterator[SupportCase]:
    """Yield a case for each answerable question, analyzed with the term statistics of the collection."""
    judged = load_judged(folder, limit)
    passages = {entry["id"]: make_passage(entry) for entry in read_json_lines(folder / "corpus.jsonl")}
    with tempfile.TemporaryDirectory() as name, Library(name) as library:
        collection = ingest_judged(library, folder)
        with collection.backends.store.snapshot() as snapshot:
            for entry in judged.answerable_questions():
                answering = passages[next(iter(judged.relevant[entry["id"]]))]
                start, answer = entry["spans"][0]
                for number, sentence in enumerate(answering.sentences, 1):
                    if sentence.start <= start < sentence.end:
                        question = analyze_query(snapshot, entry["text"])
                        article = answering.uri.rpartition("#")[0]
                        ranked = retrieve(snapshot, Search([_make_query(entry["text"])], 10)).ranked
                        wrong_passages = (passages[chunk.uri] for chunk, _ in ranked if chunk.uri != answering.uri)
                        wrong_passage = next(wrong_passages, passages["Normans#0"])
                        yield SupportCase(
                            question, answering, number, start - sentence.start, answer, article, wrong_passage
                        )


def _make_query(text: str) -> Query:
    return Query(text, None, None, "lexical", 0.0)


def make_passage(entry: dict[str, Any]) -> Passage:
    """Return a paragraph as one passage."""
    text = entry["text"]
    sentences = tuple(
        Sentence(start, end, text[start:end], tuple(analyze(text[start:end])), 1)
        for start, end in split_sentences(text)
    )
    return Passage(entry["id"], entry["id"], entry["title"], "", None, 0, len(text), sentences, "", 1.0)


def measure_verdicts(cases: Sequence[SupportCase]) -> dict[str, float]:
    """Return by kind of claim the share not called supported, and the share called unsupported or contradicted."""
    verdicts: dict[str, list[SupportVerdict]] = defaultdict(list)
    rng = random.Random(7)
    for case in cases:
        for kind, claim, cited in _make_claims(case, cases, rng):
            check_support = SupportChecker(case.question, [passage for passage, _ in cited])
            verdicts[kind].append(check_support(claim, cited))
    return {
        **{
            kind: statistics.mean(verdict != "supported" for verdict in kind_verdicts)
            for kind, kind_verdicts in sorted(verdicts.items())
        },
        **{
            f"{kind} (unsupported)": _compute_share(kind_verdicts, "unsupported", "contradicted")
            for kind, kind_verdicts in sorted(verdicts.items())
        },
    }


def _compute_share(verdicts: Sequence[SupportVerdict], *counted: SupportVerdict) -> float:
    counts = Counter(verdicts)
    return sum(counts[verdict] for verdict in counted) / len(verdicts)


def _make_claims(
    case: SupportCase, cases: Sequence[SupportCase], rng: random.Random
) -> Iterator[tuple[str, str, list[tuple[Passage, int]]]]:
    gold = [(case.passage, case.number)]
    claim = make_statement(case, case.answer)
    short = shorten_sentence(case)
    yield "true: the sentence", case.sentence, gold
    yield "true: shortened", short, gold
    yield "true: question and answer", claim, gold
    other_cases = [other for other in cases if other.article != case.article]
    for kind, other in (
        ("other article", rng.choice(other_cases).passage),
        ("best-ranked wrong passage", case.wrong_passage),
    ):
        passage, number = find_nearest_sentence(other, claim)
        answer_terms = set(analyze(case.answer))
        if not answer_terms or not answer_terms <= set(
            passage.sentences[number - 1].terms
        ):  # else the claim may be true
            yield kind, claim, [(passage, number)]
    similar_answers = [
        other.answer for other in other_cases if _classify_answer(other.answer) == _classify_answer(case.answer)
    ]
    other_answer = rng.choice(similar_answers) if similar_answers else ""
    if other_answer and other_answer.casefold() not in case.sentence.casefold():
        yield "answer from elsewhere", make_statement(case, other_answer), gold
        yield "answer from elsewhere, in the sentence", short.replace(case.answer, other_answer), gold
    passage_answers = [
        other.answer
        for other in cases
        if other.passage == case.passage and not _is_same_answer(other.answer, case.answer)
    ]
    if passage_answers:
        swapped = make_statement(case, rng.choice(passage_answers))
        yield "answer from the same passage", swapped, [find_nearest_sentence(case.passage, swapped)]
    yield from _alter_claims(case, short, gold, rng)


def _alter_claims(
    case: SupportCase, short: str, gold: list[tuple[Passage, int]], rng: random.Random
) -> Iterator[tuple[str, str, list[tuple[Passage, int]]]]:
    numbers = list(re.finditer(r"\d+", short))
    if numbers:
        match = rng.choice(numbers)
        other = str(int(match[0]) + rng.choice([1, 3, 10, 100]))
        if other not in set(extract_numbers(" ".join(sentence.text for sentence in case.passage.sentences))):
            yield "altered number", short[: match.start()] + other + short[match.end() :], gold
    names = [name for name in extract_names(short) if not any(map(str.isdigit, name))]
    if names:
        yield "altered name", re.sub(rf"\b{re.escape(rng.choice(names))}\b", "Zanzibarov", short), gold
    verb = re.search(r"\b(?:is|are|was|were|can|will|has|have|had)\b", short)
    if verb and not re.search(r"\b(?:not|no|never)\b|n't", case.sentence):
        yield "negated", f"{short[: verb.end()]} not{short[verb.end() :]}", gold


def make_statement(case: SupportCase, answer: str) -> str:
    """Return a statement of the question's words and an answer."""
    words = _QUESTION_START.sub("", case.question.text).strip(" ?")
    return f"{words[:1].upper()}{words[1:]}: {answer}."


def shorten_sentence(case: SupportCase) -> str:
    """Return the answer with up to eight words of its sentence on each side."""
    before, after = case.sentence[: case.start].split(), case.sentence[case.start + len(case.answer) :].split()
    return " ".join([*before[-_CONTEXT_WORDS:], case.answer, *after[:_CONTEXT_WORDS]]).strip(" ,;")


def find_nearest_sentence(passage: Passage, claim: str) -> tuple[Passage, int]:
    """Return the sentence of a passage that shares most terms with a claim, as a careless model would cite it."""
    claim_terms = set(analyze(claim))
    best = max(range(len(passage.sentences)), key=lambda index: len(claim_terms & set(passage.sentences[index].terms)))
    return passage, best + 1


def _classify_answer(answer: str) -> str:
    return "number" if re.search(r"\d", answer) else "name" if answer[:1].isupper() else "words"


def _is_same_answer(first: str, second: str) -> bool:
    first, second = first.casefold(), second.casefold()
    return first in second or second in first
