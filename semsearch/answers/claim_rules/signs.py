"""Measure the signs that a claim says something else than its evidence.

No sign decides by itself. Free wording breaks rules too; in a near copy of the evidence, the same is a change of
meaning. So most signs count in the degree to which the claim is a copy. That a claim is a copy is no sign.
"""

from collections.abc import Iterator, Mapping, Set
from itertools import pairwise

from .alignment import Alignment, align_with_closest, count_common, index_words
from .comparison import Comparison
from .conditions import find_dropped_condition
from .conflicts import Rule
from .quantifiers import QUANTIFIERS
from .statements import NEGATIONS, Statement, Word
from .word_order import compute_share_after_exchange

_MIN_COPY_SHARE = 0.5
"""With this share of its words in the order of the evidence, a claim begins to be a copy."""

_MIN_EXCHANGED_SHARE = 0.7
"""The same for a claim with two parts exchanged."""

_MAX_COUNT = 2
"""Edits of one kind that count."""

_MAX_REPLACED_WORDS = 4
"""Words of a claim that may stand for others; more are a phrase of its own."""

_NEARBY_WORDS = 3
"""Content words of the evidence within which two words stand together."""

_SENTENCE_DISTANCE = 20
"""Content words that words of different sentences are apart at least."""

_RELATING_WORDS = NEGATIONS | frozenset(
    "when if because since before after until only than from to by while once".split()
)
"""Function words that relate what follows them to the rest."""


def measure_signs(
    comparison: Comparison, broken_rules: Set[Rule], known_terms: frozenset[str], *, has_few_words: bool
) -> Mapping[str, float]:
    """Return the signs, each at least 0; names and weights are those of `risk.WEIGHTS`.

    `known_terms` need no evidence; `has_few_words` says that too few words of the claim are in its evidence.
    """
    alignment = align_with_closest(comparison)
    copy = max(0.0, alignment.share - _MIN_COPY_SHARE) / (1 - _MIN_COPY_SHARE)
    exchanged = max(0.0, compute_share_after_exchange(comparison) - _MIN_EXCHANGED_SHARE) / (1 - _MIN_EXCHANGED_SHARE)
    edits = {name: min(count, _MAX_COUNT) * copy for name, count in _count_edits(alignment, comparison).items()}
    shares = _measure_words(alignment, comparison, known_terms)
    return {
        **{rule: 1.0 for rule in broken_rules},
        "rule_in_copy": copy if broken_rules else 0.0,
        "few_words": float(has_few_words),
        "exchanged_parts": exchanged,
        "dropped_condition": float(find_dropped_condition(comparison)),
        **edits,
        **{name: share * copy for name, share in shares.items()},
        **_measure_coherence(comparison),
    }


def _count_edits(alignment: Alignment, comparison: Comparison) -> dict[str, int]:
    """Return how often a gap of the alignment has a changed negation or quantifier, another word or a new one."""
    counts = dict.fromkeys(("negation_edit", "quantifier_edit", "other_word", "moved_word", "new_word"), 0)
    for gap in alignment.gaps():
        claim_forms, forms = ({word.form for word in words} for words in (gap.claim, gap.evidence))
        negation_count = sum(word.is_negation for word in (*gap.claim, *gap.evidence))
        counts["negation_edit"] += negation_count % 2
        counts["quantifier_edit"] += claim_forms & QUANTIFIERS != forms & QUANTIFIERS
        content = [word for word in gap.claim if word.is_content and word.term not in comparison.given.terms]
        unknown = [word for word in content if not comparison.covers(word)]
        replaced = [word for word in gap.evidence if word.is_content and not comparison.claim.covers(word)]
        if content and replaced and len(gap.claim) <= _MAX_REPLACED_WORDS:
            counts["other_word" if unknown else "moved_word"] += 1
        elif unknown:
            counts["new_word"] += 1
    return counts


def _measure_words(
    alignment: Alignment, comparison: Comparison, known_terms: frozenset[str]
) -> dict[str, float]:
    """Return the shares of the claim's content words that are new or displaced, and two signs of the whole claim."""
    content_count = max(1, len(comparison.claim.content))
    unpaired = alignment.unpaired
    displaced = [
        word
        for word in unpaired
        if word.is_content and word.term not in comparison.given.terms and comparison.covers(word)
    ]
    is_relating_word_moved = any(
        word.form in _RELATING_WORDS - comparison.given.forms and word.form in comparison.evidence_forms for word in unpaired
    )
    new = [word for word in comparison.claim.content if _is_new(word, comparison, known_terms)]
    return {
        "displaced_words": len(displaced) / content_count,
        "new_words": len(new) / content_count,
        "moved_relation": float(is_relating_word_moved and not displaced),
        "lost_negation": float(not comparison.claim.negation_count and comparison.closest.negation_count > 0),
    }


def _is_new(word: Word, comparison: Comparison, known_terms: frozenset[str]) -> bool:
    is_known = word.term in comparison.question.terms or word.term in known_terms or word.form[0].isdigit()
    return not (is_known or comparison.covers(word))


def _measure_coherence(comparison: Comparison) -> dict[str, float]:
    """Return how many adjacent words of the claim stand far apart in its evidence, and how far a copy is reordered."""
    far = _compute_far_share(comparison)
    copied = _compute_copied_share(comparison)
    terms = [word.term for word in comparison.claim.content if word.term not in comparison.given.terms]
    ordered = max(
        count_common(terms, index_words([word.term for word in statement.content])) for statement in comparison.evidence
    )
    return {
        "far_pairs": far,
        "far_pairs_in_copy": far * copied,
        "reordered_copy": (1 - ordered / len(terms)) * copied if terms else 0.0,
    }


def _compute_copied_share(comparison: Comparison) -> float:
    """Return the share of the claim's pairs of adjacent words that are adjacent in its evidence."""
    known = {pair for statement in comparison.evidence for pair in _pair_terms(statement)}
    pairs = list(_pair_terms(comparison.claim))
    return sum(pair in known for pair in pairs) / max(1, len(pairs))


def _pair_terms(statement: Statement) -> Iterator[tuple[str, str]]:
    return pairwise(word.term for word in statement.words)


def _compute_far_share(comparison: Comparison) -> float:
    """Return the share of pairs of adjacent content words of one clause that are in the evidence, but not together."""
    places = _find_places(comparison)
    given = comparison.given.terms
    pairs = [
        (first, second)
        for first, second in pairwise(comparison.claim.content)
        if first.clause == second.clause and not (first.term in given or second.term in given)
    ]
    far = 0
    for first, second in pairs:
        distances = [abs(x - y) for x in places.get(first.term, ()) for y in places.get(second.term, ())]
        far += bool(distances) and first.term != second.term and min(distances) > _NEARBY_WORDS
    return far / max(1, len(pairs))


def _find_places(comparison: Comparison) -> dict[str, list[int]]:
    """Return the places of each content word over all cited sentences."""
    places: dict[str, list[int]] = {}
    start = 0
    for statement in comparison.evidence:
        for index, word in enumerate(statement.content, start):
            places.setdefault(word.term, []).append(index)
        start += len(statement.content) + _SENTENCE_DISTANCE
    return places
