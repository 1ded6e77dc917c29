"""Apply the rules to a claim and its evidence."""

from typing import Literal

from .bounds import find_bound_conflict, find_bounds
from .comparison import Comparison
from .exchanges import are_words_exchanged
from .modality import has_modality_conflict
from .negation import denies_new_word, has_negation_conflict
from .opposites import has_opposite_word
from .quantifiers import has_stronger_quantifier
from .roles import are_roles_reversed
from .substitutions import find_exchanged_word
from .texts import ClaimTexts

Conflict = Literal["contradicted", "unsupported"]
Rule = Literal[
    "negation", "negation_of_new_word", "opposite", "roles", "words_exchanged", "bound", "modality", "quantifier",
    "word_exchanged", "word_added",
]  # fmt: skip


def find_general_conflict(comparison: Comparison) -> Conflict | None:
    """Return the verdict of the rules for every language, negation and opposite words; None if it breaks none."""
    return "contradicted" if has_negation_conflict(comparison) or has_opposite_word(comparison) else None


def find_broken_rules(texts: ClaimTexts, comparison: Comparison, known_terms: frozenset[str]) -> dict[Rule, Conflict]:
    """Return the rules that an English claim breaks, with their verdicts, the strongest first."""
    broken: dict[Rule, Conflict] = {}
    if has_negation_conflict(comparison):
        broken["negation_of_new_word" if denies_new_word(comparison) else "negation"] = "contradicted"
    if has_opposite_word(comparison):
        broken["opposite"] = "contradicted"
    if are_roles_reversed(comparison):
        broken["roles"] = "contradicted"
    if are_words_exchanged(comparison):
        broken["words_exchanged"] = "contradicted"
    if bound := find_bound_conflict(find_bounds(texts.claim.text), [find_bounds(text.text) for text in texts.cited]):
        broken["bound"] = "contradicted" if bound == "opposite" else "unsupported"
    if has_modality_conflict(comparison):
        broken["modality"] = "unsupported"
    if has_stronger_quantifier(comparison):
        broken["quantifier"] = "unsupported"
    if new_word := find_exchanged_word(comparison, known_terms):
        rule: Rule = "word_exchanged" if new_word == "exchanged" else "word_added"
        broken[rule] = "contradicted" if new_word == "exchanged" else "unsupported"
    return broken
