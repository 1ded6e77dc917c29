"""Compare the modality of a claim and its evidence: must, should, may, will."""

from collections.abc import Iterator

from .comparison import Comparison
from .statements import Statement

_DUTY, _ADVICE, _OPTION = 3, 2, 1
_STRENGTHS = {
    **dict.fromkeys(
        "must shall required requires require mandatory obligatory compulsory necessary needed needs need".split(),
        _DUTY,
    ),
    **dict.fromkeys(
        "should ought recommended recommend recommends recommendation advised advise advises advisable encouraged"
        " encourage encourages suggested suggest suggests".split(),
        _ADVICE,
    ),
    **dict.fromkeys("may might could can optional optionally voluntary possible".split(), _OPTION),
}
_OPTIONAL = frozenset(("optional", "optionally", "voluntary"))
_STATEMENT_WIDE = frozenset("optional optionally voluntary mandatory obligatory compulsory".split())
"""Words that speak of the whole sentence and not of the next verb."""
_UNCERTAIN = frozenset(("may", "might", "could"))
_MAX_DISTANCE = 5
"""Words between a modal and its verb at most."""


def has_modality_conflict(comparison: Comparison) -> bool:
    """Return whether the claim makes a duty of advice or of an option, or the reverse."""
    evidence_strengths = {strength for statement in comparison.evidence for _, strength, _ in _modals(statement)}
    for form, strength, verb in _modals(comparison.claim):
        if form in comparison.given.forms:
            continue
        governing = {
            other
            for statement in comparison.evidence
            for other_form, other, other_verb in _modals(statement)
            if verb and (other_verb == verb or other_form in _STATEMENT_WIDE)
        }
        known = governing or (set() if verb and verb in comparison.evidence_terms else evidence_strengths)
        if known and strength not in known and (strength > max(known) or _is_weakened(form, strength, known)):
            return True
    return _is_made_certain(comparison)


def _is_weakened(form: str, strength: int, known: set[int]) -> bool:
    """Return whether a duty became advice or explicitly optional; "can" only says how."""
    return known == {_DUTY} and (strength == _ADVICE or form in _OPTIONAL or form == "may")


def _is_made_certain(comparison: Comparison) -> bool:
    """Return whether the claim says that something will be that may be."""
    will = {verb for form, verb in _with_verbs(comparison.claim) if form == "will" and verb}
    uncertain = {
        verb for statement in comparison.evidence for form, verb in _with_verbs(statement) if form in _UNCERTAIN
    }
    certain = {verb for statement in comparison.evidence for form, verb in _with_verbs(statement) if form == "will"}
    return bool(will & (uncertain - certain))


def _modals(statement: Statement) -> Iterator[tuple[str, int, str]]:
    """Yield the modals that are not negated, their strength and the term of their verb; empty if there is none."""
    forms = [word.form for word in statement.words]
    for index, (form, verb) in enumerate(_with_verbs(statement)):
        if form in _STRENGTHS and not {"not", "never", "no"} & set(forms[max(0, index - 2) : index + 2]):
            yield form, _STRENGTHS[form], verb


def _with_verbs(statement: Statement) -> Iterator[tuple[str, str]]:
    """Yield each word with the term of the content word that follows it in its clause; empty if there is none."""
    words = statement.words
    for index, word in enumerate(words):
        if word.form in _STRENGTHS or word.form == "will":
            following = words[index + 1 : index + 1 + _MAX_DISTANCE]
            verb = next(
                (
                    other.term
                    for other in following
                    if other.clause == word.clause and other.is_content and not other.form.endswith("ly")
                ),
                "",
            )
            yield word.form, verb
        else:
            yield word.form, ""
