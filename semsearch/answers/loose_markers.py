"""Define the other forms in which models cite: `(id.2)`, `【id.2】`, `id`, `[1]`, `[^1]`, `[Passage 2]`, `(Source 1)`.

`[[passage.sentence]]` is in `markers`. A number means the n-th passage of the prompt. Whether such a text is a citation
at all depends on the passages: `attribution` decides that.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

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


@dataclass(frozen=True, slots=True)
class FoundMarker:
    """A citation in a text, in any form."""

    kind: Literal["marker", "reference", "ordinal", "placeholder"]
    """`[[passage.sentence]]`, known or not; a known id in another form; a number of a passage; the form copied."""
    match: re.Match[str]

    @property
    def ordinals(self) -> list[int]:
        """The numbers of passages in an `ordinal`, from 1; of `1.2` only the passage."""
        numbers = self.match["numbers"] or self.match["round_numbers"]
        return [int(number) for number in re.findall(r"([0-9]+)(?:\.[0-9]+)?", numbers)]


class LooseMarkerPatterns:
    """Patterns of the other forms, for passages with these ids; compiled when they are first used."""

    def __init__(self, passage_ids: Sequence[str], markers: MarkerPatterns) -> None:
        self._passage_ids = passage_ids
        self._markers = markers

    @cached_property
    def loose(self) -> re.Pattern[str]:
        """One citation in another form."""
        # The longest first: an id can begin with another one.
        known = "|".join(re.escape(text) for text in sorted(self._passage_ids, key=len, reverse=True)) or r"(?!)"
        sentence = rf"{_SPACE}[.:]{_SPACE}[0-9]{{1,6}}(?:[-–][0-9]{{1,6}})?"
        reference = rf"(?<!\w)(?:{known})(?:{sentence})?(?!\w)"
        references = rf"{reference}(?:[ \t,;]{{1,3}}{reference}){{0,5}}"
        bracketed = (
            rf"(?P<open>(?:\[{{1,2}}|[(（]|[［【⟦]{{1,4}}){_SPACE})?{references}(?(open){_SPACE}[\]）)］】⟧]{{1,4}})"
        )
        return re.compile(
            rf"(?P<reference>{bracketed})|(?P<ordinal>{_SQUARE}|{_ROUND})|(?P<placeholder>{_PLACEHOLDER})",
            re.IGNORECASE,
        )

    def find_all(self, text: str) -> Iterator[FoundMarker]:
        """Yield the markers and the citations in other forms, in the order of the text."""
        start = 0
        for marker in [*self._markers.marker.finditer(text), None]:
            for match in self.loose.finditer(text, start, marker.start() if marker else len(text)):
                yield FoundMarker(_get_kind(match), match)
            if marker:
                yield FoundMarker("marker", marker)
                start = marker.end()


def _get_kind(match: re.Match[str]) -> Literal["reference", "ordinal", "placeholder"]:
    if match["reference"]:
        return "reference"
    return "ordinal" if match["ordinal"] else "placeholder"
