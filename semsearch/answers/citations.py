"""Resolve a stream with `[[passage.sentence]]` markers into sentences with `[1]`, `[2]` and their citations.

Does not judge whether a quote supports a sentence: the caller passes a support check. The output depends only on the
text, not on how it was split into pieces: the resolver decides nothing before it has all characters that could change
the decision.

A copied sentence arrives as a `Quotation`, not as text, and is shown as it is stored, whatever it contains. The text of
a model is kept as written, apart from markers and these escapes: it is cleaned like any input text; unknown markers and
fragments of a passage id are removed; digits alone in brackets, which look like our numbers, get round brackets; a
space disables links, images, their definitions and tags. Brackets that the sentence copies from a sentence that it
cites may stay: see `copied_groups`.
"""

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import cycle
from typing import Literal

from ..core.types.answers import AnswerSentence, Citation, Passage, Quotation, SupportPolicy, SupportVerdict
from ..text.cleaning import clean
from ..text.sentences import split_sentences
from .copied_groups import INDEXED_END, could_be_citation, split_at_copied_groups
from .markers import DIGITS_IN_BRACKETS, MARKER_CHARACTER, MarkerPatterns, parse_references, remove_unknown_markers
from .plain_text import format_quotation

CitedSentences = Sequence[tuple[Passage, int]]
"""Sentences of passages: each as its passage and its number in that passage, from 1."""

SupportCheck = Callable[[str, CitedSentences], SupportVerdict]
"""Returns how well the cited sentences support a sentence of an answer, which is passed without its markers."""

REJECTED_VERDICTS = ("unsupported", "contradicted")
"""Verdicts on a sentence that its citations do not support; the second says that they say something else."""

MAX_CITATIONS_PER_SENTENCE = 3
"""Citations of one sentence; further ones are left out."""

_MAX_PENDING_CHARACTERS = 1200
"""Characters that are buffered at most; a longer sentence is released in parts."""

_PARAGRAPH_BREAK = "\n\n"
"""Around a quote, because rows and list items have no full stop to separate them."""

_SENTENCE_STOPS = r"[.!?…؟۔‽。！？｡।॥։]"
_CLOSING_MARKS = r"[\"'”’»›)\]}」』）】》〉*_`]"
_UNFINISHED_MARKER = re.compile(
    rf"\[(?:{MARKER_CHARACTER}{{0,160}}|\[{{1,3}}(?:{MARKER_CHARACTER}|\]\[){{0,160}}\]{{0,3}})\Z"
)
_WIDE_STOP = re.compile(r"[。！？｡।॥։]")
_EMPHASIS = re.compile(r"[*_`]")
_NEXT_WORD = re.compile(r"\S{1,40}")
_OPEN_FAKE_MARKER = re.compile(r"\[\d*\Z")
_CITATION_NUMBER = re.compile(r"\[\d{1,4}\]")
# Where links, images, their definitions and tags become active: a space at this point makes them plain text.
_LIVE_MARKER_NUMBER = re.compile(r"\[\d+\](?=\(|:\s*\w{1,20}://)|^\s*\[\d+\](?=:)")
_LIVE_MARKUP = re.compile(r"\](?=[(\[:])|<(?=[A-Za-z/!?])")
_FAKE_MARKER_END = re.compile(r"(\d*)\]")


def skip_support_check(sentence: str, cited: CitedSentences) -> SupportVerdict:
    """Return "not_checked" for every sentence."""
    return "not_checked"


class CitationResolver:
    """Releases an answer sentence by sentence and replaces each marker by the number of a checked quote.

    With the policy `strict`, a sentence that its citations do not support is left out together with its citations.
    """

    def __init__(
        self, passages: Sequence[Passage], support_check: SupportCheck, policy: SupportPolicy = "flag"
    ) -> None:
        self.sentences: list[AnswerSentence] = []
        self.citations: list[Citation] = []
        self.omitted_count = 0
        """Number of sentences that were left out."""
        self._support_check = skip_support_check if policy == "off" else support_check
        self._is_strict = policy == "strict"
        self._quote_support: SupportVerdict = "not_checked" if policy == "off" else "supported"
        self._passages = {passage.id: passage for passage in passages}
        self._max_marker = len(
            {_span_key(passage, n) for passage in passages for n in range(1, len(passage.sentences) + 1)}
        )
        self._markers_by_span: dict[tuple[str, int, int], int] = {}
        self._sentences_by_marker: dict[int, tuple[Passage, int]] = {}
        self._marker_patterns = MarkerPatterns(list(self._passages))
        self._boundaries = _SentenceBoundaries(self._marker_patterns)
        self._pending = ""
        self._separator = ""
        self._has_open_fake_marker = False

    def feed(self, piece: str) -> str:
        """Add the next piece of the model's text and return the sentences that are now complete."""
        self._pending += piece
        return self._release(is_last=False)

    def finish(self, *, complete: bool = True) -> str:
        """Return the remaining text, without an unfinished marker at its end.

        If the model was cut off (not `complete`), the last sentence is not checked: its citations may be missing.
        """
        if not self._pending:
            return ""
        partial_marker = self._marker_patterns.partial_marker.search(self._pending)
        if partial_marker:
            self._pending = self._pending[: partial_marker.start()]
        return self._release(is_last=True, complete=complete)

    def quote(self, quotation: Quotation) -> str:
        """Add a sentence of a passage as it is stored; return it with its number, as a separate paragraph."""
        remaining = self.finish()
        separator = _PARAGRAPH_BREAK if self.sentences else ""
        marker = self._get_or_add_marker(quotation.passage, quotation.number)
        text = format_quotation(quotation.passage.sentences[quotation.number - 1].text, marker)
        self.sentences.append(AnswerSentence(text, self._quote_support, (marker,)))
        self._separator, self._has_open_fake_marker = _PARAGRAPH_BREAK, False
        return remaining + separator + text

    def _release(self, *, is_last: bool, complete: bool = True) -> str:
        released, offset = [], 0
        while offset < len(self._pending):
            window = self._pending[offset : offset + _MAX_PENDING_CHARACTERS]
            end = self._boundaries.find_first_end(window, is_closed=is_last or len(window) == _MAX_PENDING_CHARACTERS)
            if end is None:
                break
            offset += end
            is_whole = complete or offset < len(self._pending)
            released.append(self._resolve_sentence(clean(window[:end]), is_whole=is_whole))
        self._pending = self._pending[offset:]
        return "".join(released)

    def _resolve_sentence(self, raw: str, *, is_whole: bool) -> str:
        """Record one sentence; return it with its numbers and the space that separates it from the previous one."""
        body = raw.strip()
        self._separator = self._separator or raw[: len(raw) - len(raw.lstrip())]
        cited_markers: list[int] = []
        citation_count = len(self.citations)
        parts = self._split_at_copied_groups(body, cited_markers)
        text = self._replace_markers(parts, cited_markers).strip()
        support = self._check_support(parts, cited_markers) if is_whole else "not_checked"
        if not text or (self._is_strict and (support in REJECTED_VERDICTS or not is_whole)):
            self._drop_citations_after(citation_count)
            self.omitted_count += bool(text)
            return ""
        separator, self._separator = self._separator if self.sentences else "", ""
        text = self._escape_fake_marker(separator, text)
        if self.sentences and not separator and _needs_space_between(self.sentences[-1].text, text):
            separator = " "
        self.sentences.append(AnswerSentence(text, support, tuple(cited_markers)))
        return separator + text

    def _check_support(self, parts: Sequence[str], cited_markers: Sequence[int]) -> SupportVerdict:
        """Return the verdict for a sentence without markers; its brackets are not escaped, like the cited ones."""
        text = "".join(
            part if is_group else remove_unknown_markers(self._marker_patterns.marker_runs.sub("", part))
            for part, is_group in zip(parts, cycle((False, True)), strict=False)
        )
        return self._support_check(
            " ".join(text.split()), [self._sentences_by_marker[marker] for marker in cited_markers]
        )

    def _split_at_copied_groups(self, body: str, cited_markers: list[int]) -> list[str]:
        """Add the citations of `body`; return it split: text, a copied bracket group, text, and so on."""
        for run in self._marker_patterns.marker_runs.finditer(body):
            self._cite(run["markers"], cited_markers)
        cited = [self._sentences_by_marker[marker] for marker in cited_markers]
        cited_texts = [passage.sentences[number - 1].text for passage, number in cited]
        return split_at_copied_groups(body, self._marker_patterns, cited_texts, self._max_marker)

    def _drop_citations_after(self, count: int) -> None:
        """Remove the citations after the first `count`; no released sentence refers to them."""
        del self.citations[count:]
        self._markers_by_span = {key: marker for key, marker in self._markers_by_span.items() if marker <= count}

    def _replace_markers(self, parts: Sequence[str], cited_markers: list[int]) -> str:
        """Replace markers by numbers, remove other markers with the space before them, and keep the copied groups."""
        text = self._replace_markers_in_text(parts[0], cited_markers)
        for group, literal in zip(parts[1::2], parts[2::2], strict=True):
            following = self._replace_markers_in_text(literal, cited_markers)
            is_kept = INDEXED_END.search(text) is not None or not could_be_citation(group, self._max_marker)
            text += group if is_kept else _neutralize(group)
            text += " " + following if _needs_space_between(text, following) else following
        return _LIVE_MARKER_NUMBER.sub(lambda match: f"{match[0]} ", text)

    def _replace_markers_in_text(self, body: str, cited_markers: list[int]) -> str:
        """Do the same for text without copied groups; a number behind a word or a closing bracket gets a space."""
        literals, number_groups, end = [""], [], 0
        for run in self._marker_patterns.marker_runs.finditer(body):
            literals[-1] += body[end : run.start()]
            end = run.end()
            numbers = self._cite(run["markers"], cited_markers)
            if numbers:
                literals[-1] += run["space"]
                number_groups.append("".join(f"[{number}]" for number in numbers))
                literals.append("")
        literals[-1] += body[end:]
        text = ""
        for literal, number_group in zip(literals, [*number_groups, ""], strict=True):
            text += self._escape_live_markup(literal)
            text += f" {number_group}" if number_group and INDEXED_END.search(text) else number_group
        return text

    def _escape_live_markup(self, literal: str) -> str:
        """Disable links, images and tags in a model's own text, and remove fragments of malformed markers."""
        return _LIVE_MARKUP.sub(
            lambda match: f"{match[0]} ", _neutralize(self._marker_patterns.broken_markers.sub("", literal))
        )

    def _cite(self, markers: str, cited_markers: list[int]) -> list[int]:
        """Return the numbers for a run of markers; append those that are new to this sentence to `cited_markers`."""
        numbers: list[int] = []
        for passage_id, number in parse_references(markers):
            marker = self._resolve_reference(
                passage_id,
                number,
                is_full=len(cited_markers) >= MAX_CITATIONS_PER_SENTENCE,
                cited_markers=cited_markers,
            )
            if marker and marker not in numbers:
                numbers.append(marker)
            if marker and marker not in cited_markers:
                cited_markers.append(marker)
        return numbers

    def _resolve_reference(
        self, passage_id: str, number: int, *, is_full: bool, cited_markers: Sequence[int]
    ) -> int | None:
        """Return the citation number; None if the reference is unknown or the answer sentence has enough citations."""
        passage = self._passages.get(passage_id)
        if passage is None or not 1 <= number <= len(passage.sentences):
            return None
        if is_full and self._markers_by_span.get(_span_key(passage, number)) not in cited_markers:
            return None
        return self._get_or_add_marker(passage, number)

    def _get_or_add_marker(self, passage: Passage, number: int) -> int:
        """Return the number of this passage sentence; add a citation if it has none yet."""
        marker = self._markers_by_span.setdefault(_span_key(passage, number), len(self.citations) + 1)
        if marker > len(self.citations):
            self._sentences_by_marker[marker] = passage, number
            self.citations.append(_make_citation(marker, passage, number))
        return marker

    def _escape_fake_marker(self, separator: str, text: str) -> str:
        """Replace a square bracket that would complete a number which the previous sentence left open."""
        closing = _FAKE_MARKER_END.match(text) if self._has_open_fake_marker and not separator else None
        if closing:
            text = f"{closing[1]}){text[closing.end() :]}"
        continues_open_marker = self._has_open_fake_marker and not separator and text.isdecimal()
        self._has_open_fake_marker = continues_open_marker or _OPEN_FAKE_MARKER.search(text) is not None
        return text


class _SentenceBoundaries:
    """Finds the end of the first sentence in text that is still growing."""

    def __init__(self, patterns: MarkerPatterns) -> None:
        self._patterns = patterns
        self._scan_start = 0

    @cached_property
    def _token_pattern(self) -> re.Pattern[str]:
        """What may end a sentence."""
        marker = self._patterns.pattern
        return re.compile(
            rf"(?P<marker>{marker})|(?P<stop>{_SENTENCE_STOPS}+{_CLOSING_MARKS}*)|(?P<line>\n)|(?P<open>\[)"
        )

    @cached_property
    def _trailing_markers(self) -> re.Pattern[str]:
        """Markers after the end of a sentence, which belong to it."""
        return re.compile(rf"(?:\s*{self._patterns.pattern}{_SENTENCE_STOPS}*{_CLOSING_MARKS}*)*")

    def find_first_end(self, text: str, *, is_closed: bool) -> int | None:
        """Return where the first sentence of `text` ends, markers included; None while more text can change that.

        `is_closed`: no later text can change the result.
        """
        position = max(self._scan_start, len(text) - len(text.lstrip()))
        while token := self._token_pattern.search(text, position):
            position = token.end()
            if token["open"]:
                if not is_closed and _UNFINISHED_MARKER.match(text, token.start()):
                    return None
                self._scan_start = position
            if token["stop"] or token["line"]:
                end = self._find_end(text, token, is_closed=is_closed)
                if end is None or end > 0:
                    self._scan_start = 0 if end else self._scan_start
                    return end
                self._scan_start = position
        if not is_closed:
            return None
        self._scan_start = 0
        return self._find_cut(text)

    def _find_end(self, text: str, token: re.Match[str], *, is_closed: bool) -> int | None:
        """Return the sentence end at `token`; 0 if no sentence ends there, None while more text can change that."""
        trail = self._trailing_markers.match(text, token.start() if token["line"] else token.end())
        end = trail.end() if trail else token.end()
        next_start = len(text) - len(text[end:].lstrip())
        if next_start == len(text):
            return end if is_closed else None
        if not is_closed and _UNFINISHED_MARKER.match(text, next_start):
            return None
        if token["line"]:
            return end if self._strip_markers(text[: token.start()]) else 0
        if next_start == token.end() and not _WIDE_STOP.search(token["stop"]):
            return 0
        word = _NEXT_WORD.match(text, next_start)
        if not is_closed and word and word.end() == len(text) and len(word[0]) < 40:
            return None
        return end if self._is_boundary(text[:end], text[end:next_start], word[0] if word else "") else 0

    def _is_boundary(self, before: str, gap: str, word: str) -> bool:
        """Return whether a sentence ends between `before` and `word`, by the rules for documents."""
        plain = self._strip_markers(before)
        space = " " if gap or self._patterns.marker.search(before) else ""
        return any(end == len(plain) for _, end in split_sentences(f"{plain}{space}{word}"))

    def _strip_markers(self, text: str) -> str:
        return _EMPHASIS.sub("", self._patterns.marker.sub("", text)).strip()

    def _find_cut(self, text: str) -> int:
        """Return where to cut text without a sentence end: at its end if short, else at a space, never in a marker."""
        if len(text) < _MAX_PENDING_CHARACTERS:
            return len(text)
        unfinished = _UNFINISHED_MARKER.search(text)
        limit = unfinished.start() if unfinished else len(text)
        last_marker_end = max((marker.end() for marker in self._patterns.marker.finditer(text, 0, limit)), default=0)
        space = text.rfind(" ", max(last_marker_end, len(text) - len(text.lstrip()) + 1), limit)
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


def _neutralize(literal: str) -> str:
    """Change a model's own text so that nothing in it looks like a marker or like one of our numbers."""
    return DIGITS_IN_BRACKETS.sub(r"(\1)", remove_unknown_markers(literal))


def _needs_space_between(before: str, after: str) -> bool:
    """Return whether joining the texts would activate markup, or make one of our numbers look like an index."""
    return bool(
        _LIVE_MARKUP.search(before[-1:] + after[:1]) or (INDEXED_END.search(before) and _CITATION_NUMBER.match(after))
    )


def detect_citation_change(citation: Citation, document_text: str | None) -> Literal["edited", "moved", "gone"] | None:
    """Return how the document of a citation has changed; None if its current text still has the quote in place."""
    if document_text is None:
        return "gone"
    if document_text[citation.start : citation.end] == citation.quote:
        return None
    return "moved" if citation.quote in document_text else "edited"
