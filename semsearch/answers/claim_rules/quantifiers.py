"""Compare the quantifiers of a claim and its evidence: all, most, some, only, always, never."""

from .comparison import Comparison
from .statements import Statement, Word

_UNIVERSAL = frozenset("all every each everyone everybody everything always whole entire any anyone anybody".split())
_UNIVERSAL_SUPPORT = _UNIVERSAL | frozenset(
    "per whenever whichever whatever whoever regardless both throughout no none never nobody nothing continue still"
    " only constantly automatically default full complete completely fully entirely wherever anyway either".split()
)
"""Words of evidence that may justify a universal claim."""
_WEAK = {
    **dict.fromkeys("most mostly usually generally typically often majority".split(), 3),
    **dict.fromkeys("many frequently numerous".split(), 2),
    **dict.fromkeys("some several few sometimes occasionally certain rarely seldom partly".split(), 1),
}
"""Weaker quantifiers with their strength; a universal one has 4."""
QUANTIFIERS = frozenset(
    "most many some several few sometimes usually generally typically often only mainly mostly almost primarily all"
    " every each any always never".split()
)
"""Words that say for how many, or how often, something holds."""
_RESTRICTIONS = frozenset(
    "only sole exclusive restricted restrict limited limit limits reserved except unless without until alone single"
    " just exactly once".split()
)
_RESTRICTING = frozenset(("only", "sole", "exclusive"))
_FREQUENCY_UNITS = frozenset(
    "second minute hour day week month quarter year time morning evening night monday tuesday wednesday thursday friday"
    " saturday sunday other few".split()
)


def has_stronger_quantifier(comparison: Comparison) -> bool:
    """Return whether the claim says all, most or only where the evidence says less."""
    return _adds_only(comparison) or _adds_universal(comparison) or _is_stronger_for_one_noun(comparison)


def _adds_only(comparison: Comparison) -> bool:
    return bool(comparison.claim.forms & _RESTRICTING) and not (
        comparison.evidence_forms & _RESTRICTIONS or comparison.question.forms & _RESTRICTING
    )


def _adds_universal(comparison: Comparison) -> bool:
    universals = [form for form, noun in _quantified(comparison.claim) if form in _UNIVERSAL]
    if not universals or comparison.evidence_forms & _UNIVERSAL_SUPPORT:
        return False
    is_conditional = comparison.claim.negation_count or comparison.claim.forms & {"if", "whether"}
    return any(form not in ("any", "anyone", "anybody") or not is_conditional for form in universals)


def _is_stronger_for_one_noun(comparison: Comparison) -> bool:
    strengths: dict[str, set[int]] = {}
    for statement in comparison.evidence:
        for form, noun in _quantified(statement):
            strengths.setdefault(noun, set()).add(_strength(form))
    return any(
        noun in strengths and _strength(form) > max(strengths[noun]) for form, noun in _quantified(comparison.claim)
    )


def _strength(form: str) -> int:
    return 4 if form in _UNIVERSAL else _WEAK[form]


def _quantified(statement: Statement) -> list[tuple[str, str]]:
    """Return each quantifier with the term of the next content word; those that state a frequency are left out."""
    words = statement.words
    pairs = []
    for index, word in enumerate(words):
        following = words[index + 1].form if index + 1 < len(words) else ""
        if (word.form in _UNIVERSAL or word.form in _WEAK) and following != "else":
            noun = _next_content(words, index)
            if noun and not (noun.stem in _FREQUENCY_UNITS or noun.form[0].isdigit() or noun.stem.isdigit()):
                pairs.append((word.form, noun.term))
    return pairs


def _next_content(words: list[Word], index: int) -> Word | None:
    return next((word for word in words[index + 1 : index + 5] if word.is_content and word.form not in _WEAK), None)
