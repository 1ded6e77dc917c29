"""Recognise what kind of answer a question asks for, and the signs of such an answer in a longer text. English only.

`answer_types` compares single sentences by dates, numbers and names; this module knows more kinds of questions, such as
how-to, why, yes or no and comparisons, whose answers take several sentences.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

QuestionKind = Literal["amount", "time", "how-to", "reason", "yes-no", "difference", "place"]

_STEP_VERBS = (
    "use|run|add|call|set|click|go to|open|select|create|install|contact|submit|ask|choose|type|enter|press|declare"
    "|import|pass|define|write|request|email|fill|visit"
)


@dataclass(frozen=True, slots=True)
class _Cue:
    question: re.Pattern[str]
    answer: re.Pattern[str]


def _make_cue(question: str, answer: str) -> _Cue:
    return _Cue(re.compile(question, re.IGNORECASE), re.compile(answer, re.IGNORECASE | re.MULTILINE))


_CUES: dict[QuestionKind, _Cue] = {
    "amount": _make_cue(
        r"\bhow (?:many|much|long|old|far|large|big|often|soon)\b|\b(?:by|within|until|from) (?:when|what)\b"
        r"|\bwhat (?:percent|number|amount|size|port|version|limit|level)",
        r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|once|twice|half|unlimited|no limit)\b",
    ),
    "time": _make_cue(
        r"\bwhen\b|\b(?:what|which) (?:year|date|day|month)",
        r"\d|\b(?:before|after|until|within|during|every|january|february|march|april|may|june|july|august|september"
        r"|october|november|december|monday|tuesday|wednesday|thursday|friday|day|week|month|year)s?\b",
    ),
    "how-to": _make_cue(
        r"\bhow\b.*\?|\bhow (?:do|can|to|should|would|could)\b|what should i do|\bsteps?\b",
        rf"^\s*(?:\d+[.)]|[-*•])\s|^\$ |\b(?:{_STEP_VERBS})\b",
    ),
    "reason": _make_cue(
        r"\bwhy\b|\breason",
        r"\bbecause\b|\bso that\b|\bsince\b|\breason|\bin order to\b|\bdue to\b|\bthis (?:means|allows|way)\b"
        r"|\bto (?:avoid|prevent|ensure|make sure|keep|help|protect)\b|\botherwise\b|\bthat way\b",
    ),
    "yes-no": _make_cue(
        r"^\W*(?:(?:and|but|so|ok)\W+)?"
        r"(?:do|does|did|is|are|was|were|can|could|should|would|will|may|must|am|has|have)\b",
        r"\b(?:can(?:not|['’]t)?|must|may|should|required|allowed|permitted|not|no|yes|never|always|only|don['’]t"
        r"|doesn['’]t|isn['’]t|aren['’]t|eligible|need)\b",
    ),
    "difference": _make_cue(
        r"\bdifferen|\bcompare|\bversus|\bvs\b|\brather than\b|\bor\b.*\?|\binstead of\b",
        r"\bdifferen|\bwhereas\b|\bwhile\b|\bunlike\b|\bbut\b|\binstead\b|\brather than\b|\bhowever\b|\bin contrast\b"
        r"|\bon the other hand\b|\bboth\b",
    ),
    "place": _make_cue(
        r"^\W*where\b|\bwhich (?:site|page|channel|file|folder|directory)",
        r"\bin (?:the|your|a)\b|\bat\b|/|#|\bunder\b",
    ),
}
_COMMAND_OR_STEP = re.compile(r"^(?:\$ |\d+[.)] )", re.MULTILINE)

UNKNOWN_KIND_SCORE = 0.5


def classify_question(question: str) -> tuple[QuestionKind, ...]:
    """Return the kinds of answers that a question may ask for.

    >>> classify_question("How long is parental leave?"), classify_question("Can I split it?")
    (('amount', 'how-to'), ('yes-no',))
    """
    return tuple(kind for kind, cue in _CUES.items() if cue.question.search(question))


def score_cues(kinds: Sequence[QuestionKind], text: str) -> float:
    """Return the share of the kinds whose signs a text has; `UNKNOWN_KIND_SCORE` for a question of no known kind."""
    if not kinds:
        return UNKNOWN_KIND_SCORE
    return sum(_CUES[kind].answer.search(text) is not None for kind in kinds) / len(kinds)


def lacks_amount(kinds: Sequence[QuestionKind], text: str) -> bool:
    """Return whether the question asks for an amount and the text has none."""
    return "amount" in kinds and not _CUES["amount"].answer.search(text)


def has_steps(text: str) -> bool:
    """Return whether a text has command lines or numbered steps."""
    return _COMMAND_OR_STEP.search(text) is not None
