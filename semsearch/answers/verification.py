"""Check whether cited sentences support the sentences of an answer: numbers, names, negation, then words.

Deterministic and fast: calls no model. It detects missing facts, but cannot recognise that two texts mean the same: a
free paraphrase is "partial". The numbers and names of a claim must always be in the cited text.
"""

import re
from collections.abc import Sequence, Set
from functools import cache

from ..core.types.answers import AnalyzedQuery, Passage, SupportVerdict
from ..text.analyzer import analyze, extract_content_terms
from ..text.answer_types import can_answer
from ..text.entities import TextFacts, counts_conflict, units_conflict, years_conflict
from ..text.numbers import starts_with_number_word
from .support import CitedSentences

MIN_SUPPORTED_SHARE = 0.9
"""The lowest share of a claim's new words (not in the question) in one cited sentence for "supported"."""

MIN_PARTIAL_SHARE = 0.5
"""The same for "partial": with less, the claim says something else; with more, it may be a paraphrase."""

MIN_PARTIAL_SHARE_OF_SHORT_CLAIM = 0.67
"""The same for a claim of a few words, such as an answer that does not repeat the question."""

MIN_TOPIC_OVERLAP = 0.08
"""The lowest weighted share of the claim's question words in the cited sentence and the adjacent ones."""

MIN_TOPIC_OVERLAP_NO_NEW_TERMS = 0.5
"""The same for a claim without new words, for which there is no other check; and for a paraphrase about a name of the
question that is missing from the whole passage."""

MIN_QUESTION_COVERAGE = 0.6
"""With this weighted share of the question's words, a claim answers the question, and its answer type is checked."""

_MAX_SHORT_CLAIM_WORDS = 3
"""A claim with at most so many new words is an answer that does not repeat the question."""

_UNKNOWN_TERM_WEIGHT = 1.0
"""Weight of a word that is not in the question, relative to the highest idf of the question."""

_NEGATION = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|nor|neither|without|cannot|unless|except|hardly|\w+n['’]t)\b", re.IGNORECASE
)
_OPPOSITE_WORDS = (
    ("before", "after"),
    (
        "more most maximum above increase increases rise rises rose",
        "less least minimum below decrease decreases fall falls fell reduce reduces reduction",
    ),
    ("require requires mandatory must compulsory obliges obligatory", "optional option voluntary"),
    ("allow permit", "forbidden prohibit ban"),
    ("accept approve", "reject refuse deny"),
    ("first earliest", "last latest"),
    ("once", "twice thrice"),
    ("north", "south"),
    ("east", "west"),
    ("northern", "southern"),
    ("eastern", "western"),
    ("open", "close closed"),
    ("win won victory", "lose lost defeat"),
)
_META_WORDS = (
    "yes no sure okay certainly here following follows below steps answer answers question document documents passages"
    " passage text source sources according says say said states stated mention mentions mentioned describes described"
    " information based provided summary overall conclusion also however therefore additionally note"
)


@cache
def _meta_terms() -> frozenset[str]:
    """Return the terms with which an answer refers to itself or to its sources."""
    return frozenset(analyze(_META_WORDS))


@cache
def _opposite_terms() -> list[tuple[frozenset[str], frozenset[str]]]:
    """Return pairs of term sets that contradict each other."""
    return [(frozenset(analyze(first)), frozenset(analyze(second))) for first, second in _OPPOSITE_WORDS]


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
        claim = TextFacts(sentence)
        claim_terms = [term for term in dict.fromkeys(extract_content_terms(claim.text)) if term not in _meta_terms()]
        new_terms = [term for term in claim_terms if term not in self._all_question_terms]
        if not cited:
            return "unsupported" if self._needs_source(claim, new_terms) else "not_checked"
        cited_texts = [TextFacts(passage.sentences[number - 1].text) for passage, number in cited]
        if any(claim.normalized and claim.normalized == text.normalized for text in cited_texts):
            return "supported"
        heading_texts = [TextFacts(f"{passage.title}\n{passage.heading}") for passage, _ in cited]
        passage_texts = [self._passage_texts[passage.id] for passage, _ in cited]
        if not (self._facts_present(claim, [*cited_texts, *heading_texts]) and self._is_consistent(claim, cited_texts)):
            return "unsupported"
        if units_conflict(claim, cited_texts):
            return "unsupported"
        unknown_names = self._find_unknown_names(claim, [*cited_texts, *heading_texts])
        if unknown_names and _name_was_swapped(claim, unknown_names, cited_texts, passage_texts):
            return "unsupported"
        coverage = max(
            self._compute_coverage(claim, new_terms, texts) for texts in zip(cited_texts, heading_texts, strict=True)
        )
        topic_overlap = self._compute_topic_overlap(claim_terms, cited)
        if _is_paraphrase_too_free(coverage, topic_overlap, len(new_terms)):
            return "unsupported"
        if self._compute_question_coverage(claim_terms) >= MIN_QUESTION_COVERAGE and not can_answer(
            self._question.text, claim.text, new_terms
        ):
            return "unsupported"
        question_facts_present = self._question_facts_present(claim, [*heading_texts, *passage_texts])
        if (
            coverage < MIN_SUPPORTED_SHARE
            and topic_overlap < MIN_TOPIC_OVERLAP_NO_NEW_TERMS
            and not question_facts_present
        ):
            return "unsupported"
        is_fully_supported = (
            claim_terms and coverage >= MIN_SUPPORTED_SHARE and question_facts_present and not unknown_names
        )
        return "supported" if is_fully_supported and self._years_agree(claim, cited_texts) else "partial"

    def _needs_source(self, claim: TextFacts, new_terms: Sequence[str]) -> bool:
        """Return whether a sentence states a fact that needs a source; an introduction to others does not."""
        if any(number not in self._question.numbers for number in claim.checkable_numbers):
            return True
        if any(not self._question.contains_name(name) for name in claim.names):
            return True
        return bool(new_terms) and not claim.text.rstrip().endswith((":", "："))

    def _facts_present(self, claim: TextFacts, texts: Sequence[TextFacts]) -> bool:
        """Return whether every number and name of the claim that is not in the question is in the cited texts."""
        numbers = (number for number in claim.checkable_numbers if number not in self._question.numbers)
        names = (name for name in claim.names if not self._question.contains_name(name))
        return all(any(number in text.numbers for text in texts) for number in numbers) and all(
            any(text.contains_name(name) for text in texts) for name in names
        )

    def _question_facts_present(self, claim: TextFacts, texts: Sequence[TextFacts]) -> bool:
        """Return whether every number and name of the claim that is in the question is in the passage, in any form."""
        numbers = (number for number in claim.checkable_numbers if number in self._question.numbers)
        names = (name for name in claim.names if self._question.contains_name(name))
        return all(any(number in text.numbers for text in texts) for number in numbers) and all(
            any(text.contains_name(name) or text.contains_similar_name(name) for text in texts) for name in names
        )

    def _find_unknown_names(self, claim: TextFacts, texts: Sequence[TextFacts]) -> list[str]:
        """Return the capitalised first words of sentences, possibly names, that neither question nor texts contain."""
        known_terms = self._all_question_terms.union(_meta_terms(), *(text.terms for text in texts))
        return [
            word
            for word in claim.sentence_initial_words
            if not (
                known_terms.issuperset(extract_content_terms(word))
                or any(text.contains_name(word) for text in texts)
                or starts_with_number_word(word)
            )
        ]

    def _is_consistent(self, claim: TextFacts, cited_texts: Sequence[TextFacts]) -> bool:
        """Return whether claim and cited texts do not contradict each other: negation, counts, opposite words."""
        closest = max(cited_texts, key=lambda text: len(claim.terms & text.terms))
        if _NEGATION.search(claim.text) and not any(_NEGATION.search(text.text) for text in cited_texts):
            return bool(_NEGATION.search(self._question.text))
        if not _NEGATION.search(claim.text) and _negated_terms(closest.text) & (claim.terms - self._all_question_terms):
            return False
        if counts_conflict(claim, closest):
            return False
        return not any(
            _are_opposed(claim.terms - closest.terms, closest.terms - claim.terms, pair) for pair in _opposite_terms()
        )

    def _years_agree(self, claim: TextFacts, cited_texts: Sequence[TextFacts]) -> bool:
        """Return whether the texts give each number for the same year as the claim, or as question and claim."""
        dated_claim = claim if claim.number_years else TextFacts(f"{self._question.text}\n{claim.text}")
        return not any(years_conflict(dated_claim, text) for text in cited_texts) or any(
            dated_claim.number_years <= text.number_years for text in cited_texts
        )

    def _compute_coverage(self, claim: TextFacts, new_terms: Sequence[str], texts: Sequence[TextFacts]) -> float:
        """Return the share of the claim's new words that are in the texts; numbers and names count in any form."""
        numbers = (written for value, written in claim.number_mentions if any(value in text.numbers for text in texts))
        names = (name for name in claim.names if any(text.contains_name(name) for text in texts))
        present = frozenset[str]().union(*(text.terms for text in texts), *map(analyze, numbers), *map(analyze, names))
        return sum(term in present for term in new_terms) / len(new_terms) if new_terms else 1.0

    def _compute_question_coverage(self, claim_terms: Sequence[str]) -> float:
        """Return the weighted share of the question's words that a claim repeats."""
        question_terms = {term for term in self._question_terms if term not in _meta_terms()}
        total = sum(map(self._term_weight, question_terms))
        return sum(map(self._term_weight, question_terms.intersection(claim_terms))) / total if total else 0.0

    def _compute_topic_overlap(self, claim_terms: Sequence[str], cited: CitedSentences) -> float:
        """Return the weighted share of the claim's question words in the best cited sentence, from 0 to 1.5.

        A word in the cited sentence counts 1.5, a word that is only in an adjacent sentence counts 0.5.
        """
        shared_terms = [term for term in claim_terms if term in self._all_question_terms]
        if not shared_terms and len(claim_terms) <= _MAX_SHORT_CLAIM_WORDS:
            shared_terms = [term for term in self._question.terms if term not in _meta_terms() and self._idf.get(term)]
        total = sum(map(self._term_weight, shared_terms))
        return (
            max(self._sum_covered_weight(shared_terms, passage, number) for passage, number in cited) / total
            if total
            else 1.0
        )

    def _sum_covered_weight(self, shared_terms: Sequence[str], passage: Passage, number: int) -> float:
        sentence_terms = frozenset(passage.sentences[number - 1].terms)
        nearby_sentences = passage.sentences[max(0, number - 2) : number + 1]
        nearby_terms = sentence_terms.union(*(sentence.terms for sentence in nearby_sentences))
        return sum(
            self._term_weight(term) * ((term in sentence_terms) + 0.5 * (term in nearby_terms)) for term in shared_terms
        )

    def _term_weight(self, term: str) -> float:
        return self._idf.get(term, _UNKNOWN_TERM_WEIGHT * self._max_idf)


def _is_paraphrase_too_free(coverage: float, topic_overlap: float, new_term_count: int) -> bool:
    """Return whether too few of a claim's new words, or of its question words, are in the cited text."""
    min_coverage = MIN_PARTIAL_SHARE if new_term_count > _MAX_SHORT_CLAIM_WORDS else MIN_PARTIAL_SHARE_OF_SHORT_CLAIM
    min_topic_overlap = MIN_TOPIC_OVERLAP if new_term_count else MIN_TOPIC_OVERLAP_NO_NEW_TERMS
    return coverage < min_coverage or topic_overlap < min_topic_overlap


def _name_was_swapped(
    claim: TextFacts, unknown_names: Sequence[str], cited_texts: Sequence[TextFacts], passage_texts: Sequence[TextFacts]
) -> bool:
    """Return whether a claim has another word in the place of a name of the cited text, before the same words."""
    names = {name.casefold() for text in (*cited_texts, *passage_texts) for name in text.names}
    missing_names = names.difference(claim.words)
    return any(not missing_names.isdisjoint(text.find_substitutions(unknown_names, claim)) for text in cited_texts)


def _negated_terms(text: str) -> frozenset[str]:
    """Return the two terms after each negation."""
    return frozenset(
        term
        for match in _NEGATION.finditer(text)
        for term in extract_content_terms(text[match.end() : match.end() + 40])[:2]
    )


def _are_opposed(first: Set[str], second: Set[str], pair: tuple[frozenset[str], frozenset[str]]) -> bool:
    return bool((first & pair[0] and second & pair[1]) or (first & pair[1] and second & pair[0]))
