"""Turns a stream with `[[passage.sentence]]` markers into sentences with `[1]`, `[2]` and the citations behind them.

Does not judge by itself whether a quote supports what is said: it is given a judge. What comes out depends on the text
alone, not on how it was cut into pieces: nothing is decided before the characters that could change the decision have
come.

A sentence that is copied comes as a `Quotation`, not as text, and is shown as it is stored, whatever it contains. Text
of a model stays as it wrote it but for markers and these escapes: it is cleaned like any text that comes in; unknown
markers and what is left of a live id are removed; digits alone in brackets, which could pass for our numbers, get round
brackets; a space breaks up links, images, their definitions and tags.
"""

import re
from collections.abc import Callable, Sequence
from typing import Literal

from ..core.types.answers import Answer, AnswerSentence, Citation, Passage, Policy, Quotation, Support
from ..text.cleaning import clean
from ..text.sentences import sentences
from .markers import INSIDE, Markers, references, remove_unknown

Cited = Sequence[tuple[Passage, int]]
"""Sentences of passages, each by its number in its passage, from 1."""

Judge = Callable[[str, Cited], Support]
"""Says what the cited sentences make of a sentence of an answer, given without its markers."""

MAX_CITATIONS = 3
"""Citations behind one sentence; further ones are left out."""

_WINDOW = 1200
"""Characters held back at most: a sentence that is longer is released in parts."""

_PARAGRAPH = "\n\n"
"""Around a quote: rows and list items have no stop that would tell them apart."""

_STOPS = r"[.!?…؟۔‽。！？｡।॥։]"
_CLOSERS = r"[\"'”’»›)\]}」』）】》〉*_`]"
_UNFINISHED = re.compile(rf"\[(?:{INSIDE}{{0,160}}|\[{{1,3}}(?:{INSIDE}|\]\[){{0,160}}\]{{0,3}})\Z")
_WIDE_STOP = re.compile(r"[。！？｡।॥։]")
_EMPHASIS = re.compile(r"[*_`]")
_NEXT_WORD = re.compile(r"\S{1,40}")
# Digits in brackets as a model or a document writes them itself, wide forms and joiners that nobody sees included.
_SPOOF = re.compile(r"[\[［【]([\s\u200c\u200d]*\d[\d\s,;.–\-\\\u200c\u200d]*)[\]］】]")
_OPEN_SPOOF = re.compile(r"\[\d*\Z")
_NUMBERS = re.compile(r"[ \t]*\[\d{1,4}\]")
# Where links, images, their definitions and tags become live: a space in between makes text of them.
_LIVE_NUMBER = re.compile(r"\[\d+\](?=\(|:\s*\w{1,20}://)|^\s*\[\d+\](?=:)")
_LIVE = re.compile(r"\](?=[(\[:])|<(?=[A-Za-z/!?])")
_CLOSED_SPOOF = re.compile(r"(\d*)\]")


def unread(sentence: str, cited: Cited) -> Support:
    """Judge nothing."""
    return "not_checked"


class Resolver:
    """Releases an answer sentence by sentence, each marker replaced by a number that stands for a checked quote.

    Under the policy `strict` a sentence that its citations do not support is left out, with all that it cites.
    """

    def __init__(self, passages: Sequence[Passage], judge: Judge, policy: Policy = "flag") -> None:
        self.sentences: list[AnswerSentence] = []
        self.citations: list[Citation] = []
        self.dropped = 0
        """References that led to no sentence of a passage."""
        self.withheld = 0
        """Sentences that were left out."""
        self._judge = unread if policy == "off" else judge
        self._strict = policy == "strict"
        self._copied: Support = "not_checked" if policy == "off" else "supported"
        self._passages = {passage.id: passage for passage in passages}
        self._numbers: dict[tuple[str, int, int], int] = {}
        self._places: dict[int, tuple[Passage, int]] = {}
        self._markers = Markers(list(self._passages))
        self._boundaries = _Boundaries(self._markers)
        self._pending = ""
        self._gap = ""
        self._open_spoof = False

    def feed(self, piece: str) -> str:
        """Take the next piece of the model's text; return what is complete by now."""
        self._pending += piece
        return self._release(last=False)

    def finish(self, *, complete: bool = True) -> str:
        """Return the rest, without a marker that was cut off; the last sentence of what is not complete is not checked.

        Its citations may have been cut off with the rest.
        """
        cut_off = self._markers.cut_off.search(self._pending)
        if cut_off:
            self._pending = self._pending[: cut_off.start()]
            self.dropped += 1
        return self._release(last=True, complete=complete)

    def quote(self, quotation: Quotation) -> str:
        """Take a sentence of a passage as it is stored; return it with its number, as a paragraph of its own."""
        before = self.finish()
        gap = _PARAGRAPH if self.sentences else ""
        marker = self._number_of(quotation.passage, quotation.number)
        text = _numbered_quote(quotation.passage.sentences[quotation.number - 1].text, marker)
        self.sentences.append(AnswerSentence(text, self._copied, (marker,)))
        self._gap, self._open_spoof = _PARAGRAPH, False
        return before + gap + text

    def _release(self, *, last: bool, complete: bool = True) -> str:
        released, at = [], 0
        while at < len(self._pending):
            window = self._pending[at : at + _WINDOW]
            end = self._boundaries.first(window, closed=last or len(window) == _WINDOW)
            if end is None:
                break
            at += end
            whole = complete or at < len(self._pending)
            released.append(self._sentence(clean(window[:end]), whole=whole))
        self._pending = self._pending[at:]
        return "".join(released)

    def _sentence(self, raw: str, *, whole: bool) -> str:
        """Note one sentence and return it with its numbers, behind the space that divides it from the one before."""
        body = raw.strip()
        self._gap = self._gap or raw[: len(raw) - len(raw.lstrip())]
        cited: list[int] = []
        known = len(self.citations)
        text = self._numbered(body, cited).strip()
        support = self._supported(body, cited) if whole else "not_checked"
        if not text or (self._strict and (support == "unsupported" or not whole)):
            self._forget(known)
            self.withheld += bool(text)
            return ""
        gap, self._gap = self._gap if self.sentences else "", ""
        text = self._unspoofed(gap, text)
        if self.sentences and not gap and _LIVE.search(self.sentences[-1].text[-1] + text[:1]):
            gap = " "
        self.sentences.append(AnswerSentence(text, support, tuple(cited)))
        return gap + text

    def _supported(self, body: str, cited: Sequence[int]) -> Support:
        plain = " ".join(_inert(self._markers.runs.sub("", body)).split())
        return self._judge(plain, [self._places[marker] for marker in cited])

    def _forget(self, known: int) -> None:
        """Take back the citations behind the first `known`: nothing that is shown refers to them."""
        del self.citations[known:]
        self._numbers = {key: marker for key, marker in self._numbers.items() if marker <= known}

    def _numbered(self, body: str, cited: list[int]) -> str:
        """`body` with numbers for markers; what does not resolve goes, and so does the space before it."""
        literals, numbers, at = [""], [], 0
        for run in self._markers.runs.finditer(body):
            literals[-1] += body[at : run.start()]
            at = run.end()
            shown = self._cite(run["markers"], cited)
            if shown:
                literals[-1] += run["space"]
                numbers.append("".join(f"[{number}]" for number in shown))
                literals.append("")
        literals[-1] += body[at:]
        inert = map(self._lifeless, literals)
        text = "".join(part for pair in zip(inert, [*numbers, ""], strict=True) for part in pair)
        return _LIVE_NUMBER.sub(lambda found: f"{found[0]} ", text)

    def _lifeless(self, literal: str) -> str:
        """A model's own text without live markup, and without what is left of a marker that it spoiled."""
        return _LIVE.sub(lambda found: f"{found[0]} ", _inert(self._markers.strays.sub("", literal)))

    def _cite(self, markers: str, cited: list[int]) -> list[int]:
        """The numbers for a run of markers; those new to this sentence are added to `cited`."""
        shown: list[int] = []
        for passage_id, number in references(markers):
            marker = self._number(passage_id, number, full=len(cited) >= MAX_CITATIONS, cited=cited)
            if marker and marker not in shown:
                shown.append(marker)
            if marker and marker not in cited:
                cited.append(marker)
        return shown

    def _number(self, passage_id: str, number: int, *, full: bool, cited: Sequence[int]) -> int | None:
        """The number under which a sentence of a passage is cited; None where there is none, or no room for it."""
        passage = self._passages.get(passage_id)
        if passage is None or not 1 <= number <= len(passage.sentences):
            self.dropped += 1
            return None
        if full and self._numbers.get(_place(passage, number)) not in cited:
            return None
        return self._number_of(passage, number)

    def _number_of(self, passage: Passage, number: int) -> int:
        """The number under which this sentence is cited; the next one if it is new."""
        marker = self._numbers.setdefault(_place(passage, number), len(self.citations) + 1)
        if marker > len(self.citations):
            self._places[marker] = passage, number
            self.citations.append(_citation(marker, passage, number))
        return marker

    def _unspoofed(self, gap: str, text: str) -> str:
        """`text`, where it would complete a number in brackets that the sentence before it left open."""
        closing = _CLOSED_SPOOF.match(text) if self._open_spoof and not gap else None
        if closing:
            text = f"{closing[1]}){text[closing.end() :]}"
        carried = self._open_spoof and not gap and text.isdecimal()
        self._open_spoof = carried or _OPEN_SPOOF.search(text) is not None
        return text


class _Boundaries:
    """Finds the end of the first sentence in text that still grows."""

    def __init__(self, markers: Markers) -> None:
        marker = markers.pattern
        self._markers = markers.each
        self._token = re.compile(rf"(?P<marker>{marker})|(?P<stop>{_STOPS}+{_CLOSERS}*)|(?P<line>\n)|(?P<open>\[)")
        self._trail = re.compile(rf"(?:\s*{marker}{_STOPS}*{_CLOSERS}*)*")
        self._decided = 0

    def first(self, text: str, *, closed: bool) -> int | None:
        """Where the first sentence of `text` ends, its markers included; None while that can change.

        `closed` says that no more is going to come that counts.
        """
        at = max(self._decided, len(text) - len(text.lstrip()))
        while token := self._token.search(text, at):
            at = token.end()
            if token["open"]:
                if not closed and _UNFINISHED.match(text, token.start()):
                    return None
                self._decided = at
            if token["stop"] or token["line"]:
                end = self._end(text, token, closed=closed)
                if end is None or end > 0:
                    self._decided = 0 if end else self._decided
                    return end
                self._decided = at
        if not closed:
            return None
        self._decided = 0
        return self._cut(text)

    def _end(self, text: str, token: re.Match[str], *, closed: bool) -> int | None:
        """Where the sentence ends that may end at `token`; 0 if it does not end there, None while that can change."""
        trail = self._trail.match(text, token.start() if token["line"] else token.end())
        end = trail.end() if trail else token.end()
        after = len(text) - len(text[end:].lstrip())
        if after == len(text):
            return end if closed else None
        if not closed and _UNFINISHED.match(text, after):
            return None
        if token["line"]:
            return end if self._plain(text[: token.start()]) else 0
        if after == token.end() and not _WIDE_STOP.search(token["stop"]):
            return 0
        word = _NEXT_WORD.match(text, after)
        if not closed and word and word.end() == len(text) and len(word[0]) < 40:
            return None
        return end if self._divided(text[:end], text[end:after], word[0] if word else "") else 0

    def _divided(self, before: str, gap: str, word: str) -> bool:
        """Whether a sentence ends between `before` and `word`, as it would in a document."""
        plain = self._plain(before)
        space = " " if gap or self._markers.search(before) else ""
        return any(end == len(plain) for _, end in sentences(f"{plain}{space}{word}"))

    def _plain(self, text: str) -> str:
        return _EMPHASIS.sub("", self._markers.sub("", text)).strip()

    def _cut(self, text: str) -> int:
        """Where to cut text that ends no sentence: at its end if it is short, else at a space, never in a marker."""
        if len(text) < _WINDOW:
            return len(text)
        unfinished = _UNFINISHED.search(text)
        limit = unfinished.start() if unfinished else len(text)
        marked = max((marker.end() for marker in self._markers.finditer(text, 0, limit)), default=0)
        space = text.rfind(" ", max(marked, len(text) - len(text.lstrip()) + 1), limit)
        return space if space > 0 else limit


def _place(passage: Passage, number: int) -> tuple[str, int, int]:
    sentence = passage.sentences[number - 1]
    return passage.uri, sentence.start, sentence.end


def _citation(marker: int, passage: Passage, number: int) -> Citation:
    sentence = passage.sentences[number - 1]
    return Citation(
        marker=marker,
        chunk_id=sentence.chunk_id,
        uri=passage.uri,
        title=passage.title,
        heading=passage.heading,
        page=passage.page,
        start=sentence.start,
        end=sentence.end,
        quote=sentence.text,
        content_sha256=passage.content_sha256,
    )


def _numbered_quote(text: str, marker: int) -> str:
    return f"{text} [{marker}]"


def _inert(literal: str) -> str:
    """Text of the model's own in which nothing looks like a marker or like one of our numbers."""
    return _SPOOF.sub(r"(\1)", remove_unknown(literal))


def without_markers(answer: str) -> str:
    """The text of an answer without its numbers.

    >>> without_markers("Leave lasts five days [1][2]. Ask early [1].")
    'Leave lasts five days. Ask early.'
    """
    return _NUMBERS.sub("", answer)


def unnumbered(sentence: AnswerSentence, citations: Sequence[Citation]) -> str:
    """The text of a sentence without its numbers: a copied one byte for byte, whatever brackets it has itself."""
    for cited in citations:
        if sentence.citations == (cited.marker,) and sentence.text == _numbered_quote(cited.quote, cited.marker):
            return cited.quote
    return without_markers(sentence.text)


def plain_text(answer: Answer) -> str:
    """The text of an answer without its numbers, copied sentences byte for byte."""
    parts, at = list[str](), 0
    for sentence in answer.sentences:
        start = answer.answer.index(sentence.text, at)
        parts += [answer.answer[at:start], unnumbered(sentence, answer.citations)]
        at = start + len(sentence.text)
    return "".join([*parts, without_markers(answer.answer[at:])])


def changed(cited: Citation, text: str | None) -> Literal["edited", "moved", "gone"] | None:
    """What has become of a citation in the text of its document as it is now; None where it still stands."""
    if text is None:
        return "gone"
    if text[cited.start : cited.end] == cited.quote:
        return None
    return "moved" if cited.quote in text else "edited"
