"""Says whether the sentences that an answer cites support what it says: numbers, names, negation, then the words.

Deterministic and fast: no model is asked. It finds what is not there; that two texts mean the same it cannot know, so a
free paraphrase is "partial". A claim's numbers and names must stand in the cited text, whatever else fits.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache

from ..core.types.answers import AnalyzedQuery, Passage, SupportVerdict
from ..text.analyzer import analyze, extract_content_terms
from ..text.answer_types import can_answer
from ..text.entities import TextFacts, counts_conflict, units_conflict, years_conflict
from ..text.numbers import starts_with_number_word

MIN_SUPPORTED_SHARE = 0.9
"""Share of the words that a claim adds to the question which one cited sentence must hold."""

MIN_PARTIAL_SHARE = 0.5
"""With less than that it says something else; the rest may be other words for the same."""

MIN_PARTIAL_SHARE_OF_SHORT_CLAIM = 0.67
"""The same for a claim of a few words, such as an answer without its question."""

MIN_TOPIC_OVERLAP = 0.08
"""Share of the question's words in a claim that the cited sentence must hold, or the sentences beside it."""

MIN_TOPIC_OVERLAP_NO_NEW_TERMS = 0.5
"""The same for a claim that adds no word to the question, so that nothing else tells whether it is right; and for one
in other words about a name of the question that the whole passage lacks."""

MIN_RESTATED_SHARE = 0.6
"""Share of the question's words that a claim repeats if it means to answer it; what else it says may be of any kind."""

_MAX_SHORT_CLAIM_WORDS = 3
"""Words of a claim that are an answer without its question."""

_UNKNOWN_TERM_WEIGHT = 1.0
"""Of a word that is not in the question, against the heaviest that is."""

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
    """Terms with which an answer speaks of itself."""
    return frozenset(analyze(_META_WORDS))


@cache
def _opposite_terms() -> list[tuple[frozenset[str], frozenset[str]]]:
    """Terms that deny each other."""
    return [(frozenset(analyze(one)), frozenset(analyze(other))) for one, other in _OPPOSITE_WORDS]


CitedSentences = Sequence[tuple[Passage, int]]


class SupportJudge:
    """Judges the sentences of one answer: `citations.Judge`."""

    def __init__(self, question: AnalyzedQuery, passages: Sequence[Passage]) -> None:
        self._question = TextFacts(question.text)
        self._all_question_terms = frozenset(question.terms) | self._question.terms
        self._question_terms = question.terms
        self._idf = question.idf
        self._max_idf = max(question.idf.values(), default=1.0) or 1.0
        self._passage_texts = {
            passage.id: TextFacts(
                f"{passage.title}\n{passage.heading}\n" + "\n".join(one.text for one in passage.sentences)
            )
            for passage in passages
        }

    def __call__(self, sentence: str, cited: CitedSentences) -> SupportVerdict:
        """What the cited sentences, each by its passage and number, make of a sentence without its markers."""
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
            self._compute_coverage(claim, new_terms, pair) for pair in zip(cited_texts, heading_texts, strict=True)
        )
        topic_overlap = self._compute_topic_overlap(claim_terms, cited)
        min_coverage = (
            MIN_PARTIAL_SHARE if len(new_terms) > _MAX_SHORT_CLAIM_WORDS else MIN_PARTIAL_SHARE_OF_SHORT_CLAIM
        )
        if coverage < min_coverage or topic_overlap < (
            MIN_TOPIC_OVERLAP if new_terms else MIN_TOPIC_OVERLAP_NO_NEW_TERMS
        ):
            return "unsupported"
        if self._compute_restated_share(claim_terms) >= MIN_RESTATED_SHARE and not can_answer(
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
        """Whether a sentence says something that would need a source; one that leads over to others does not."""
        if any(count not in self._question.numbers for count in claim.checkable_numbers):
            return True
        if any(not self._question.contains_name(name) for name in claim.names):
            return True
        return bool(new_terms) and not claim.text.rstrip().endswith((":", "："))

    def _facts_present(self, claim: TextFacts, texts: Sequence[TextFacts]) -> bool:
        """Whether every number and name that the question did not bring stands in what is cited."""
        numbers = (each for each in claim.checkable_numbers if each not in self._question.numbers)
        names = (each for each in claim.names if not self._question.contains_name(each))
        return all(any(each in text.numbers for text in texts) for each in numbers) and all(
            any(text.contains_name(each) for text in texts) for each in names
        )

    def _question_facts_present(self, claim: TextFacts, texts: Sequence[TextFacts]) -> bool:
        """Whether every number and name that the question did bring stands in the passage, in this form or another."""
        numbers = (each for each in claim.checkable_numbers if each in self._question.numbers)
        names = (each for each in claim.names if self._question.contains_name(each))
        return all(any(each in text.numbers for text in texts) for each in numbers) and all(
            any(text.contains_name(each) or text.contains_similar_name(each) for text in texts) for each in names
        )

    def _find_unknown_names(self, claim: TextFacts, texts: Sequence[TextFacts]) -> list[str]:
        """Words that may be names, or have a capital only because they begin a sentence, and that nothing near has."""
        known = self._all_question_terms.union(_meta_terms(), *(text.terms for text in texts))
        return [
            word
            for word in claim.sentence_initial_words
            if not (
                known.issuperset(extract_content_terms(word))
                or any(text.contains_name(word) for text in texts)
                or starts_with_number_word(word)
            )
        ]

    def _is_consistent(self, claim: TextFacts, cited_texts: Sequence[TextFacts]) -> bool:
        """Whether neither denies what the other says."""
        best = max(cited_texts, key=lambda text: len(claim.terms & text.terms))
        if _NEGATION.search(claim.text) and not any(_NEGATION.search(text.text) for text in cited_texts):
            return bool(_NEGATION.search(self._question.text))
        if not _NEGATION.search(claim.text) and _negated_terms(best.text) & (claim.terms - self._all_question_terms):
            return False
        if counts_conflict(claim, best):
            return False
        return not any(
            _are_opposed(claim.terms - best.terms, best.terms - claim.terms, pair) for pair in _opposite_terms()
        )

    def _years_agree(self, claim: TextFacts, cited_texts: Sequence[TextFacts]) -> bool:
        """Whether each number belongs to the year of the claim, or of the question, where the texts tell."""
        whole = claim if claim.number_years else TextFacts(f"{self._question.text}\n{claim.text}")
        return not any(years_conflict(whole, text) for text in cited_texts) or any(
            whole.number_years <= text.number_years for text in cited_texts
        )

    def _compute_coverage(self, claim: TextFacts, new_terms: Sequence[str], texts: Sequence[TextFacts]) -> float:
        """The share of the words that a claim adds to the question that are present, numbers and names in any form."""
        numbers = (written for value, written in claim.number_mentions if any(value in text.numbers for text in texts))
        names = (name for name in claim.names if any(text.contains_name(name) for text in texts))
        present = frozenset[str]().union(*(text.terms for text in texts), *map(analyze, numbers), *map(analyze, names))
        return sum(term in present for term in new_terms) / len(new_terms) if new_terms else 1.0

    def _compute_restated_share(self, claim_terms: Sequence[str]) -> float:
        """The share of the question's words, by weight, that a claim repeats: such a claim says that it answers it."""
        question_terms = {term for term in self._question_terms if term not in _meta_terms()}
        total = sum(map(self._term_weight, question_terms))
        return sum(map(self._term_weight, question_terms.intersection(claim_terms))) / total if total else 0.0

    def _compute_topic_overlap(self, claim_terms: Sequence[str], cited: CitedSentences) -> float:
        """The share of the question's words in a claim, by weight, that the cited sentence holds, and half that for
        those that the sentences beside it hold."""
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
        nearby_terms = sentence_terms.union(*(one.terms for one in passage.sentences[max(0, number - 2) : number + 1]))
        return sum(
            self._term_weight(term) * ((term in sentence_terms) + 0.5 * (term in nearby_terms)) for term in shared_terms
        )

    def _term_weight(self, term: str) -> float:
        return self._idf.get(term, _UNKNOWN_TERM_WEIGHT * self._max_idf)


def _name_was_swapped(
    claim: TextFacts, unknown_names: Sequence[str], cited_texts: Sequence[TextFacts], passage_texts: Sequence[TextFacts]
) -> bool:
    """Whether a claim begins with another word where the cited text has a name, and goes on as it does there."""
    named = {name.casefold() for text in (*cited_texts, *passage_texts) for name in text.names}.difference(claim.words)
    return any(not named.isdisjoint(text.find_substitutions(unknown_names, claim)) for text in cited_texts)


def _negated_terms(text: str) -> frozenset[str]:
    """The terms right after a word that denies."""
    return frozenset(
        term
        for match in _NEGATION.finditer(text)
        for term in extract_content_terms(text[match.end() : match.end() + 40])[:2]
    )


def _are_opposed(one: Iterable[str], other: Iterable[str], pair: tuple[frozenset[str], frozenset[str]]) -> bool:
    first, second = set(one), set(other)
    return bool((first & pair[0] and second & pair[1]) or (first & pair[1] and second & pair[0]))
