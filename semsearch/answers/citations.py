"""Resolve a stream with `[[passage.sentence]]` markers into sentences with `[1]`, `[2]` and their citations.

Does not judge whether a quote supports a sentence: the caller passes a support check. The output depends only on the
text, not on how it was split into pieces: the resolver decides nothing before it has all characters that could change
the decision.

Other forms of citations, and sentences without one, are resolved by `attribution` where that is unambiguous. A copied
sentence arrives as a `Quotation`, not as text, and is shown as it is stored, whatever it contains. The text of
a model is kept as written, apart from markers and these escapes: it is cleaned like any input text; unknown markers and
fragments of a passage id are removed; digits alone in brackets, which look like our numbers, get round brackets; a
space disables links, images, their definitions and tags. Brackets that the sentence copies from a sentence that it
cites may stay: see `copied_groups`.
"""

import re
from collections.abc import Sequence
from itertools import cycle
from typing import Literal

from ..core.types.answer_requests import SupportPolicy
from ..core.types.answers import AnswerSentence, Citation, Passage, Quotation, QuotedSpan, SupportVerdict
from ..text.cleaning import clean
from .attribution import Attribution
from .copied_groups import INDEXED_END, could_be_citation, split_at_copied_groups
from .judging import WITHHELD_VERDICTS, CheckedClaim, ReleaseSteps, accept_verdicts
from .loose_markers import LooseMarkerPatterns
from .markers import DIGITS_IN_BRACKETS, MarkerPatterns, parse_references, remove_unknown_markers
from .plain_text import format_quotation
from .reply_habits import TailFilter, is_source_list
from .sentence_boundaries import MAX_PENDING_CHARACTERS, SentenceBoundaries
from .support import SupportCheck, skip_support_check

MAX_CITATIONS_PER_SENTENCE = 3
"""Citations of one sentence; further ones are left out."""

_PARAGRAPH_BREAK = "\n\n"
"""Around a quote, because rows and list items have no full stop to separate them."""

_WORD_CHARACTER = re.compile(r"\w")
_OPEN_FAKE_MARKER = re.compile(r"\[\d*\Z")
_CITATION_NUMBER = re.compile(r"\[\d{1,4}\]")
# Where links, images, their definitions and tags become active: a space at this point makes them plain text.
_LIVE_MARKER_NUMBER = re.compile(r"\[\d+\](?=\(|:\s*\w{1,20}://)|^\s*\[\d+\](?=:)")
_LIVE_MARKUP = re.compile(r"\](?=[(\[:])|<(?=[A-Za-z/!?])")
_FAKE_MARKER_END = re.compile(r"(\d*)\]")


class CitationResolver:
    """Releases an answer sentence by sentence and replaces each marker by the number of a checked quote.

    With the policy `strict`, a sentence that its citations do not support is left out together with its citations.
    """

    def __init__(
        self,
        passages: Sequence[Passage],
        support_check: SupportCheck,
        policy: SupportPolicy = "flag",
        *,
        is_draft: bool = False,
    ) -> None:
        self.sentences: list[AnswerSentence] = []
        self.citations: list[Citation] = []
        self.omitted_count = 0
        """Number of sentences that were left out."""
        self.has_cited = False
        """Whether any sentence cited a passage, also one that was left out."""
        self._support_check = skip_support_check if policy == "off" else support_check
        self._is_strict = policy == "strict"
        self._passages = {passage.id: passage for passage in passages}
        self._max_marker = len(
            {_span_key(passage, n) for passage in passages for n in range(1, len(passage.sentences) + 1)}
        )
        self._markers_by_span: dict[tuple[str, int, int], int] = {}
        self._sentences_by_marker: dict[int, tuple[Passage, int]] = {}
        self._marker_patterns = MarkerPatterns(list(self._passages))
        loose_patterns = LooseMarkerPatterns(list(self._passages), self._marker_patterns)
        self._attribution = Attribution(passages, loose_patterns, self._support_check)
        self._tail_filter = TailFilter(passages, is_draft=is_draft)
        self._boundaries = SentenceBoundaries(self._marker_patterns, self._attribution)
        self._pending = ""
        self._separator = ""
        self._has_open_fake_marker = False

    def feed(self, piece: str) -> str:
        """Add the next piece of the model's text and return the sentences that are now complete."""
        return accept_verdicts(self.feed_steps(piece))

    def feed_steps(self, piece: str) -> ReleaseSteps:
        """Do the same in steps, so that the caller can change the verdict on a sentence before it is released."""
        self._pending += piece
        return (yield from self._release(is_last=False))

    def finish(self, *, complete: bool = True) -> str:
        """Return the remaining text, without an unfinished marker at its end.

        If the model was cut off (not `complete`), the last sentence is not checked: its citations may be missing.
        """
        return accept_verdicts(self.finish_steps(complete=complete))

    def finish_steps(self, *, complete: bool = True) -> ReleaseSteps:
        """Do the same in steps, as `feed_steps`."""
        if not self._pending:
            return ""
        partial_marker = self._marker_patterns.partial_marker.search(self._pending)
        if partial_marker:
            self._pending = self._pending[: partial_marker.start()]
        return (yield from self._release(is_last=True, complete=complete))

    def quote(self, quotation: Quotation) -> str:
        """Add a sentence of a passage as it is stored; return it with its number, as a separate paragraph."""
        remaining = self.finish()
        separator = _PARAGRAPH_BREAK if self.sentences else ""
        sources = quotation.sources
        markers = [self._cite_span(source) for source in sources]
        text = format_quotation(sources[0].text, markers)
        self.sentences.append(AnswerSentence(text, "verbatim", tuple(markers), quotation.context))
        self._separator, self._has_open_fake_marker = _PARAGRAPH_BREAK, False
        return remaining + separator + text

    def _release(self, *, is_last: bool, complete: bool = True) -> ReleaseSteps:
        released, offset = [], 0
        while offset < len(self._pending):
            window = self._pending[offset : offset + MAX_PENDING_CHARACTERS]
            end = self._boundaries.find_first_end(window, is_closed=is_last or len(window) == MAX_PENDING_CHARACTERS)
            if end is None:
                break
            offset += end
            is_whole = complete or offset < len(self._pending)
            released.append((yield from self._resolve_sentence(clean(window[:end]), is_whole=is_whole)))
        self._pending = self._pending[offset:]
        return "".join(released)

    def _resolve_sentence(self, raw: str, *, is_whole: bool) -> ReleaseSteps:
        """Record one sentence; return it with its numbers and the space that separates it from the previous one."""
        body = self._attribution.rewrite(raw.strip()) if is_whole else raw.strip()
        self._separator = self._separator or raw[: len(raw) - len(raw.lstrip())]
        cited_markers: list[int] = []
        citation_count = len(self.citations)
        parts = self._split_at_copied_groups(body, cited_markers)
        text = self._replace_markers(parts, cited_markers).strip()
        support: SupportVerdict = "not_checked"
        if is_whole:
            support = yield self._check_support(parts, cited_markers)
        self.has_cited |= bool(cited_markers)
        is_new = len(self.citations) > citation_count
        if text and self._tail_filter.drops(text, support, is_cited=bool(cited_markers), has_new_citation=is_new):
            text = ""
        if not text or (self._is_strict and (support in WITHHELD_VERDICTS or not is_whole)):
            self._drop_citations_after(citation_count)
            self.omitted_count += bool(text)
            return ""
        separator, self._separator = self._separator if self.sentences else "", ""
        text = self._escape_fake_marker(separator, text)
        if self.sentences and not separator and _needs_space_between(self.sentences[-1].text, text):
            separator = " "
        self.sentences.append(AnswerSentence(text, support, tuple(cited_markers)))
        return separator + text

    def _check_support(self, parts: Sequence[str], cited_markers: Sequence[int]) -> CheckedClaim:
        """Check a sentence without its markers; its brackets are not escaped, like the cited ones."""
        joined = "".join(
            part if is_group else remove_unknown_markers(self._marker_patterns.marker_runs.sub("", part))
            for part, is_group in zip(parts, cycle((False, True)), strict=False)
        )
        text, cited = " ".join(joined.split()), [self._sentences_by_marker[marker] for marker in cited_markers]
        if not _WORD_CHARACTER.search(text) or is_source_list(text):  # markers alone claim nothing
            return CheckedClaim(text, cited, "not_checked")
        return CheckedClaim(text, cited, self._support_check(text, cited))

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

    def _cite_span(self, span: QuotedSpan) -> int:
        """Add the citation of a quoted span, and return its number."""
        marker = len(self.citations) + 1
        self.citations.append(_make_citation(marker, span))
        return marker

    def _get_or_add_marker(self, passage: Passage, number: int) -> int:
        """Return the number of this passage sentence; add a citation if it has none yet."""
        marker = self._markers_by_span.setdefault(_span_key(passage, number), len(self.citations) + 1)
        if marker > len(self.citations):
            self._sentences_by_marker[marker] = passage, number
            self.citations.append(_make_citation(marker, Quotation(passage, number).sources[0]))
        return marker

    def _escape_fake_marker(self, separator: str, text: str) -> str:
        """Replace a square bracket that would complete a number which the previous sentence left open."""
        closing = _FAKE_MARKER_END.match(text) if self._has_open_fake_marker and not separator else None
        if closing:
            text = f"{closing[1]}){text[closing.end() :]}"
        continues_open_marker = self._has_open_fake_marker and not separator and text.isdecimal()
        self._has_open_fake_marker = continues_open_marker or _OPEN_FAKE_MARKER.search(text) is not None
        return text


def _span_key(passage: Passage, number: int) -> tuple[str, int, int]:
    sentence = passage.sentences[number - 1]
    return passage.uri, sentence.start, sentence.end


def _make_citation(marker: int, span: QuotedSpan) -> Citation:
    passage = span.passage
    return Citation(
        marker=marker,
        chunk_id=span.chunk_id,
        uri=passage.uri,
        title=passage.title,
        heading=passage.heading,
        page=passage.page,
        start=span.start,
        end=span.end,
        quote=span.text,
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
