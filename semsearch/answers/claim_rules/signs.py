"""Measure the signs that a claim says something else than its evidence.

No sign decides by itself. Free wording breaks rules too; in a near copy of the evidence, the same is a change of
meaning. So most signs count in the degree to which the claim is a copy. That a claim is a copy is no sign.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
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

_NUMBER_WORDS = frozenset(
    "minus hundred thousand million billion trillion percent euro euros dollar dollars pound pounds".split()
)
"""Words that numbers are written with; digits and signs may stand for them."""

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
    copy = _scale(alignment.share)
    exchanged = max(0.0, compute_share_after_exchange(comparison) - _MIN_EXCHANGED_SHARE) / (1 - _MIN_EXCHANGED_SHARE)
    edits = {name: min(count, _MAX_COUNT) * copy for name, count in _count_edits(alignment, comparison).items()}
    shares = _measure_words(alignment, comparison, known_terms)
    return {
        **{rule: 1.0 for rule in broken_rules},
        "rule_in_copy": max(copy, _scale(_compute_ordered_share(comparison))) if broken_rules else 0.0,
        "few_words": float(has_few_words),
        "exchanged_parts": exchanged,
        "dropped_condition": float(find_dropped_condition(comparison)),
        **edits,
        **{name: share * copy for name, share in shares.items()},
        **_measure_coherence(comparison),
    }


def _scale(share: float) -> float:
    """Return to what degree a claim is a copy, from 0 to 1."""
    return max(0.0, share - _MIN_COPY_SHARE) / (1 - _MIN_COPY_SHARE)


def _count_edits(alignment: Alignment, comparison: Comparison) -> dict[str, int]:
    """Return how often a gap of the alignment has a changed negation or quantifier, another word or a new one."""
    counts = dict.fromkeys(("negation_edit", "quantifier_edit", "other_word", "moved_word", "new_word"), 0)
    negations = 0
    for gap in alignment.gaps():
        claim_forms, forms = ({word.form for word in words} for words in (gap.claim, gap.evidence))
        negations += _count_negations(gap.claim) - _count_negations(gap.evidence)
        counts["quantifier_edit"] += claim_forms & QUANTIFIERS != forms & QUANTIFIERS
        content = [word for word in gap.claim if _is_checked(word, comparison)]
        unknown = [word for word in content if not comparison.covers(word)]
        replaced = [word for word in gap.evidence if word.is_content and not comparison.claim.covers(word)]
        if content and replaced and len(gap.claim) <= _MAX_REPLACED_WORDS:
            counts["other_word" if unknown else "moved_word"] += 1
        elif unknown:
            counts["new_word"] += 1
    counts["negation_edit"] = abs(negations) % 2
    return counts


def _count_negations(words: Sequence[Word]) -> int:
    """Return the number of negations that are words of their own: "non" is part of one."""
    return sum(word.is_negation and word.form != "non" for word in words)


def _measure_words(alignment: Alignment, comparison: Comparison, known_terms: frozenset[str]) -> dict[str, float]:
    """Return the shares of the claim's content words that are new or displaced, and two signs of the whole claim."""
    content_count = max(1, len(comparison.claim.content))
    unpaired = alignment.unpaired
    displaced = [word for word in unpaired if _is_checked(word, comparison) and comparison.covers(word)]
    is_relating_word_moved = any(
        word.form in _RELATING_WORDS - comparison.given.forms and word.form in comparison.evidence_forms
        for word in unpaired
    )
    new = [word for word in comparison.claim.content if _is_new(word, comparison, known_terms)]
    return {
        "displaced_words": len(displaced) / content_count,
        "new_words": len(new) / content_count,
        "moved_relation": float(is_relating_word_moved and not displaced),
        "lost_negation": float(not comparison.claim.negation_count and comparison.closest.negation_count > 0),
    }


def _is_number(word: Word) -> bool:
    return word.form[0].isdigit() or word.stem.isdigit() or word.form in _NUMBER_WORDS


def _is_checked(word: Word, comparison: Comparison) -> bool:
    """Return whether a word needs evidence; a number is compared elsewhere, in all its notations."""
    return word.is_content and not (_is_number(word) or word.term in comparison.given.terms)


def _is_new(word: Word, comparison: Comparison, known_terms: frozenset[str]) -> bool:
    is_known = word.term in comparison.question.terms or word.term in known_terms or _is_number(word)
    return not (is_known or comparison.covers(word))


def _measure_coherence(comparison: Comparison) -> dict[str, float]:
    """Return how many adjacent words of the claim stand far apart in its evidence, and how far a copy is reordered."""
    far = _compute_far_share(comparison)
    copied = _compute_copied_share(comparison)
    return {
        "far_pairs": far,
        "far_pairs_in_copy": far * copied,
        "reordered_copy": (1 - _compute_ordered_share(comparison)) * copied,
    }


def _compute_ordered_share(comparison: Comparison) -> float:
    """Return the share of the claim's content words, without those of the question, that a sentence has in order."""
    terms = [word.term for word in comparison.claim.content if _is_checked(word, comparison)]
    if not terms:
        return 1.0
    return max(
        count_common(terms, index_words([word.term for word in statement.content])) for statement in comparison.evidence
    ) / len(terms)


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
    pairs = [
        (first, second)
        for first, second in pairwise(comparison.claim.content)
        if first.clause == second.clause and _is_checked(first, comparison) and _is_checked(second, comparison)
    ]
    return sum(_stand_apart(places.get(first.term, 0), places.get(second.term, 0)) for first, second in pairs) / max(
        1, len(pairs)
    )


def _stand_apart(first: int, second: int) -> bool:
    """Return whether no place of the first is near one of the second; not if one of them has none."""
    near = 0
    for distance in range(_NEARBY_WORDS + 1):
        near |= first << distance | first >> distance
    return bool(first and second and not near & second)


def _find_places(comparison: Comparison) -> dict[str, int]:
    """Return the places of each content word over all cited sentences, as the bits of a number."""
    places: dict[str, int] = {}
    start = 0
    for statement in comparison.evidence:
        for term, bits in index_words(word.term for word in statement.content).items():
            places[term] = places.get(term, 0) | bits << start
        start += len(statement.content) + _SENTENCE_DISTANCE
    return places
