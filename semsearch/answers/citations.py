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

from ..core.types.answers import Answer, AnswerSentence, Citation, Passage, Quotation, SupportPolicy, SupportVerdict
from ..text.cleaning import clean
from ..text.sentences import split_sentences
from .markers import MARKER_CHARACTER, MarkerPatterns, parse_references, remove_unknown_markers

CitedSentences = Sequence[tuple[Passage, int]]
"""Sentences of passages, each by its number in its passage, from 1."""

SupportCheck = Callable[[str, CitedSentences], SupportVerdict]
"""Says what the cited sentences make of a sentence of an answer, given without its markers."""

MAX_CITATIONS_PER_SENTENCE = 3
"""Citations behind one sentence; further ones are left out."""

_MAX_PENDING_CHARACTERS = 1200
"""Characters held back at most: a sentence that is longer is released in parts."""

_PARAGRAPH_BREAK = "\n\n"
"""Around a quote: rows and list items have no stop that would tell them apart."""

_SENTENCE_STOPS = r"[.!?…؟۔‽。！？｡।॥։]"
_CLOSING_MARKS = r"[\"'”’»›)\]}」』）】》〉*_`]"
_UNFINISHED_MARKER = re.compile(
    rf"\[(?:{MARKER_CHARACTER}{{0,160}}|\[{{1,3}}(?:{MARKER_CHARACTER}|\]\[){{0,160}}\]{{0,3}})\Z"
)
_WIDE_STOP = re.compile(r"[。！？｡।॥։]")
_EMPHASIS = re.compile(r"[*_`]")
_NEXT_WORD = re.compile(r"\S{1,40}")
# Digits in brackets as a model or a document writes them itself, wide forms and joiners that nobody sees included.
_FAKE_MARKER = re.compile(r"[\[［【]([\s\u200c\u200d]*\d[\d\s,;.–\-\\\u200c\u200d]*)[\]］】]")
_OPEN_FAKE_MARKER = re.compile(r"\[\d*\Z")
_MARKER_NUMBERS = re.compile(r"[ \t]*\[\d{1,4}\]")
# Where links, images, their definitions and tags become live: a space in between makes text of them.
_LIVE_MARKER_NUMBER = re.compile(r"\[\d+\](?=\(|:\s*\w{1,20}://)|^\s*\[\d+\](?=:)")
_LIVE_MARKUP = re.compile(r"\](?=[(\[:])|<(?=[A-Za-z/!?])")
_FAKE_MARKER_END = re.compile(r"(\d*)\]")


def skip_support_check(sentence: str, cited: CitedSentences) -> SupportVerdict:
    """Judge nothing."""
    return "not_checked"


class CitationResolver:
    """Releases an answer sentence by sentence, each marker replaced by a number that stands for a checked quote.

    Under the policy `strict` a sentence that its citations do not support is left out, with all that it cites.
    """

    def __init__(
        self, passages: Sequence[Passage], support_check: SupportCheck, policy: SupportPolicy = "flag"
    ) -> None:
        self.sentences: list[AnswerSentence] = []
        self.citations: list[Citation] = []
        self.unresolved_count = 0
        """References that led to no sentence of a passage."""
        self.omitted_count = 0
        """Sentences that were left out."""
        self._support_check = skip_support_check if policy == "off" else support_check
        self._is_strict = policy == "strict"
        self._quote_support: SupportVerdict = "not_checked" if policy == "off" else "supported"
        self._passages = {passage.id: passage for passage in passages}
        self._markers_by_span: dict[tuple[str, int, int], int] = {}
        self._sentences_by_marker: dict[int, tuple[Passage, int]] = {}
        self._marker_patterns = MarkerPatterns(list(self._passages))
        self._boundaries = _SentenceBoundaries(self._marker_patterns)
        self._pending = ""
        self._gap = ""
        self._has_open_fake_marker = False

    def feed(self, piece: str) -> str:
        """Take the next piece of the model's text; return what is complete by now."""
        self._pending += piece
        return self._release(is_last=False)

    def finish(self, *, complete: bool = True) -> str:
        """Return the rest, without a marker that was cut off; the last sentence of what is not complete is not checked.

        Its citations may have been cut off with the rest.
        """
        cut_off = self._marker_patterns.partial_marker.search(self._pending)
        if cut_off:
            self._pending = self._pending[: cut_off.start()]
            self.unresolved_count += 1
        return self._release(is_last=True, complete=complete)

    def quote(self, quotation: Quotation) -> str:
        """Take a sentence of a passage as it is stored; return it with its number, as a paragraph of its own."""
        before = self.finish()
        gap = _PARAGRAPH_BREAK if self.sentences else ""
        marker = self._get_or_add_marker(quotation.passage, quotation.number)
        text = _format_quote(quotation.passage.sentences[quotation.number - 1].text, marker)
        self.sentences.append(AnswerSentence(text, self._quote_support, (marker,)))
        self._gap, self._has_open_fake_marker = _PARAGRAPH_BREAK, False
        return before + gap + text

    def _release(self, *, is_last: bool, complete: bool = True) -> str:
        released, at = [], 0
        while at < len(self._pending):
            window = self._pending[at : at + _MAX_PENDING_CHARACTERS]
            end = self._boundaries.find_first_end(window, is_closed=is_last or len(window) == _MAX_PENDING_CHARACTERS)
            if end is None:
                break
            at += end
            whole = complete or at < len(self._pending)
            released.append(self._resolve_sentence(clean(window[:end]), is_whole=whole))
        self._pending = self._pending[at:]
        return "".join(released)

    def _resolve_sentence(self, raw: str, *, is_whole: bool) -> str:
        """Note one sentence and return it with its numbers, behind the space that divides it from the one before."""
        body = raw.strip()
        self._gap = self._gap or raw[: len(raw) - len(raw.lstrip())]
        cited_markers: list[int] = []
        citation_count = len(self.citations)
        text = self._replace_markers(body, cited_markers).strip()
        support = self._judge_support(body, cited_markers) if is_whole else "not_checked"
        if not text or (self._is_strict and (support == "unsupported" or not is_whole)):
            self._drop_citations_after(citation_count)
            self.omitted_count += bool(text)
            return ""
        gap, self._gap = self._gap if self.sentences else "", ""
        text = self._escape_fake_marker(gap, text)
        if self.sentences and not gap and _LIVE_MARKUP.search(self.sentences[-1].text[-1] + text[:1]):
            gap = " "
        self.sentences.append(AnswerSentence(text, support, tuple(cited_markers)))
        return gap + text

    def _judge_support(self, body: str, cited_markers: Sequence[int]) -> SupportVerdict:
        plain = " ".join(_neutralize(self._marker_patterns.marker_runs.sub("", body)).split())
        return self._support_check(plain, [self._sentences_by_marker[marker] for marker in cited_markers])

    def _drop_citations_after(self, count: int) -> None:
        """Take back the citations behind the first `known`: nothing that is shown refers to them."""
        del self.citations[count:]
        self._markers_by_span = {key: marker for key, marker in self._markers_by_span.items() if marker <= count}

    def _replace_markers(self, body: str, cited_markers: list[int]) -> str:
        """`body` with numbers for markers; what does not resolve goes, and so does the space before it."""
        literals, numbers, at = [""], [], 0
        for run in self._marker_patterns.marker_runs.finditer(body):
            literals[-1] += body[at : run.start()]
            at = run.end()
            shown = self._cite(run["markers"], cited_markers)
            if shown:
                literals[-1] += run["space"]
                numbers.append("".join(f"[{number}]" for number in shown))
                literals.append("")
        literals[-1] += body[at:]
        inert = map(self._strip_live_markup, literals)
        text = "".join(part for pair in zip(inert, [*numbers, ""], strict=True) for part in pair)
        return _LIVE_MARKER_NUMBER.sub(lambda match: f"{match[0]} ", text)

    def _strip_live_markup(self, literal: str) -> str:
        """A model's own text without live markup, and without what is left of a marker that it spoiled."""
        return _LIVE_MARKUP.sub(
            lambda match: f"{match[0]} ", _neutralize(self._marker_patterns.broken_markers.sub("", literal))
        )

    def _cite(self, markers: str, cited_markers: list[int]) -> list[int]:
        """The numbers for a run of markers; those new to this sentence are added to `cited`."""
        shown: list[int] = []
        for passage_id, number in parse_references(markers):
            marker = self._resolve_reference(
                passage_id,
                number,
                is_full=len(cited_markers) >= MAX_CITATIONS_PER_SENTENCE,
                cited_markers=cited_markers,
            )
            if marker and marker not in shown:
                shown.append(marker)
            if marker and marker not in cited_markers:
                cited_markers.append(marker)
        return shown

    def _resolve_reference(
        self, passage_id: str, number: int, *, is_full: bool, cited_markers: Sequence[int]
    ) -> int | None:
        """The number under which a sentence of a passage is cited; None where there is none, or no room for it."""
        passage = self._passages.get(passage_id)
        if passage is None or not 1 <= number <= len(passage.sentences):
            self.unresolved_count += 1
            return None
        if is_full and self._markers_by_span.get(_span_key(passage, number)) not in cited_markers:
            return None
        return self._get_or_add_marker(passage, number)

    def _get_or_add_marker(self, passage: Passage, number: int) -> int:
        """The number under which this sentence is cited; the next one if it is new."""
        marker = self._markers_by_span.setdefault(_span_key(passage, number), len(self.citations) + 1)
        if marker > len(self.citations):
            self._sentences_by_marker[marker] = passage, number
            self.citations.append(_make_citation(marker, passage, number))
        return marker

    def _escape_fake_marker(self, gap: str, text: str) -> str:
        """`text`, where it would complete a number in brackets that the sentence before it left open."""
        closing = _FAKE_MARKER_END.match(text) if self._has_open_fake_marker and not gap else None
        if closing:
            text = f"{closing[1]}){text[closing.end() :]}"
        carried = self._has_open_fake_marker and not gap and text.isdecimal()
        self._has_open_fake_marker = carried or _OPEN_FAKE_MARKER.search(text) is not None
        return text


class _SentenceBoundaries:
    """Finds the end of the first sentence in text that still grows."""

    def __init__(self, patterns: MarkerPatterns) -> None:
        marker = patterns.pattern
        self._marker = patterns.marker
        self._token_pattern = re.compile(
            rf"(?P<marker>{marker})|(?P<stop>{_SENTENCE_STOPS}+{_CLOSING_MARKS}*)|(?P<line>\n)|(?P<open>\[)"
        )
        self._trailing_markers = re.compile(rf"(?:\s*{marker}{_SENTENCE_STOPS}*{_CLOSING_MARKS}*)*")
        self._scan_start = 0

    def find_first_end(self, text: str, *, is_closed: bool) -> int | None:
        """Where the first sentence of `text` ends, its markers included; None while that can change.

        `closed` says that no more is going to come that counts.
        """
        at = max(self._scan_start, len(text) - len(text.lstrip()))
        while token := self._token_pattern.search(text, at):
            at = token.end()
            if token["open"]:
                if not is_closed and _UNFINISHED_MARKER.match(text, token.start()):
                    return None
                self._scan_start = at
            if token["stop"] or token["line"]:
                end = self._find_end(text, token, is_closed=is_closed)
                if end is None or end > 0:
                    self._scan_start = 0 if end else self._scan_start
                    return end
                self._scan_start = at
        if not is_closed:
            return None
        self._scan_start = 0
        return self._find_cut(text)

    def _find_end(self, text: str, token: re.Match[str], *, is_closed: bool) -> int | None:
        """Where the sentence ends that may end at `token`; 0 if it does not end there, None while that can change."""
        trail = self._trailing_markers.match(text, token.start() if token["line"] else token.end())
        end = trail.end() if trail else token.end()
        after = len(text) - len(text[end:].lstrip())
        if after == len(text):
            return end if is_closed else None
        if not is_closed and _UNFINISHED_MARKER.match(text, after):
            return None
        if token["line"]:
            return end if self._strip_markers(text[: token.start()]) else 0
        if after == token.end() and not _WIDE_STOP.search(token["stop"]):
            return 0
        word = _NEXT_WORD.match(text, after)
        if not is_closed and word and word.end() == len(text) and len(word[0]) < 40:
            return None
        return end if self._is_boundary(text[:end], text[end:after], word[0] if word else "") else 0

    def _is_boundary(self, before: str, gap: str, word: str) -> bool:
        """Whether a sentence ends between `before` and `word`, as it would in a document."""
        plain = self._strip_markers(before)
        space = " " if gap or self._marker.search(before) else ""
        return any(end == len(plain) for _, end in split_sentences(f"{plain}{space}{word}"))

    def _strip_markers(self, text: str) -> str:
        return _EMPHASIS.sub("", self._marker.sub("", text)).strip()

    def _find_cut(self, text: str) -> int:
        """Where to cut text that ends no sentence: at its end if it is short, else at a space, never in a marker."""
        if len(text) < _MAX_PENDING_CHARACTERS:
            return len(text)
        unfinished = _UNFINISHED_MARKER.search(text)
        limit = unfinished.start() if unfinished else len(text)
        marked = max((marker.end() for marker in self._marker.finditer(text, 0, limit)), default=0)
        space = text.rfind(" ", max(marked, len(text) - len(text.lstrip()) + 1), limit)
        return space if space > 0 else limit


def _span_key(passage: Passage, number: int) -> tuple[str, int, int]:
    sentence = passage.sentences[number - 1]
    return passage.uri, sentence.start, sentence.end


def _make_citation(marker: int, passage: Passage, number: int) -> Citation:
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


def _format_quote(text: str, marker: int) -> str:
    return f"{text} [{marker}]"


def _neutralize(literal: str) -> str:
    """Text of the model's own in which nothing looks like a marker or like one of our numbers."""
    return _FAKE_MARKER.sub(r"(\1)", remove_unknown_markers(literal))


def strip_marker_numbers(answer: str) -> str:
    """The text of an answer without its numbers.

    >>> without_markers("Leave lasts five days [1][2]. Ask early [1].")
    'Leave lasts five days. Ask early.'
    """
    return _MARKER_NUMBERS.sub("", answer)


def extract_sentence_text(sentence: AnswerSentence, citations: Sequence[Citation]) -> str:
    """The text of a sentence without its numbers: a copied one byte for byte, whatever brackets it has itself."""
    for cited in citations:
        if sentence.citations == (cited.marker,) and sentence.text == _format_quote(cited.quote, cited.marker):
            return cited.quote
    return strip_marker_numbers(sentence.text)


def extract_plain_text(answer: Answer) -> str:
    """The text of an answer without its numbers, copied sentences byte for byte."""
    parts, at = list[str](), 0
    for sentence in answer.sentences:
        start = answer.answer.index(sentence.text, at)
        parts += [answer.answer[at:start], extract_sentence_text(sentence, answer.citations)]
        at = start + len(sentence.text)
    return "".join([*parts, strip_marker_numbers(answer.answer[at:])])


def detect_citation_change(citation: Citation, document_text: str | None) -> Literal["edited", "moved", "gone"] | None:
    """What has become of a citation in the text of its document as it is now; None where it still stands."""
    if document_text is None:
        return "gone"
    if document_text[citation.start : citation.end] == citation.quote:
        return None
    return "moved" if citation.quote in document_text else "edited"
