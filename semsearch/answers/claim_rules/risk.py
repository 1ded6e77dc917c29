"""Estimate from its signs whether a claim says something else than its evidence: a logistic regression.

The weights are fitted to written claims about manuals (the development half of `scripts/bench Q14`, and further ones)
and to claims made from questions and answers (Q5). No weight may be negative: each sign can only speak against a claim.
"""

from collections.abc import Mapping

from .conflicts import Conflict, Rule

WEIGHTS = {
    "negation": 2.0,
    "negation_of_new_word": 1.0,
    "opposite": 2.5,
    "roles": 0.0,
    "words_exchanged": 1.0,
    "bound": 1.0,
    "modality": 1.4,
    "quantifier": 1.2,
    "word_exchanged": 0.2,
    "word_added": 1.5,
    "rule_in_copy": 4.9,
    "few_words": 0.9,
    "exchanged_parts": 3.9,
    "dropped_condition": 0.9,
    "negation_edit": 2.2,
    "quantifier_edit": 1.2,
    "other_word": 0.9,
    "moved_word": 1.6,
    "new_word": 1.3,
    "displaced_words": 3.8,
    "new_words": 1.1,
    "moved_relation": 2.4,
    "lost_negation": 1.1,
    "far_pairs": 0.4,
    "far_pairs_in_copy": 3.8,
    "reordered_copy": 4.7,
}
"""The weight of each sign, and of each broken rule."""

_BIAS = -2.5
MAX_RISK = -0.35
"""The highest logarithm of the odds with which a claim is accepted."""


def judge_signs(signs: Mapping[str, float], broken_rules: Mapping[Rule, Conflict]) -> Conflict | None:
    """Return the verdict if the signs together weigh too much: that of the first broken rule; else None."""
    if _BIAS + sum(WEIGHTS[name] * value for name, value in signs.items()) <= MAX_RISK:
        return None
    is_reversed = signs["exchanged_parts"] or signs["negation_edit"]
    return next(iter(broken_rules.values()), "contradicted" if is_reversed else "unsupported")
