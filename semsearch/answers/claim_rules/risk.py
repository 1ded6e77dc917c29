"""Estimate from its signs whether a claim says something else than its evidence: a logistic regression.

The weights are fitted to written claims about manuals (`development.jsonl` and `fitting.jsonl` of `scripts/bench Q14`)
and to a sample of the claims of both halves of Q5. No weight may be negative: each sign can only speak against a claim.
Similarities of word vectors were measured without gain: paraphrases are seldom similar word by word.
"""

from collections.abc import Mapping

from .conflicts import Conflict, Rule

WEIGHTS = {
    "negation": 1.9,
    "negation_of_new_word": 0.6,
    "opposite": 2.2,
    "roles": 1.0,
    "words_exchanged": 1.0,
    "bound": 1.0,
    "modality": 1.2,
    "quantifier": 1.1,
    "word_exchanged": 1.0,
    "word_added": 1.5,
    "rule_in_copy": 3.7,
    "few_words": 1.2,
    "exchanged_parts": 3.6,
    "dropped_condition": 0.7,
    "negation_edit": 2.1,
    "quantifier_edit": 1.2,
    "other_word": 1.3,
    "moved_word": 2.4,
    "new_word": 1.6,
    "displaced_words": 4.3,
    "new_words": 1.2,
    "moved_relation": 3.1,
    "lost_negation": 0.8,
    "far_pairs": 0.9,
    "far_pairs_in_copy": 3.7,
    "reordered_copy": 6.0,
}
"""The weight of each sign, and of each broken rule."""

_BIAS = -3.0
MAX_RISK = -0.15
"""The highest logarithm of the odds with which a claim is accepted."""


def judge_signs(signs: Mapping[str, float], broken_rules: Mapping[Rule, Conflict]) -> Conflict | None:
    """Return the verdict if the signs together weigh too much: that of the first broken rule; else None."""
    if _BIAS + sum(WEIGHTS[name] * value for name, value in signs.items()) <= MAX_RISK:
        return None
    is_reversed = signs["exchanged_parts"] or signs["negation_edit"]
    return next(iter(broken_rules.values()), "contradicted" if is_reversed else "unsupported")
