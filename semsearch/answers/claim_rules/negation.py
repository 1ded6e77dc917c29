"""Compare what a claim and its evidence deny."""

from collections.abc import Mapping

from .comparison import Comparison
from .statements import Statement

_OPTIONAL = frozenset(("optional", "optionally", "voluntary"))
_MIN_EQUAL_CLAUSE_SHARE = 0.8
"""The lowest share of equal words of two clauses that say or deny the same."""
_MIN_CLAUSE_WORDS = 3


def has_negation_conflict(comparison: Comparison) -> bool:
    """Return whether the claim denies what the evidence says, or says what the evidence denies."""
    claim = comparison.claim
    evidence_count = sum(statement.negation_count for statement in comparison.evidence)
    if claim.negation_count and not evidence_count:
        is_optional = bool(comparison.evidence_forms & _OPTIONAL)
        return not (is_optional or comparison.given.negated_terms & claim.negated_terms)
    if not (claim.negation_count or evidence_count):
        return False
    return (
        _says_what_is_denied(comparison)
        or (claim.negation_count > 0 and _denies_what_is_said(comparison))
        or any(_has_opposite_clause(claim, statement) for statement in comparison.evidence)
    )


def denies_new_word(comparison: Comparison) -> bool:
    """Return whether the claim denies a word that no cited sentence has: it may say the same in another way."""
    return any(word.is_negated and not comparison.covers(word) for word in comparison.claim.content)


def _says_what_is_denied(comparison: Comparison) -> bool:
    claim = comparison.claim
    denied = frozenset[str]().union(*(statement.negated_terms for statement in comparison.evidence))
    said = frozenset[str]().union(*(statement.affirmed_terms for statement in comparison.evidence))
    if not claim.negation_count and not comparison.closest.negation_count:
        return False
    claimed = claim.affirmed_terms - claim.terms_beside_negation - comparison.given.affirmed_terms
    return bool((denied - said) & claimed)


def _denies_what_is_said(comparison: Comparison) -> bool:
    """Return whether the claim denies a word that the evidence has, but in no clause with a negation."""
    claim = comparison.claim
    beside_negation = frozenset[str]().union(*(statement.terms_beside_negation for statement in comparison.evidence))
    said = frozenset[str]().union(*(statement.affirmed_terms for statement in comparison.evidence))
    claim_denied = claim.negated_terms - claim.affirmed_terms - comparison.given.negated_terms
    return bool(claim_denied & (said - beside_negation))


def _has_opposite_clause(claim: Statement, statement: Statement) -> bool:
    """Return whether a clause of the claim has the words of one of the evidence and only one of the two is negated."""
    own, others = _read_clauses(claim), _read_clauses(statement)
    for words, is_negated in own.values():
        if len(words) < _MIN_CLAUSE_WORDS:
            continue
        best, best_is_negated = max(others.values(), key=lambda other: _compute_similarity(words, other[0]))
        if _compute_similarity(words, best) >= _MIN_EQUAL_CLAUSE_SHARE and is_negated != best_is_negated:
            return True
    return False


def _read_clauses(statement: Statement) -> Mapping[int, tuple[frozenset[str], bool]]:
    """Return the stems of each clause without negations, and whether it has an odd number of them."""
    stems: dict[int, set[str]] = {0: set()}
    for word in statement.words:
        if not word.is_negation:
            stems.setdefault(word.clause, set()).add(word.stem)
    negations = statement.negated_clauses
    return {clause: (frozenset(words), negations.count(clause) % 2 == 1) for clause, words in stems.items()}


def _compute_similarity(first: frozenset[str], second: frozenset[str]) -> float:
    return len(first & second) / max(1, len(first), len(second))
