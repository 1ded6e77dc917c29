"""Answer a question with checked citations: search → passages → generate → resolve citations → check support.

Works with any answerer and stores nothing.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from ..core.names import make_id
from ..core.ports import Answerer, Store, SupportJudge
from ..core.types.answer_requests import Profile, SupportPolicy
from ..core.types.answers import (
    AnalyzedQuery,
    Answer,
    AnswerEvent,
    AnswerKind,
    Delta,
    GenerationEnd,
    NoAnswerReason,
    Passage,
    PassagesEvent,
    Quotation,
    RankedEvidence,
    SourcesEvent,
    Turn,
)
from ..core.types.search import Hit
from ..core.types.usage import RequestContext
from ..search.retrieval import Search, retrieve
from .citations import CitationResolver
from .evidence_ranking import EvidenceRanker
from .judging import VerdictReview
from .passages import build_copies, build_passages
from .reply_habits import is_refusal
from .support import SupportCheck, skip_support_check
from .verification import SupportChecker

UNCITED_WARNING = "the answer cites nothing that could be checked"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The search result for a question, from one commit of a collection."""

    question: AnalyzedQuery
    chunk_count: int
    """Number of chunks in the collection."""
    hits: tuple[Hit, ...]
    passages: tuple[Passage, ...]
    copies: tuple[Passage, ...] = ()
    """Near-duplicates of the passages in other documents."""

    def with_history(self, history: tuple[Turn, ...]) -> "Evidence":
        """Return a copy whose question has the earlier turns of its conversation."""
        return replace(self, question=replace(self.question, history=history))


@dataclass(frozen=True, slots=True)
class AnswerConfig:
    """The answerer, and the rules for unsupported sentences and for missing answers."""

    answerer: Answerer
    policy: SupportPolicy
    profile: Profile
    warnings: tuple[str, ...] = ()
    """Warnings added to every answer."""
    ranker: EvidenceRanker = field(default_factory=EvidenceRanker)
    judge: SupportJudge | None = None
    """Decides about the sentences that the rules call `partial`."""
    prompt_version: str = ""
    """Name and hash of the prompt of a chat model."""

    @property
    def allows_unsupported(self) -> bool:
        """Whether the answer may consist of unsupported sentences."""
        return self.profile.on_no_answer == "draft"


def retrieve_evidence(store: Store, search: Search, neighbour_chunks: int) -> Evidence:
    """Search and load the passages for an answer, all from one commit.

    The first query of `search` is the question to answer.
    """
    with store.snapshot() as snapshot:
        result = retrieve(snapshot, search)
        return Evidence(
            question=result.analyzed_query,
            chunk_count=len(snapshot),
            hits=tuple(result.to_hits()),
            passages=tuple(build_passages(snapshot, result.ranked, neighbour_chunks)),
            copies=tuple(build_copies(snapshot, result.copies)),
        )


async def stream_answer(
    evidence: Evidence, config: AnswerConfig, context: RequestContext
) -> AsyncGenerator[AnswerEvent, None]:
    """Yield the hits and the closest passages, then the answer as it is checked, and last the complete answer.

    Nothing is released before a sentence is supported. If no sentence is supported, the answerer tries once more.
    """
    yield SourcesEvent(evidence.hits)
    ranked = await config.ranker.rank(evidence.question, evidence.passages, context, evidence.copies)
    yield PassagesEvent(ranked.closest)
    review = VerdictReview(config.judge, evidence.question.text)
    draft = _Draft(evidence, ranked, config, review)
    if evidence.passages:
        async with aclosing(draft.generate(context.with_purpose("answer"))) as deltas:
            async for delta in deltas:
                yield delta
        if draft.needs_repair:
            draft = _Draft(evidence, ranked, config, review, previous_draft=draft.generated_text)
            async with aclosing(draft.generate(context.with_purpose("repair"))) as deltas:
                async for delta in deltas:
                    yield delta
    if fallback := draft.fallback_text():
        yield Delta(fallback)
    yield draft.build_answer(context)


class _Draft:
    """One attempt to generate an answer."""

    def __init__(
        self,
        evidence: Evidence,
        ranked: RankedEvidence,
        config: AnswerConfig,
        review: VerdictReview,
        previous_draft: str = "",
    ) -> None:
        self.generated_text = ""
        """The answerer's own text, unchanged."""
        self._evidence = evidence
        self._ranked = ranked
        self._config = config
        self._previous_draft = previous_draft
        support_check: SupportCheck = skip_support_check
        if not config.answerer.is_extractive:
            support_check = SupportChecker(evidence.question, evidence.passages)
        self._resolver = CitationResolver(
            evidence.passages, support_check, config.policy, is_draft=config.allows_unsupported
        )
        self._review = review
        self._generation_end = GenerationEnd()
        self._buffered = ""
        self._released_text = ""

    async def generate(self, context: RequestContext) -> AsyncGenerator[Delta, None]:
        """Run the answerer and yield its text as it is checked."""
        pieces = self._config.answerer.generate(
            self._evidence.question, self._ranked, context, previous_draft=self._previous_draft
        )
        async with aclosing(pieces):
            async for piece in pieces:
                if isinstance(piece, GenerationEnd):
                    self._generation_end = piece
                elif text := self._release(await self._resolve(piece, context)):
                    yield Delta(text)
        remaining = self._resolver.finish_steps(complete=self._generation_end.complete)
        if text := self._release(await self._review.run(remaining, context)):
            yield Delta(text)

    async def _resolve(self, piece: str | Quotation, context: RequestContext) -> str:
        """Add the next piece and return the sentences that are now complete."""
        if isinstance(piece, Quotation):
            return self._resolver.quote(piece)
        self.generated_text += piece
        return await self._review.run(self._resolver.feed_steps(piece), context)

    @property
    def needs_repair(self) -> bool:
        """Whether the draft is complete, but no sentence in it is supported by the passages."""
        is_checked = not self._config.answerer.is_extractive and self._config.policy != "off"
        return (
            is_checked
            and self._generation_end.complete
            and bool(self.generated_text.strip())
            and not is_refusal(self.generated_text)
            and not self._released_text
        )

    def fallback_text(self) -> str:
        """Return the text to show if nothing was released: the unsupported draft, or the profile's text."""
        if self._released_text:
            return ""
        if self._config.allows_unsupported and self._buffered:
            return self._flush()
        return self._config.profile.get_no_answer_text()

    def build_answer(self, context: RequestContext) -> Answer:
        """Return the complete answer."""
        resolver, config = self._resolver, self._config
        answered = bool(self._released_text)
        return Answer(
            id=make_id("ans"),
            kind=self._choose_kind(answered=answered),
            confidence=round(self._ranked.confidence, 4),
            passages=self._ranked.closest,
            text=self._released_text or config.profile.get_no_answer_text(),
            answered=answered,
            reason=None if answered else self._no_answer_reason(),
            sentences=tuple(resolver.sentences) if answered else (),
            citations=tuple(resolver.citations) if answered else (),
            hits=self._evidence.hits,
            usage=context.usage_counter.usage,
            model=config.answerer.name,
            warnings=(
                *config.warnings,
                *self._generation_end.warnings,
                *self._review.warnings,
                *self._make_warnings(answered=answered),
            ),
            complete=self._generation_end.complete,
            escalated=not answered and config.profile.on_no_answer == "escalate",
        )

    def _choose_kind(self, *, answered: bool) -> AnswerKind:
        if not answered:
            return "passages"
        return "excerpt" if self._config.answerer.is_extractive else "generated"

    def _release(self, text: str) -> str:
        """Buffer text, and return the buffer as soon as one sentence is supported by a citation."""
        self._buffered += text
        return self._flush() if self._has_supported_sentence else ""

    def _flush(self) -> str:
        released, self._buffered = self._buffered, ""
        self._released_text += released
        return released

    @property
    def _has_supported_sentence(self) -> bool:
        if self._config.policy == "off":
            return True
        return any(sentence.support in ("verbatim", "supported", "partial") for sentence in self._resolver.sentences)

    def _make_warnings(self, *, answered: bool) -> list[str]:
        omitted_count = self._resolver.omitted_count
        omitted = [f"left out what no citation supports: {omitted_count} sentence{'s' * (omitted_count != 1)}"]
        disagreements = self._ranked.disagreements if answered else ()
        uncited = [UNCITED_WARNING] if answered and not self._resolver.citations else []
        return [*(omitted if omitted_count else []), *uncited, *disagreements]

    @property
    def _did_not_cite(self) -> bool:
        """Whether the model wrote a complete text, no refusal, in which no citation could be resolved."""
        text = self.generated_text
        is_answer = self._generation_end.complete and bool(text.strip()) and not is_refusal(text)
        return is_answer and not self._resolver.has_cited

    def _no_answer_reason(self) -> NoAnswerReason:
        if not self._evidence.chunk_count:
            return "empty_collection"
        if not self._evidence.passages:
            return "no_match"
        if self._did_not_cite:
            return "not_cited"
        return self._generation_end.reason or self._config.answerer.no_answer_reason
