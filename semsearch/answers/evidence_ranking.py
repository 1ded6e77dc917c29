"""Rank the passages of a search for an answer: score sentences → rank excerpts → estimate confidence.

Decides nothing and generates nothing: an answerer quotes the best excerpt, or gives the passages to a model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.ports import Embedder, WordSimilarity
from ..core.types.answers import AnalyzedQuery, ClosestPassage, Passage, Quotation, QuotedSpan, RankedEvidence, TextSpan
from ..core.types.usage import RequestContext
from ..text.analyzer import detect_language
from .confidence import estimate_confidence
from .disagreement import Disagreement, find_disagreements, format_disagreement
from .evidence import Candidate, should_call_chat_model
from .excerpt_ranking import RankedExcerpt, extend_best, rank_excerpts
from .excerpts import extend_to_blocks, join_blocks
from .similarity import knows_language, score_sentences

MAX_CLOSEST_PASSAGES = 5

MAX_SHOWN_WORDS = 160
"""A shown passage grows by neighbouring blocks of its section up to this length."""

MAX_SOURCES = 3
"""Citations of one excerpt."""

MAX_COMPARED_SENTENCES = 3
"""Sentences of the excerpt that are compared with other documents."""


@dataclass(frozen=True, slots=True)
class EvidenceRanker:
    """Ranks evidence with an embedder of sentences and one of words; by terms alone without them."""

    embedder: Embedder | None = None
    words: WordSimilarity | None = None

    async def rank(
        self,
        question: AnalyzedQuery,
        passages: Sequence[Passage],
        context: RequestContext,
        copies: Sequence[Passage] = (),
    ) -> RankedEvidence:
        """Return the passages with the best excerpt and the closest passages.

        `copies` are passages that nearly equal others: further sources of the excerpt, unless they differ in a value.
        """
        candidates = await score_sentences(self.embedder, question, passages, context)
        ranked = rank_excerpts(question, candidates, self.words)
        is_lexical = not knows_language(self.embedder, question.query_with_history or question)
        best = extend_best(ranked) if ranked else None
        disagreements = _find_disagreements(question, candidates, best, copies) if best else []
        return RankedEvidence(
            passages=tuple(passages),
            quotation=_quote(best, copies) if best else None,
            confidence=estimate_confidence(question.text, candidates, ranked, is_lexical=is_lexical),
            may_answer=_may_answer(question, candidates),
            closest=tuple(_choose_closest(passages, candidates, best, disagreements)),
            disagreements=tuple(map(format_disagreement, disagreements)),
        )


def _find_disagreements(
    question: AnalyzedQuery, candidates: Sequence[Candidate], best: RankedExcerpt, copies: Sequence[Passage]
) -> list[Disagreement]:
    """Return the disagreements of the best excerpt with other sentences."""
    quoted = [
        candidate
        for candidate in candidates
        if candidate.passage is best.candidate.passage
        and candidate is not best.candidate
        and best.excerpt.contains(candidate.sentence)
    ]
    copied = [
        Candidate(passage, number, 0.0, 0.0, 0.0)
        for passage in copies
        for number in range(1, len(passage.sentences) + 1)
    ]
    searched_question = question.query_with_history or question
    return find_disagreements(
        searched_question, [best.candidate, *quoted][:MAX_COMPARED_SENTENCES], [*copied, *candidates]
    )


def _may_answer(question: AnalyzedQuery, candidates: Sequence[Candidate]) -> bool:
    """Return whether a chat model is worth calling. The embedded model knows only English; a chat model knows more."""
    return detect_language(question.text) != "en" or should_call_chat_model(candidates)


def _quote(best: RankedExcerpt, copies: Sequence[Passage]) -> Quotation:
    """Return the quotation of an excerpt, with the same text in other documents as further sources."""
    passage, excerpt, candidate = best.candidate.passage, best.excerpt, best.candidate
    own = QuotedSpan(passage, excerpt.start, excerpt.end, excerpt.text, candidate.sentence.chunk_id)
    spans = {passage.uri: own}
    for copy in copies:
        if copy.uri not in spans and (span := _find_copy(copy, excerpt.text)):
            spans[copy.uri] = span
    return Quotation(passage, candidate.number, tuple(spans.values())[:MAX_SOURCES], excerpt.context)


def _find_copy(passage: Passage, text: str) -> QuotedSpan | None:
    """Return the span of the same text in another passage or around it."""
    offset = join_blocks(passage.blocks).find(text)
    if offset < 0 or not passage.sentences:
        return None
    start = passage.blocks[0].start + offset
    chunk_id = next((s.chunk_id for s in passage.sentences if s.end > start), passage.sentences[-1].chunk_id)
    return QuotedSpan(passage, start, start + len(text), text, chunk_id)


def _choose_closest(
    passages: Sequence[Passage],
    candidates: Sequence[Candidate],
    best: RankedExcerpt | None,
    disagreements: Sequence[Disagreement],
) -> list[ClosestPassage]:
    """Return the passages to show: that of the best excerpt, those that disagree, then the others by their score."""
    leading = [*([best.candidate] if best else []), *(disagreement.second for disagreement in disagreements)]
    best_by_id = dict[str, Candidate]()
    for candidate in [*leading, *candidates]:
        best_by_id.setdefault(candidate.passage.id, candidate)
    chosen = {candidate.passage.id: candidate.passage for candidate in leading}
    chosen |= {passage.id: passage for passage in passages if passage.id not in chosen}
    shown = [passage for passage in chosen.values() if passage.blocks][:MAX_CLOSEST_PASSAGES]
    return [_show(passage, best_by_id.get(passage.id)) for passage in shown]


def _show(passage: Passage, best: Candidate | None) -> ClosestPassage:
    start, end = extend_to_blocks(passage, MAX_SHOWN_WORDS)
    offset = passage.blocks[0].start
    best_part = best.sentence if best else next(iter(passage.sentences), passage)
    return ClosestPassage(
        uri=passage.uri,
        title=passage.title,
        heading=passage.heading,
        page=passage.page,
        start=start,
        end=end,
        text=join_blocks(passage.blocks)[start - offset : end - offset],
        best=TextSpan(best_part.start, best_part.end),
    )
