"""Q5: what the support check lets through and what it catches, on edits of the true sentences of squad2_a."""

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
from semsearch.answers.verification import Judge
from semsearch.core.types.answers import Passage, Question, Sentence, Support
from semsearch.search.retrieval import Query, Search, analyse, retrieve
from semsearch.text.analyzer import terms
from semsearch.text.entities import names, numbers
from semsearch.text.sentences import sentences

from . import machine
from .judged import ingest, lines, load
from .results import Bound, Figure, Result
from .scale import Scale

_ASKING = re.compile(
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
_AROUND = 8
"""Words on each side of the answer in a shortened sentence."""


@dataclass(frozen=True, slots=True)
class Case:
    """A question with the passage and the sentence in it that answer it."""

    question: Question
    passage: Passage
    number: int
    start: int
    """Of the answer, in its sentence."""
    answer: str
    article: str
    rival: Passage
    """The best-ranked passage for the question that does not answer it."""

    @property
    def sentence(self) -> str:
        """The sentence that holds the answer."""
        return self.passage.sentences[self.number - 1].text


def q5(scale: Scale) -> Result:
    """What the support check lets through and what it catches, on edits of true sentences (2 minutes)"""
    cases = list(read(scale.data / "squad2_a", scale.limit))
    articles = sorted({case.article for case in cases})
    found = {
        half: judge([case for case in cases if case.article in set(articles[at::2])])
        for at, half in enumerate(("chosen on", "held out"))
    }
    figures = [
        Figure(f"{what.removesuffix(' (unsupported)')}, {half}", "", shares[what], bound=bound)
        for half, shares in found.items()
        for what, bound in _BOUNDS.items()
        if what in shares
    ]
    notes = [
        "shares of claims that are called unsupported: true ones, which is a false alarm, and false ones of each kind;"
        " the constants were chosen on one half of the articles",
        "a claim is the question's words with an answer, cited from where it stands or from the nearest sentence; where"
        " that one, in another article or passage, has every word of the answer, the claim may be true and is left out",
    ]
    return Result("Q5", "Support of claims", machine.line(), figures, notes, short=scale.short)


def read(folder: Path, limit: int | None = None) -> Iterator[Case]:
    """The answerable questions, with how rare their words are."""
    judged = load(folder, limit)
    passages = {entry["id"]: passage(entry) for entry in lines(folder / "corpus.jsonl")}
    with tempfile.TemporaryDirectory() as name, Library(name) as library:
        collection = ingest(library, folder)
        with collection.store.snapshot() as snapshot:
            for entry in judged.answerable():
                found = passages[next(iter(judged.relevant[entry["id"]]))]
                start, answer = entry["spans"][0]
                for number, sentence in enumerate(found.sentences, 1):
                    if sentence.start <= start < sentence.end:
                        question = analyse(snapshot, entry["text"])
                        article = found.uri.rpartition("#")[0]
                        ranked = retrieve(snapshot, Search([_query(entry["text"])], 10)).ranked
                        rivals = (passages[chunk.uri] for chunk, _ in ranked if chunk.uri != found.uri)
                        rival = next(rivals, passages["Normans#0"])
                        yield Case(question, found, number, start - sentence.start, answer, article, rival)


def _query(text: str) -> Query:
    return Query(text, None, None, "lexical", 0.0)


def passage(entry: dict[str, Any]) -> Passage:
    """A paragraph as one passage."""
    text = entry["text"]
    cut = tuple(Sentence(s, e, text[s:e], tuple(terms(text[s:e])), 1) for s, e in sentences(text))
    return Passage(entry["id"], entry["id"], entry["title"], "", None, 0, len(text), cut, "", 1.0)


def judge(cases: Sequence[Case]) -> dict[str, float]:
    """Shares of true claims that are not called supported, and of false ones that are not, by kind."""
    verdicts: dict[str, list[Support]] = defaultdict(list)
    dice = random.Random(7)
    for case in cases:
        for kind, claim, cited in _claims(case, cases, dice):
            verdicts[kind].append(Judge(case.question, [each for each, _ in cited])(claim, cited))
    return {
        **{kind: statistics.mean(one != "supported" for one in found) for kind, found in sorted(verdicts.items())},
        **{f"{kind} (unsupported)": _share(found, "unsupported") for kind, found in sorted(verdicts.items())},
    }


def _share(found: Sequence[Support], verdict: Support) -> float:
    return Counter(found)[verdict] / len(found)


def _claims(
    case: Case, cases: Sequence[Case], dice: random.Random
) -> Iterator[tuple[str, str, list[tuple[Passage, int]]]]:
    gold = [(case.passage, case.number)]
    said = statement(case, case.answer)
    short = shortened(case)
    yield "true: the sentence", case.sentence, gold
    yield "true: shortened", short, gold
    yield "true: question and answer", said, gold
    strangers = [other for other in cases if other.article != case.article]
    for kind, other in (("other article", dice.choice(strangers).passage), ("best-ranked wrong passage", case.rival)):
        within, number = nearest(other, said)
        wanted = set(terms(case.answer))
        if not wanted or not wanted <= set(within.sentences[number - 1].terms):  # else the claim may be true
            yield kind, said, [(within, number)]
    alike = [other.answer for other in strangers if _type(other.answer) == _type(case.answer)]
    elsewhere = dice.choice(alike) if alike else ""
    if elsewhere and elsewhere.casefold() not in case.sentence.casefold():
        yield "answer from elsewhere", statement(case, elsewhere), gold
        yield "answer from elsewhere, in the sentence", short.replace(case.answer, elsewhere), gold
    inside = [other.answer for other in cases if other.passage == case.passage and not _same(other.answer, case.answer)]
    if inside:
        swapped = statement(case, dice.choice(inside))
        yield "answer from the same passage", swapped, [nearest(case.passage, swapped)]
    yield from _altered(case, short, gold, dice)


def _altered(
    case: Case, short: str, gold: list[tuple[Passage, int]], dice: random.Random
) -> Iterator[tuple[str, str, list[tuple[Passage, int]]]]:
    figures = list(re.finditer(r"\d+", short))
    if figures:
        found = dice.choice(figures)
        other = str(int(found[0]) + dice.choice([1, 3, 10, 100]))
        if other not in set(numbers(" ".join(one.text for one in case.passage.sentences))):
            yield "altered number", short[: found.start()] + other + short[found.end() :], gold
    named = [name for name in names(short) if not any(map(str.isdigit, name))]
    if named:
        yield "altered name", re.sub(rf"\b{re.escape(dice.choice(named))}\b", "Zanzibarov", short), gold
    verb = re.search(r"\b(?:is|are|was|were|can|will|has|have|had)\b", short)
    if verb and not re.search(r"\b(?:not|no|never)\b|n't", case.sentence):
        yield "negated", f"{short[: verb.end()]} not{short[verb.end() :]}", gold


def statement(case: Case, answer: str) -> str:
    """The question's words and an answer, as one statement."""
    rest = _ASKING.sub("", case.question.text).strip(" ?")
    return f"{rest[:1].upper()}{rest[1:]}: {answer}."


def shortened(case: Case) -> str:
    """The answer with some words of its sentence on each side."""
    before, after = case.sentence[: case.start].split(), case.sentence[case.start + len(case.answer) :].split()
    return " ".join([*before[-_AROUND:], case.answer, *after[:_AROUND]]).strip(" ,;")


def nearest(within: Passage, claim: str) -> tuple[Passage, int]:
    """The sentence of a passage that a liar would cite: it has most of the claim's words."""
    wanted = set(terms(claim))
    best = max(range(len(within.sentences)), key=lambda at: len(wanted & set(within.sentences[at].terms)))
    return within, best + 1


def _type(answer: str) -> str:
    return "number" if re.search(r"\d", answer) else "name" if answer[:1].isupper() else "words"


def _same(one: str, other: str) -> bool:
    one, other = one.casefold(), other.casefold()
    return one in other or other in one
