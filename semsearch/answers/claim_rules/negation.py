"""Compare what a claim and its evidence deny."""

from .comparison import Comparison

_OPTIONAL = frozenset(("optional", "optionally", "voluntary"))


def has_negation_conflict(comparison: Comparison) -> bool:
    """Return whether the claim denies what the evidence says, or says what the evidence denies."""
    claim, evidence = comparison.claim, comparison.evidence
    denied = frozenset[str]().union(*(statement.negated_terms for statement in evidence))
    said = frozenset[str]().union(*(statement.affirmed_terms for statement in evidence))
    if claim.negation_count and not any(statement.negation_count for statement in evidence):
        is_optional = any(statement.forms & _OPTIONAL for statement in evidence)
        return not (comparison.question.negation_count or is_optional)
    if not claim.negation_count:
        denied = comparison.closest.negated_terms
        return bool((denied - said) & (claim.affirmed_terms - comparison.question.terms))
    if claim.negated_terms & denied:
        return False
    claim_denied, claim_said = claim.negated_terms - claim.affirmed_terms, claim.affirmed_terms - claim.negated_terms
    return bool(claim_denied & (said - denied)) or bool((denied - said) & (claim_said - comparison.question.terms))
