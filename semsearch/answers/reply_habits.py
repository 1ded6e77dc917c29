"""Recognise what chat models write around an answer: prefaces, the question, refusals, lists of sources, offers.

A lead is dropped before the citations are resolved. What follows an answer is dropped only after its support check: a
sentence that a citation supports always stays.
"""

import re
from collections.abc import Sequence

from ..core.types.answers import Passage, SupportVerdict
from .prompts import NO_ANSWER

_MARKUP = r"[\s*_`\"'“#>]*"
_SOURCES = r"(?:passages?|documents?|context|texts?|sources?|information|excerpts?)"
_GIVEN = r"(?:provided|given|supplied|available|retrieved|following|above)"
_LABEL = re.compile(rf"{_MARKUP}(?:the\s)?(?:final\s)?answer[*_]*\s?[:：][*_]*\s+(?=\S)", re.IGNORECASE)
_INTERJECTION = re.compile(
    rf"{_MARKUP}(?:sure|certainly|of course|absolutely|okay|ok|great question)(?: thing)?[!.,:]+\s+(?=\S)",
    re.IGNORECASE,
)
_PREFACE = re.compile(
    rf"{_MARKUP}(?:(?:based on|according to|from)\s(?:the\s|these\s|your\s)?[^\n.:!?\[\]]{{0,60}}?[,:]\s)?"
    r"here(?:['’]s|\sis|\sare)\b[^\n.:!?\[\]]{0,100}:[*_]*\s+(?=\S)",
    re.IGNORECASE,
)
_SOURCE_PHRASE = re.compile(
    rf"{_MARKUP}(?:based on|according to|from)\s(?:the\s|these\s|your\s)?(?:{_GIVEN}\s)?{_SOURCES}"
    rf"(?:\s(?:you\s)?{_GIVEN}|\sabove)?\s?[,:][*_]*\s+(?=\S)",
    re.IGNORECASE,
)
_OPENERS = (
    "answer", "the answer", "final answer", "the final answer", "sure", "certainly", "of course", "absolutely", "okay",
    "ok", "great question", "here is", "here's", "here’s", "here are", "based on", "according to",
    "from the", "from these",
)  # fmt: skip
_QUESTION_LABELS = ("", "question:", "q:")
_MAX_LEAD_CHARACTERS = 180
_WORD = re.compile(r"\w+")

_REFUSAL = re.compile(
    rf"[^.!?\n]{{0,60}}\b{_SOURCES}\b[^.!?\n]{{0,40}}\b(?:do|does|did)(?:\s?n[o'’]t)\s(?:\w+\s){{0,2}}"
    r"(?:contain|say|mention|provide|include|hold|state|specify|answer|give)",
    re.IGNORECASE,
)
_SOURCE_LIST = re.compile(
    r"\W*(?:(?:cited\s)?(?:sources?|references|citations|markers)(?:\s(?:used|cited))?|quellen|fuentes|fontes)"
    r"\W*(?::|\Z)",
    re.IGNORECASE,
)
_OFFER = re.compile(
    r"\W*(?:please\s)?(?:let me know if|feel free to ask|i hope (?:this|that) helps|hope (?:this|that) helps"
    r"|is there anything else|if you (?:have|need) (?:any )?(?:more|other|further|additional)"
    r" (?:questions?|information|help|details|clarification|assistance))\b",
    re.IGNORECASE,
)


def is_refusal(text: str) -> bool:
    """Return whether a reply says that the passages do not hold the answer, with NO_ANSWER or in its first sentence."""
    return NO_ANSWER in text or _REFUSAL.match(text) is not None


def is_source_list(text: str) -> bool:
    """Return whether a text without markers is only the label of a list of sources."""
    match = _SOURCE_LIST.match(text)
    return match is not None and not _WORD.search(text, match.end())


class LeadPatterns:
    """Finds a preface or the repeated question at the begin of a reply to this question."""

    def __init__(self, question: str) -> None:
        words = _WORD.findall(question) if question.rstrip().endswith(("?", "？", "؟")) else []
        self._openers = (*_OPENERS, *_QUESTION_LABELS[1:], *(words[:1] and [words[0].casefold()]))
        self._max_characters = _MAX_LEAD_CHARACTERS + len(question)
        self._patterns = [_LABEL, _INTERJECTION, _PREFACE, _SOURCE_PHRASE]
        if words:
            # A statement with the words of the question may be the answer: a question mark or a line end must follow.
            joined = r"[^\w\n]{1,5}".join(map(re.escape, words))
            end = r"(?:[ \t]*[?？؟][*_\"”]*\s+|[*_:.\"” \t]*\n\s*)(?=\S)"
            self._patterns.append(re.compile(rf"{_MARKUP}(?:q(?:uestion)?:\s*)?{_MARKUP}{joined}{end}", re.IGNORECASE))

    def drop_lead(self, text: str) -> str | None:
        """Return `text` without the lead with which it begins, and with a capital; None if there is no complete one."""
        for pattern in self._patterns:
            if match := pattern.match(text):
                rest = text[match.end() :]
                return rest[:1].upper() + rest[1:] if pattern is _SOURCE_PHRASE else rest
        return None

    def could_begin_lead(self, text: str) -> bool:
        """Return whether `text` may become a lead when it grows."""
        words = text.lstrip(" \t\n*_`\"'“#>").casefold()
        is_short = len(text) < self._max_characters
        return is_short and any(opener.startswith(words) or words.startswith(opener) for opener in self._openers)


def _read_words(text: str) -> frozenset[str]:
    """Return the words of a text, without numbers, page references and markers."""
    return frozenset(re.findall(r"[^\W\d_]+", text.casefold())) - {"p", "pp", "page", "pages", "section"}


class TailFilter:
    """Decides which sentences after an answer are left out: lists of sources, offers of help, a refusal."""

    def __init__(self, passages: Sequence[Passage], *, is_draft: bool) -> None:
        self._names = {_read_words(f"{passage.uri} {passage.title} {passage.heading}") for passage in passages}
        self._is_draft = is_draft
        """A draft, such as a letter, may end with an offer of help and hold gaps; nothing of it is left out."""
        self._is_in_source_list = False

    def drops(self, text: str, support: SupportVerdict, *, is_cited: bool, has_new_citation: bool) -> bool:
        """Return whether a sentence, with its verdict, is none of the answer's."""
        if self._is_draft:
            return False
        is_list_start = _SOURCE_LIST.match(text) is not None
        self._is_in_source_list |= is_list_start
        if self._is_in_source_list:
            words = _read_words(text)
            names_source = is_list_start or any(words <= names for names in self._names)
            is_supported = is_cited and support in ("supported", "partial") and not names_source
            return not is_supported and ((bool(words) and not is_list_start) or not has_new_citation)
        return not is_cited and (NO_ANSWER in text or _OFFER.match(text) is not None)
