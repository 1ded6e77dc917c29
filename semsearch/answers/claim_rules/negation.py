"""Compare what a claim and its evidence deny."""

from .comparison import Comparison

_OPTIONAL = frozenset(("optional", "optionally", "voluntary"))


def has_negation_conflict(comparison: Comparison) -> bool:
    """Return whether the claim denies what the evidence says, or says what the evidence denies."""
    claim = comparison.claim
    denied = frozenset[str]().union(*(statement.negated_terms for statement in comparison.evidence))
    said = frozenset[str]().union(*(statement.affirmed_terms for statement in comparison.evidence))
    evidence_count = sum(statement.negation_count for statement in comparison.evidence)
    if claim.negation_count and not evidence_count:
        is_optional = bool(comparison.evidence_forms & _OPTIONAL)
        return not (is_optional or comparison.given.negated_terms & claim.negated_terms)
    is_wrongly_said = bool((denied - said) & (claim.affirmed_terms - claim.negated_terms - comparison.given.affirmed_terms))
    if not claim.negation_count:
        return is_wrongly_said and bool(comparison.closest.negation_count)
    if claim.negated_terms & denied and claim.negation_count <= evidence_count:
        return False
    claim_denied = claim.negated_terms - claim.affirmed_terms - comparison.given.negated_terms
    return is_wrongly_said or bool(claim_denied & (said - denied))
