"""Apply the rules to a claim and its evidence."""

from typing import Literal

from .bounds import find_bound_conflict, find_bounds
from .comparison import Comparison
from .exchanges import are_words_exchanged
from .modality import has_modality_conflict
from .negation import has_negation_conflict
from .opposites import has_opposite_word
from .quantifiers import has_stronger_quantifier
from .roles import are_roles_reversed
from .substitutions import find_exchanged_word
from .texts import ClaimTexts

Conflict = Literal["contradicted", "unsupported"]


def find_general_conflict(comparison: Comparison) -> Conflict | None:
    """Return the verdict of the rules for every language, negation and opposite words; None if it breaks none."""
    return "contradicted" if has_negation_conflict(comparison) or has_opposite_word(comparison) else None


def find_conflict(texts: ClaimTexts, comparison: Comparison, known_terms: frozenset[str]) -> Conflict | None:
    """Return the verdict of the first rule that an English claim breaks; None if it breaks none."""
    if find_general_conflict(comparison) or are_roles_reversed(comparison) or are_words_exchanged(comparison):
        return "contradicted"
    bound_conflict = find_bound_conflict(
        find_bounds(texts.claim.text), [find_bounds(text.text) for text in texts.cited]
    )
    if bound_conflict:
        return "contradicted" if bound_conflict == "opposite" else "unsupported"
    if has_modality_conflict(comparison) or has_stronger_quantifier(comparison):
        return "unsupported"
    new_word = find_exchanged_word(comparison, known_terms)
    return None if not new_word else "contradicted" if new_word == "exchanged" else "unsupported"
