"""The text of an answer with citation numbers, and without them."""

import re
from collections.abc import Sequence

from ..core.types.answers import Answer, AnswerSentence, Citation
from .copied_groups import INDEXED

_MARKER_NUMBERS = re.compile(r"[ \t]*\[\d{1,4}\]")

_CITATION_NUMBERS = re.compile(rf"[ \t]*(?<!{INDEXED})((?:\[\d{{1,4}}\])+)")


def format_quotation(text: str, markers: Sequence[int]) -> str:
    """Return a quotation with the numbers of its citations; behind several lines they stand on a line of their own."""
    separator = "\n" if "\n" in text else " "
    return text + separator + "".join(f"[{marker}]" for marker in markers)


def strip_marker_numbers(answer: str) -> str:
    """Return the text of an answer without its citation numbers.

    >>> strip_marker_numbers("Leave lasts five days [1][2]. Ask early [1].")
    'Leave lasts five days. Ask early.'
    """
    return _MARKER_NUMBERS.sub("", answer)


def extract_sentence_text(sentence: AnswerSentence, citations: Sequence[Citation]) -> str:
    """Return a sentence without its citation numbers; a copied sentence byte for byte, with its own brackets."""
    for citation in citations:
        quotation = format_quotation(citation.quote, sentence.citations)
        if citation.marker in sentence.citations and sentence.text == quotation:
            return citation.quote
    own_numbers = {f"[{marker}]" for marker in sentence.citations}

    def remove_own(match: re.Match[str]) -> str:
        return "" if own_numbers.issuperset(re.findall(r"\[\d+\]", match[1])) else match[0]

    return _CITATION_NUMBERS.sub(remove_own, sentence.text)


def extract_plain_text(answer: Answer) -> str:
    """Return the text of an answer without its citation numbers, copied sentences byte for byte."""
    parts, end = list[str](), 0
    for sentence in answer.sentences:
        start = answer.text.index(sentence.text, end)
        parts += [answer.text[end:start], extract_sentence_text(sentence, answer.citations)]
        end = start + len(sentence.text)
    return "".join([*parts, strip_marker_numbers(answer.text[end:])])
