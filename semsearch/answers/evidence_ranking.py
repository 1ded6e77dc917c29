"""Rank the passages of a search for an answer: score sentences → rank excerpts → estimate confidence.

Decides nothing and generates nothing: an answerer quotes the best excerpt, or gives the passages to a model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.ports import Embedder, WordSimilarity
from ..core.types.answers import AnalyzedQuery, ClosestPassage, Passage, Quotation, QuotedSpan, RankedEvidence, TextSpan
from ..core.types.documents import BLOCK_SEPARATOR
from ..core.types.usage import RequestContext
from ..text.analyzer import detect_language
from .confidence import estimate_confidence
from .evidence import Candidate, should_call_chat_model
from .excerpt_ranking import RankedExcerpt, rank_excerpts
from .similarity import score_sentences

MAX_CLOSEST_PASSAGES = 5


@dataclass(frozen=True, slots=True)
class EvidenceRanker:
    """Ranks evidence with an embedder of sentences and one of words; by terms alone without them."""

    embedder: Embedder | None = None
    words: WordSimilarity | None = None

    async def rank(
        self, question: AnalyzedQuery, passages: Sequence[Passage], context: RequestContext
    ) -> RankedEvidence:
        """Return the passages with the best excerpt and the closest passages."""
        candidates = await score_sentences(self.embedder, question, passages, context)
        ranked = rank_excerpts(question, candidates, self.words)
        return RankedEvidence(
            passages=tuple(passages),
            quotation=_quote(ranked[0]) if ranked else None,
            confidence=estimate_confidence(question.text, candidates, ranked),
            may_answer=_may_answer(question, candidates),
            closest=tuple(_choose_closest(passages, candidates, ranked)),
        )


def _may_answer(question: AnalyzedQuery, candidates: Sequence[Candidate]) -> bool:
    """Return whether a chat model is worth calling. The embedded model knows only English; a chat model knows more."""
    return detect_language(question.text) != "en" or should_call_chat_model(candidates)


def _quote(best: RankedExcerpt) -> Quotation:
    passage, excerpt, candidate = best.candidate.passage, best.excerpt, best.candidate
    span = QuotedSpan(passage, excerpt.start, excerpt.end, excerpt.text, candidate.sentence.chunk_id)
    return Quotation(passage, candidate.number, (span,), excerpt.context)


def _choose_closest(
    passages: Sequence[Passage], candidates: Sequence[Candidate], ranked: Sequence[RankedExcerpt]
) -> list[ClosestPassage]:
    """Return the passages to show: that of the best excerpt, then the others by their score in the search."""
    best_by_id = dict[str, Candidate]()
    for candidate in [*(excerpt.candidate for excerpt in ranked[:1]), *candidates]:
        best_by_id.setdefault(candidate.passage.id, candidate)
    first = [ranked[0].candidate.passage] if ranked else []
    others = [passage for passage in passages if passage.blocks and passage not in first]
    return [_show(passage, best_by_id.get(passage.id)) for passage in [*first, *others][:MAX_CLOSEST_PASSAGES]]


def _show(passage: Passage, best: Candidate | None) -> ClosestPassage:
    blocks = passage.blocks
    text = BLOCK_SEPARATOR.join(block.text for block in blocks)
    best_part = best.sentence if best else next(iter(passage.sentences), passage)
    return ClosestPassage(
        uri=passage.uri,
        title=passage.title,
        heading=passage.heading,
        page=passage.page,
        start=passage.start,
        end=passage.end,
        text=text[passage.start - blocks[0].start : passage.end - blocks[0].start],
        best=TextSpan(best_part.start, best_part.end),
    )
