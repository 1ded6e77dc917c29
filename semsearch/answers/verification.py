"""Check whether cited sentences support the sentences of an answer: numbers, names, signs of another meaning, words.

Deterministic and fast: calls no model. It detects missing facts and known changes of meaning, but cannot recognise that
two texts mean the same: a free paraphrase is "partial". The numbers and names of a claim must always be in the cited
text. A claim is "contradicted" if the cited text has something else in the same place, else "unsupported".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from ..core.types.answers import AnalyzedQuery, Passage, SupportVerdict
from ..text.analyzer import analyze, extract_content_terms
from ..text.answer_types import can_answer
from ..text.entities import TextFacts, years_conflict
from .claim_rules.comparison import Comparison, compare
from .claim_rules.conflicts import find_broken_rules, find_general_conflict
from .claim_rules.facts import (
    find_missing_dates,
    find_missing_names,
    find_missing_numbers,
    find_unknown_names,
    has_count_conflict,
    has_other_value,
    is_name_swapped,
    question_facts_present,
)
from .claim_rules.risk import judge_signs
from .claim_rules.signs import measure_signs
from .claim_rules.texts import ClaimTexts, read_texts
from .support import CitedSentences

MIN_SUPPORTED_SHARE = 0.9
"""The lowest share of a claim's new words (not in the question) in one cited sentence for "supported"."""

MIN_PARTIAL_SHARE = 0.5
"""The same for "partial": with less, an English claim may be in free words; one in another language is unsupported."""

MIN_RELATED_SHARE = 0.28
"""The same for an English claim of more than a few words: with less, it is not even in free words about the text."""

MIN_PARTIAL_SHARE_OF_SHORT_CLAIM = 0.66
"""The same for a claim of a few words, such as an answer that does not repeat the question."""

MIN_TOPIC_OVERLAP = 0.08
"""The lowest weighted share of the claim's question words in the cited sentence and the adjacent ones."""

MIN_TOPIC_OVERLAP_NO_NEW_TERMS = 0.5
"""The same for a claim without new words, for which there is no other check; and for a paraphrase about a name of the
question that is missing from the whole passage."""

MIN_COVERAGE_WITHOUT_TOPIC = 0.8
MIN_WORDS_WITHOUT_TOPIC = 5
"""With so many new words and this share of them in the cited text, a claim need not share words of the question."""

MIN_QUESTION_COVERAGE = 0.6
"""With this weighted share of the question's words, a claim answers the question, and its answer type is checked."""

MIN_BEST_SENTENCE_SHARE = 0.4
"""The share of what the cited sentences have together that the best of them must have alone."""

MIN_COVERED_REST = 0.6
"""With this share of its other words in the cited text, a claim with a wrong number or name contradicts the text."""

MAX_CLAIM_CHARACTERS = 10_000
"""A longer text without the end of a sentence is unsupported: for each cited sentence its check takes .5 s of the event
loop with 100,000 characters, and .03 s with 10,000."""

_MAX_SHORT_CLAIM_WORDS = 3
"""A claim with at most so many new words is an answer that does not repeat the question."""

_UNKNOWN_TERM_WEIGHT = 1.0
"""Weight of a word that is not in the question, relative to the highest idf of the question."""

_META_WORDS = (
    "yes no sure okay certainly here following follows below steps answer answers question document documents passages"
    " passage text source sources according says say said states stated mention mentions mentioned describes described"
    " information based provided summary overall conclusion also however therefore additionally note"
)


@cache
def _unit_stems() -> frozenset[str]:
    """Return the stems of units of time, which are compared together with their numbers."""
    return frozenset(analyze("second minute hour day week month year"))


@cache
def _meta_terms() -> frozenset[str]:
    """Return the terms with which an answer refers to itself or to its sources."""
    return frozenset(analyze(_META_WORDS))


@dataclass(frozen=True)
class Coverage:
    """Which of some terms each cited sentence has."""

    terms: Sequence[str]
    present_terms: Sequence[frozenset[str]]

    @property
    def share(self) -> float:
        """The share that the sentences have together; 1 if there are no terms."""
        return self._compute_share(frozenset[str]().union(*self.present_terms))

    @property
    def best_share(self) -> float:
        """The share in the sentence that has most."""
        return max(map(self._compute_share, self.present_terms))

    def _compute_share(self, present: frozenset[str]) -> float:
        return sum(term in present for term in self.terms) / len(self.terms) if self.terms else 1.0


@dataclass(frozen=True)
class _WordCheck:
    """Which words of a claim the cited sentences have."""

    terms: Sequence[str]
    coverage: Coverage
    """Of the new words."""
    free_coverage: Coverage
    """The same if synonyms and words of the same root count as well."""
    topic_overlap: float
    """Weighted share of the claim's question words in the cited sentences, from 0 to 1.5."""

    @property
    def are_few(self) -> bool:
        """Whether they are too few, unless the claim is in free words."""
        return self._are_fewer(MIN_PARTIAL_SHARE)

    @property
    def are_too_few(self) -> bool:
        """Whether they are too few in any case."""
        return self._are_fewer(MIN_RELATED_SHARE)

    def _are_fewer(self, min_share: float) -> bool:
        return all(
            _is_paraphrase_too_free(coverage, self.topic_overlap, min_share)
            for coverage in (self.coverage, self.free_coverage)
        )


class SupportChecker:
    """Checks the sentences of one answer; implements `support.SupportCheck`."""

    def __init__(self, question: AnalyzedQuery, passages: Sequence[Passage]) -> None:
        self._question = TextFacts(question.text)
        self._all_question_terms = frozenset(question.terms) | self._question.terms
        self._question_terms = question.terms
        self._idf = question.idf
        self._max_idf = max(question.idf.values(), default=1.0) or 1.0
        self._passage_texts = {
            passage.id: TextFacts(
                f"{passage.title}\n{passage.heading}\n" + "\n".join(sentence.text for sentence in passage.sentences)
            )
            for passage in passages
        }

    def __call__(self, sentence: str, cited: CitedSentences) -> SupportVerdict:
        """Return how well the cited sentences support a sentence, which is passed without its markers."""
        if len(sentence) > MAX_CLAIM_CHARACTERS:
            return "unsupported"
        claim = TextFacts(sentence)
        if not cited:
            new_terms = self._find_new_terms(_find_claim_terms(claim))
            return "unsupported" if self._needs_source(claim, new_terms) else "not_checked"
        cited_texts = [TextFacts(passage.sentences[number - 1].text) for passage, number in cited]
        if any(claim.normalized and claim.normalized == text.normalized for text in cited_texts):
            return "supported"
        passage_texts = [self._passage_texts[passage.id] for passage, _ in cited]
        texts = read_texts(self._question, sentence, cited, passage_texts)
        comparison = compare(texts.claim.text, [text.text for text in texts.cited], texts.question.text)
        words = self._check_words(texts, comparison, cited)
        return (
            self._find_missing_fact(texts, comparison)
            or self._find_conflict(texts, comparison, words)
            or self._judge_words(texts, words)
        )

    def _find_new_terms(self, claim_terms: Sequence[str]) -> list[str]:
        return [term for term in claim_terms if term not in self._all_question_terms]

    def _needs_source(self, claim: TextFacts, new_terms: Sequence[str]) -> bool:
        """Return whether a sentence states a fact that needs a source; an introduction to others does not."""
        if any(number not in self._question.numbers for number in claim.checkable_numbers):
            return True
        if any(not self._question.contains_name(name) for name in claim.names):
            return True
        return bool(new_terms) and not claim.text.rstrip().endswith((":", "："))

    def _find_missing_fact(self, texts: ClaimTexts, comparison: Comparison) -> SupportVerdict | None:
        """Return the verdict if a number, date or name is in neither question nor sources; None if all are."""
        numbers, names, dates = find_missing_numbers(texts), find_missing_names(texts), find_missing_dates(texts)
        if not (numbers or names or dates):
            return None
        missing_terms = {term for word in (*numbers, *names, *(word for _, word in dates)) for term in analyze(word)}
        terms = [term for term in _find_claim_terms(texts.claim) if term not in missing_terms]
        known_count = sum(term in self._all_question_terms or comparison.covers_stem(term) for term in terms)
        is_rest_covered = known_count >= MIN_COVERED_REST * len(terms)
        return "contradicted" if is_rest_covered and has_other_value(texts, numbers, names, dates) else "unsupported"

    def _find_conflict(self, texts: ClaimTexts, comparison: Comparison, words: "_WordCheck") -> SupportVerdict | None:
        """Return the verdict if the claim says something else than its evidence; None if nothing shows that."""
        if has_count_conflict(texts):
            return "contradicted"
        if not texts.is_english:
            return find_general_conflict(comparison)
        unknown_names = self._find_unknown_names(texts)
        if unknown_names and is_name_swapped(texts, unknown_names):
            return "contradicted"
        broken_rules = find_broken_rules(texts, comparison, comparison.given.terms | _meta_terms())
        signs = measure_signs(comparison, broken_rules.keys(), _meta_terms(), has_few_words=words.are_few)
        return judge_signs(signs, broken_rules)

    def _find_unknown_names(self, texts: ClaimTexts) -> list[str]:
        return find_unknown_names(texts, self._all_question_terms | _meta_terms())

    def _check_words(self, texts: ClaimTexts, comparison: Comparison, cited: CitedSentences) -> "_WordCheck":
        """Return how many words of the claim the cited sentences have, and words of the question around them."""
        terms = _find_claim_terms(texts.claim)
        coverage = self._compute_coverage(texts, self._find_new_terms(terms))
        free_coverage = self._compute_free_coverage(comparison) if texts.is_english else coverage
        return _WordCheck(terms, coverage, free_coverage, self._compute_topic_overlap(terms, cited))

    def _judge_words(self, texts: ClaimTexts, words: "_WordCheck") -> SupportVerdict:
        """Return the verdict on a claim that says nothing else: how many of its words the cited sentences have."""
        if words.are_few if not texts.is_english else words.are_too_few:
            return "unsupported"
        if self._compute_question_coverage(words.terms) >= MIN_QUESTION_COVERAGE and not can_answer(
            self._question.text, texts.claim.text, words.coverage.terms
        ):
            return "unsupported"
        has_question_facts = question_facts_present(texts)
        is_covered = words.coverage.share >= MIN_SUPPORTED_SHARE
        if not (is_covered or has_question_facts) and words.topic_overlap < MIN_TOPIC_OVERLAP_NO_NEW_TERMS:
            return "unsupported"
        is_fully_supported = words.terms and is_covered and has_question_facts and not self._find_unknown_names(texts)
        return "supported" if is_fully_supported and self._years_agree(texts) else "partial"

    def _years_agree(self, texts: ClaimTexts) -> bool:
        """Return whether the texts give each number for the same year as the claim, or as question and claim."""
        claim = texts.claim
        dated_claim = claim if claim.number_years else TextFacts(f"{self._question.text}\n{claim.text}")
        return not any(years_conflict(dated_claim, text) for text in texts.cited) or any(
            dated_claim.number_years <= text.number_years for text in texts.cited
        )

    def _compute_coverage(self, texts: ClaimTexts, new_terms: Sequence[str]) -> Coverage:
        """Return which of the claim's new words the cited sentences have together; numbers and names in any form."""
        present_terms = [
            _find_present_terms(texts.claim, pair) for pair in zip(texts.cited, texts.headings, strict=True)
        ]
        return Coverage(new_terms, present_terms)

    def _compute_free_coverage(self, comparison: Comparison) -> Coverage:
        """Return the same if phrases, synonyms and words of the same root count as well."""
        given = self._all_question_terms | comparison.question.terms | _meta_terms()
        stems = dict.fromkeys(word.stem for word in comparison.claim.content)
        new_stems = [stem for stem in stems if not (stem in given or stem.isdigit() or stem in _unit_stems())]
        present = [frozenset(filter(statement.covers_stem, new_stems)) for statement in comparison.evidence]
        return Coverage(new_stems, present)

    def _compute_question_coverage(self, claim_terms: Sequence[str]) -> float:
        """Return the weighted share of the question's words that a claim repeats."""
        question_terms = {term for term in self._question_terms if term not in _meta_terms()}
        total = sum(map(self._term_weight, question_terms))
        return sum(map(self._term_weight, question_terms.intersection(claim_terms))) / total if total else 0.0

    def _compute_topic_overlap(self, claim_terms: Sequence[str], cited: CitedSentences) -> float:
        """Return the weighted share of the claim's question words in the cited sentences, from 0 to 1.5.

        A word in a cited sentence counts 1.5, a word that is only in an adjacent sentence counts 0.5.
        """
        shared_terms = [term for term in claim_terms if term in self._all_question_terms]
        if not shared_terms and len(claim_terms) <= _MAX_SHORT_CLAIM_WORDS:
            shared_terms = [term for term in self._question.terms if term not in _meta_terms() and self._idf.get(term)]
        total = sum(map(self._term_weight, shared_terms))
        return self._sum_covered_weight(shared_terms, cited) / total if total else 1.0

    def _sum_covered_weight(self, shared_terms: Sequence[str], cited: CitedSentences) -> float:
        sentence_terms, nearby_terms = set[str](), set[str]()
        for passage, number in cited:
            sentence_terms.update(passage.sentences[number - 1].terms)
            nearby_terms.update(*(sentence.terms for sentence in passage.sentences[max(0, number - 2) : number + 1]))
        return sum(
            self._term_weight(term) * ((term in sentence_terms) + 0.5 * (term in nearby_terms)) for term in shared_terms
        )

    def _term_weight(self, term: str) -> float:
        return self._idf.get(term, _UNKNOWN_TERM_WEIGHT * self._max_idf)


def _find_claim_terms(claim: TextFacts) -> list[str]:
    """Return the content terms of a claim without those with which an answer refers to itself."""
    return [term for term in dict.fromkeys(extract_content_terms(claim.text)) if term not in _meta_terms()]


def _find_present_terms(claim: TextFacts, texts: Sequence[TextFacts]) -> frozenset[str]:
    """Return the terms of the texts, and those of the claim's numbers and names that they have in any form."""
    numbers = (written for value, written in claim.number_mentions if any(value in text.numbers for text in texts))
    names = (name for name in claim.names if any(text.contains_name(name) for text in texts))
    return frozenset[str]().union(*(text.terms for text in texts), *map(analyze, numbers), *map(analyze, names))


def _is_paraphrase_too_free(coverage: Coverage, topic_overlap: float, min_share: float) -> bool:
    """Return whether too few of a claim's new words, or of its question words, are in the cited text."""
    is_short = len(coverage.terms) <= _MAX_SHORT_CLAIM_WORDS
    min_coverage = MIN_PARTIAL_SHARE_OF_SHORT_CLAIM if is_short else min_share
    is_covered = len(coverage.terms) >= MIN_WORDS_WITHOUT_TOPIC and coverage.share >= MIN_COVERAGE_WITHOUT_TOPIC
    min_topic_overlap = MIN_TOPIC_OVERLAP if coverage.terms else MIN_TOPIC_OVERLAP_NO_NEW_TERMS
    return (
        coverage.share < min_coverage
        or coverage.best_share < MIN_BEST_SENTENCE_SHARE * coverage.share
        or (topic_overlap < min_topic_overlap and not is_covered)
    )
