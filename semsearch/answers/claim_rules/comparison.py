"""A claim beside its evidence and the question, as statements with prefix negations in one form."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from .statements import Statement, Word, tokenize

_OPEN_QUESTION = re.compile(
    r"^\W*(?:do|does|did|is|are|was|were|am|can|could|may|might|must|shall|should|will|would|has|have|had|need)\b|\bor\b",
    re.IGNORECASE,
)
"""A question that leaves open whether its words are true: it asks yes or no, or between alternatives."""


@dataclass(frozen=True)
class Comparison:
    """What the rules compare."""

    claim: Statement
    evidence: Sequence[Statement]
    """The cited sentences."""
    question: Statement
    given: Statement
    """What the question takes for granted: the question itself, unless it asks whether something is so."""

    @cached_property
    def closest(self) -> Statement:
        """The cited sentence that shares most words with the claim."""
        return max(self.evidence, key=lambda statement: len(statement.terms & self.claim.terms))

    @cached_property
    def evidence_forms(self) -> frozenset[str]:
        """The words of all cited sentences as written, case-folded."""
        return frozenset[str]().union(*(statement.forms for statement in self.evidence))

    @cached_property
    def evidence_terms(self) -> frozenset[str]:
        """The terms of all cited sentences."""
        return frozenset[str]().union(*(statement.terms for statement in self.evidence))

    def covers(self, word: Word) -> bool:
        """Return whether a cited sentence has the word, a synonym, or a word of the same root."""
        return any(statement.covers(word) for statement in self.evidence)

    def covers_stem(self, stem: str) -> bool:
        """Do the same for a stem."""
        return any(statement.covers_stem(stem) for statement in self.evidence)


def compare(claim: str, evidence: Sequence[str], question: str) -> Comparison:
    """Return the comparison of these texts, none of which is empty."""
    statements = [Statement(tokenize(text)) for text in (claim, *evidence, question)]
    roots = frozenset[str]().union(*(statement.stems for statement in statements))
    own, *others, question_statement = (statement.with_roots(roots) for statement in statements)
    return Comparison(
        own, others, question_statement, Statement(()) if _OPEN_QUESTION.search(question) else question_statement
    )
