"""Define the other forms in which models cite: `(id.2)`, `【id.2】`, `id`, `[1]`, `[^1]`, `[Passage 2]`, `(Source 1)`.

`[[passage.sentence]]` is in `markers`. A number means the n-th passage of the prompt. Whether such a text is a citation
at all depends on the passages: `attribution` decides that.
"""

import re
from collections.abc import Sequence
from functools import cached_property

from .markers import MarkerPatterns

_SPACE = r"[ \t]{0,3}"
_KEYWORD = r"(?:passages?|sources?|documents?|docs?|references?|refs?|quellen?|fuentes?|fontes?)"
_NUMBER = r"[0-9]{1,3}(?:\.[0-9]{1,3})?(?![0-9])"
_LABEL = rf"{_KEYWORD}{_SPACE}[:#.]?{_SPACE}"
_NUMBERS = rf"\^?(?P<numbers>{_NUMBER}(?:{_SPACE}(?:,|;|&|and|und){_SPACE}\^?(?:{_KEYWORD}{_SPACE})?{_NUMBER}){{0,5}})"
_SENTENCE = rf"(?:{_SPACE},?{_SPACE}(?:sentences?|lines?){_SPACE}[0-9]{{1,3}})?"
_DAGGER = r"(?:†[^\[\]［］【】\n]{0,30})?"
"""Some models write 【1†source】."""

_SQUARE = rf"[\[［【]{{1,2}}{_SPACE}(?:{_LABEL})?{_NUMBERS}{_SENTENCE}{_DAGGER}{_SPACE}[\]］】]{{1,2}}"
_ROUND = rf"[(（]{_SPACE}{_LABEL}{_NUMBERS.replace('numbers', 'round_numbers')}{_SENTENCE}{_SPACE}[)）]"
_PLACEHOLDER = r"\[{1,2}(?:id|passage)[.:](?:sentence|number)\]{1,2}"
"""The form as the prompt describes it, which some models copy."""

UNFINISHED_LOOSE_MARKER = re.compile(r"[(（［【]{1,2}[^()（）［］【】\[\]\n]{0,80}[］】]?\Z")
"""The start of a citation in such brackets at the end of the text."""


class LooseMarkerPatterns:
    """Patterns of the other forms, for passages with these ids."""

    def __init__(self, passage_ids: Sequence[str], markers: MarkerPatterns) -> None:
        # The longest first: an id can begin with another one.
        known = "|".join(re.escape(text) for text in sorted(passage_ids, key=len, reverse=True)) or r"(?!)"
        sentence = rf"{_SPACE}[.:]{_SPACE}[0-9]{{1,6}}(?:[-–][0-9]{{1,6}})?"
        reference = rf"(?<!\w)(?:{known})(?:{sentence})?(?!\w)"
        references = rf"{_SPACE}{reference}(?:[ \t,;]{{1,3}}{reference}){{0,5}}{_SPACE}"
        brackets = (r"\[{1,2}", r"\]{1,2}"), (r"\(", r"\)"), (r"（", r"）"), (r"[［【⟦]{1,4}", r"[］】⟧]{1,4}")
        bracketed = "|".join(f"{opening}{references}{closing}" for opening, closing in brackets)
        self._loose = rf"(?i:(?P<reference>{bracketed}|{reference})|(?P<ordinal>{_SQUARE}|{_ROUND})|{_PLACEHOLDER})"
        self._marker = markers.pattern

    @property
    def pattern(self) -> str:
        """Pattern of one citation in another form, without groups."""
        return re.sub(r"\(\?P<\w+>", "(?:", self._loose)

    @cached_property
    def any_marker(self) -> re.Pattern[str]:
        """A marker or a citation in another form, in the groups `marker`, `reference` and `ordinal`."""
        return re.compile(rf"(?P<marker>{self._marker})|{self._loose}")


def parse_ordinals(match: re.Match[str]) -> list[int]:
    """Return the numbers of passages in an `ordinal`, from 1; of `1.2` only the passage."""
    return [int(number) for number in re.findall(r"([0-9]+)(?:\.[0-9]+)?", match["numbers"] or match["round_numbers"])]
