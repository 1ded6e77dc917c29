"""Find sentences of different documents that give different values for what a question asks, and word the warning.

Precision comes first: a pair counts only if both sentences speak of the same thing, which their words, the question's
terms, and the titles and headings above them show, and if they differ in one value alone. Entries of changelogs, and
sentences that also differ in a name, a date or a contrast such as "minimum" and "maximum", are about different things.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from ..core.types.answers import AnalyzedQuery
from ..text.analyzer import analyze, extract_content_terms
from ..text.entities import TextFacts
from ..text.numbers import MONTHS, NUMBER_WORD_VALUES
from ..text.questions import extract_identifiers
from ..text.values import Value, are_comparable, find_values, remove_common
from .evidence import Candidate

MIN_OVERLAP = 0.6
"""Share of the content terms of the shorter sentence, without its values, that the other sentence has."""

MIN_LONGER_OVERLAP = 0.35
"""The same share of the longer sentence."""

MIN_SHARED_TERMS = 2
MIN_POLARITY_OVERLAP = 0.75
MIN_COMMON_WORDS = 5
"""Words before and after a name, which two sentences with another name in the same place share."""

MIN_QUESTION_SHARE = 0.5
"""Weighted share of the question's terms in each sentence with its title and headings."""

MIN_COPY_OVERLAP = 0.8
"""Share of the longer sentence's content terms from which a sentence is the other one in another version."""

MIN_COPY_QUESTION_SHARE = 0.2
"""`MIN_QUESTION_SHARE` of such sentences."""

MIN_RELATIVE_QUESTION_SHARE = 0.8
"""The lower of these two shares, relative to the higher one."""

MIN_PLAIN_SHARE = 0.7
"""Share of a sentence's parts between spaces that are words or numbers."""

MIN_IDF_SHARE = 0.25
"""The lowest weight of a question term, as a share of the highest idf."""

MAX_CANDIDATES = 60
"""Sentences that the shown ones are compared with, the best first."""

_WHEN = re.compile(
    r"\bwhen\b|\b(?:what|which|by what|on what) (?:\w+ )?(?:year|date|day|month)\b|\bsince\b|\buntil\b", re.IGNORECASE
)
_HOW_MANY = re.compile(
    r"\bhow (?:many|much|long|old|far|large|tall|high|often|big|soon|fast|deep|wide|heavy)\b"
    r"|\b(?:percent\w*|number|amount|rate|population|price|cost|size|limit|maximum|minimum|length|age)\b",
    re.IGNORECASE,
)
_VERSION_QUESTION = re.compile(r"\b(?:versions?|releases?|since when)\b", re.IGNORECASE)
_YES_NO = re.compile(
    r"^\W*(?:is|are|was|were|can|could|may|might|must|should|shall|do|does|did|will|would|has|have|am)\b", re.IGNORECASE
)
_NAME_QUESTION = re.compile(r"\b(?:who|whom|whose|where|which|what)\b", re.IGNORECASE)
_NEGATION = re.compile(r"\b(?:not|no|never|cannot|without|nor)\b|n['’]t\b", re.IGNORECASE)
_VERSION_OR_YEAR = re.compile(r"\b(?:v?\d+(?:\.\d+)+|1\d{3}|20\d{2})\b")
_PLAIN_PART = re.compile(
    r"[*_\"'“”‘’(\[«»¿¡]*(?:[^\W_]+(?:['’.,:-][^\W_]+)*|[$€£¥]?\d[\d.,:]*(?:[-–]\d[\d.,]*)?[%€]?)"
    r"[*_\"'“”‘’)\].,;:!?»%]*|[-–—&+*|]"
)
_WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")
_MAX_NAME_WORDS = 4
_CONTRASTS = tuple(
    tuple(frozenset(analyze(side.replace("|", " "))) for side in pair.split("/"))
    for pair in (
        "minimum|min|least/maximum|max|most before/after part/full adult|adults/child|children summer/winter"
        " first/second|last men|man|male/women|woman|female north|northern/south|southern east|eastern/west|western "
        " daily/weekly|monthly|annual"
        " monthly/annual|yearly|quarterly increase|increased|rose|grew/decrease|decreased|fell|declined"
        " import|imports/export|exports open|opened|opens/close|closed|closes start|begins|began|started/end|ends|ended"
        " public/private domestic/foreign|international urban/rural old|older/new|newer|young|younger paid/unpaid"
        " lower/upper|higher high/low buy|bought/sell|sold win|won/lose|lost input/output internal/external home/away"
        " born/died|death arrived|arrival/left|departure earliest/latest smallest/largest lowest/highest"
    ).split()
)
_OPPOSITES = tuple(
    tuple(frozenset(side.split("|")) for side in pair.split("/"))
    for pair in (
        "allowed|permitted|allow|allows|permit|permits/forbidden|prohibited|banned|disallowed|forbid|forbids|prohibits"
        " required|mandatory|compulsory|obligatory/optional|voluntary enabled|on/disabled|off supported/unsupported"
        " included/excluded true/false always/never available/unavailable eligible/ineligible refundable/non-refundable"
        " safe/unsafe valid/invalid possible/impossible paid/unpaid"
    ).split()
)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two sentences of different documents with different values for the same thing."""

    first: Candidate
    second: Candidate
    first_value: str
    second_value: str


def find_disagreements(
    question: AnalyzedQuery, shown: Sequence[Candidate], candidates: Iterable[Candidate]
) -> list[Disagreement]:
    """Return the disagreements of the shown sentences with other candidates, at most one for each other document.

    Candidates come best first. Those of documents with a shown sentence count only against the others.
    """
    disagreements: dict[str, Disagreement] = {}
    others = list(candidates)[:MAX_CANDIDATES]
    for first, second in product(shown, others):
        other_uri = second.passage.uri
        if first.passage.uri == other_uri or other_uri in disagreements or not _share_terms(first, second):
            continue
        values = _compare_candidates(question, first, second)
        if values is not None:
            disagreements[other_uri] = Disagreement(first, second, *values)
    return list(disagreements.values())


def _share_terms(first: Candidate, second: Candidate) -> bool:
    """Return whether two sentences may speak of the same thing: a quick test before the exact one."""
    first_terms, second_terms = set(first.sentence.terms), set(second.sentence.terms)
    return len(first_terms & second_terms) >= MIN_LONGER_OVERLAP * min(len(first_terms), len(second_terms))


def format_disagreement(disagreement: Disagreement) -> str:
    """Return the warning for a disagreement."""
    first, second = disagreement.first.passage.uri, disagreement.second.passage.uri
    return (
        f"the sources disagree: {first} says '{disagreement.first_value}', {second} says '{disagreement.second_value}'"
    )


def _compare_candidates(question: AnalyzedQuery, first: Candidate, second: Candidate) -> tuple[str, str] | None:
    """Return the different values of two sentences about the same thing, else None."""
    texts = first.sentence.text, second.sentence.text
    if not all(map(_is_prose, texts)):
        return None
    is_copy = _Overlap(*texts).of_longer >= MIN_COPY_OVERLAP
    min_question_share = MIN_COPY_QUESTION_SHARE if is_copy else MIN_QUESTION_SHARE
    if not _share_topic(question, first, second, min_question_share) or _differ_in_version(first, second):
        return None
    return compare_sentences(question.text, *texts)


def compare_sentences(question: str, first: str, second: str) -> tuple[str, str] | None:
    """Return the one value in which two sentences about the same thing differ, as each has it, else None.

    >>> compare_sentences("How long is leave?", "Leave lasts 16 weeks for all.", "For all, leave lasts 18 weeks.")
    ('16 weeks', '18 weeks')
    >>> compare_sentences("How long is leave?", "Leave lasts 16 weeks for all.", "Leave lasts sixteen weeks for all.")
    """
    overlap = _Overlap(first, second)
    if overlap.shared < MIN_SHARED_TERMS or overlap.have_contrast or overlap.have_different_subjects:
        return None
    if overlap.of_shorter >= MIN_OVERLAP and overlap.of_longer >= MIN_LONGER_OVERLAP:
        values = _find_different_values(question, first, second)
        if values is not None and not _have_different_names(first, second):
            return values
    if overlap.of_shorter >= MIN_POLARITY_OVERLAP and (opposites := _find_opposites(question, first, second)):
        return opposites
    return _find_different_names(question, first, second)


def _is_prose(text: str) -> bool:
    """Return whether most parts of a sentence are words or numbers, unlike in code, log lines and directives."""
    parts = text.split()
    return sum(_PLAIN_PART.fullmatch(part) is not None for part in parts) >= MIN_PLAIN_SHARE * len(parts)


class _Overlap:
    """The content terms that two sentences share, without their numbers and months."""

    def __init__(self, first: str, second: str) -> None:
        ordered = [_extract_topic_terms(text) for text in (first, second)]
        self._first_terms = [terms[:1] for terms in ordered]
        self._terms = terms = [frozenset(terms) for terms in ordered]
        self.shared = len(terms[0] & terms[1])
        sizes = sorted(map(len, terms))
        self.of_shorter = self.shared / max(1, sizes[0])
        self.of_longer = self.shared / max(1, sizes[1])

    @property
    def have_different_subjects(self) -> bool:
        """Whether neither sentence has the first term of the other one: "Members pay", "Guests pay"."""
        return self._terms[0].isdisjoint(self._first_terms[1]) and self._terms[1].isdisjoint(self._first_terms[0])

    @property
    def have_contrast(self) -> bool:
        """Whether one sentence has one side of a contrast, and the other sentence the other side."""
        first, second = self._terms
        return any(
            (first & one and second & other and not (first & other or second & one))
            or (first & other and second & one and not (first & one or second & other))
            for one, other in _CONTRASTS
        )


_MONTH_TERMS = frozenset(term for month in MONTHS for term in analyze(month))
_NUMBER_TERMS = frozenset(term for word in NUMBER_WORD_VALUES for term in analyze(word))


def _extract_topic_terms(text: str) -> list[str]:
    return [
        term
        for term in extract_content_terms(text)
        if term not in _MONTH_TERMS and term not in _NUMBER_TERMS and not term[:1].isdigit() and len(term) > 1
    ]


def _share_topic(question: AnalyzedQuery, first: Candidate, second: Candidate, min_share: float) -> bool:
    """Return whether both sentences, with their titles and headings, cover the same terms of the question."""
    # in a few documents about one topic its terms have almost no idf, and others decided
    highest = max(question.idf.values(), default=0.0)
    weights = {term: max(question.idf.get(term, 0.0), MIN_IDF_SHARE * highest) for term in question.terms}
    total = sum(weights.values())
    if total <= 0:
        return False
    covered = [_context_terms(candidate) & weights.keys() for candidate in (first, second)]
    shares = [sum(weights[term] for term in terms) / total for terms in covered]
    shared = sum(weights[term] for term in covered[0] & covered[1]) / total
    return shared >= min_share and shared >= MIN_RELATIVE_QUESTION_SHARE * max(shares)


def _context_terms(candidate: Candidate) -> set[str]:
    passage = candidate.passage
    return {*candidate.sentence.terms, *analyze(f"{passage.title} {passage.heading}")}


def _differ_in_version(first: Candidate, second: Candidate) -> bool:
    """Return whether titles or headings name different versions or years: releases and yearly reports differ anyway."""
    versions = [
        set(_VERSION_OR_YEAR.findall(f"{candidate.passage.title} {candidate.passage.heading}"))
        for candidate in (first, second)
    ]
    return bool(versions[0] and versions[1] and versions[0] != versions[1])


def _find_different_values(question: str, first: str, second: str) -> tuple[str, str] | None:
    """Return the one pair of comparable values that differ, if everything else with a number is equal."""
    only_first, only_second = remove_common(find_values(first), find_values(second))
    if len(only_first) != 1 or len(only_second) != 1:
        return None
    one, other = only_first[0], only_second[0]
    if not are_comparable(one, other) or not _is_asked(question, one):
        return None
    return one.written, other.written


def _is_asked(question: str, value: Value) -> bool:
    """Return whether a question asks for a value of this kind; a question that asks for none in particular may."""
    if value.kind == "version":
        return _VERSION_QUESTION.search(question) is not None
    if value.kind == "time":
        return True
    if value.kind == "date" and _HOW_MANY.search(question) and not _WHEN.search(question):
        return False
    return not (value.kind != "date" and _WHEN.search(question) and not _HOW_MANY.search(question) and not value.unit)


def _have_different_names(first: str, second: str) -> bool:
    """Return whether each sentence has a name that the other lacks."""
    facts = TextFacts(first), TextFacts(second)
    return all(
        any(not _names_a_value(name) and not text.contains_name(name) for name in other.names)
        for text, other in (facts, facts[::-1])
    )


def _names_a_value(name: str) -> bool:
    return name.casefold().rstrip(".") in _MONTH_WORDS or any(map(str.isdigit, name))


_MONTH_WORDS = frozenset(word for month in MONTHS for word in (month.casefold(), month.casefold()[:3]))


def _find_opposites(question: str, first: str, second: str) -> tuple[str, str] | None:
    """Return what a yes/no question is answered with, if one sentence affirms what the other denies."""
    if not _YES_NO.match(question):
        return None
    words = [{match[0].casefold() for match in _WORD.finditer(text)} for text in (first, second)]
    negated = [_NEGATION.search(text) is not None for text in (first, second)]
    for one, other in _OPPOSITES:
        sides = [(word_set & one, word_set & other) for word_set in words]
        if all(bool(affirmed) != bool(denied) for affirmed, denied in sides):
            is_affirmed = [bool(side[0]) != negation for side, negation in zip(sides, negated, strict=True)]
            if is_affirmed[0] == is_affirmed[1]:
                return None
            labels = [
                f"{'not ' * negation}{min(side[0] or side[1])}" for side, negation in zip(sides, negated, strict=True)
            ]
            return labels[0], labels[1]
    return None


def _find_different_names(question: str, first: str, second: str) -> tuple[str, str] | None:
    """Return the names at the same place of two otherwise equal sentences, for a question that asks for a name."""
    if not _NAME_QUESTION.search(question) or extract_identifiers(question):
        return None
    words = [[match[0] for match in _WORD.finditer(text)] for text in (first, second)]
    start = _count_common(words[0], words[1])
    end = _count_common(words[0][start:][::-1], words[1][start:][::-1])
    names = [sequence[start : len(sequence) - end] for sequence in words]
    if start + end < MIN_COMMON_WORDS or not all(map(_is_name, names)):
        return None
    joined = [" ".join(name) for name in names]
    is_variant = set(map(str.casefold, names[0])) & set(map(str.casefold, names[1]))
    is_asked_already = any(word.casefold() in question.casefold() for name in names for word in name)
    return None if is_variant or is_asked_already else (joined[0], joined[1])


def _is_name(words: Sequence[str]) -> bool:
    return 0 < len(words) <= _MAX_NAME_WORDS and all(word[0].isupper() for word in words)


def _count_common(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the number of words at the start of both sequences that are equal."""
    count = 0
    for one, other in zip(first, second, strict=False):
        if one.casefold() != other.casefold():
            break
        count += 1
    return count
