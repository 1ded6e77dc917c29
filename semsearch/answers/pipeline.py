"""From a question to an answer with checked citations: search → passages → write → cite → check.

Does not know who writes, and keeps nothing.
"""

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from ..core.ports import Answerer, Store
from ..core.types.answers import (
    AnalyzedQuery,
    Answer,
    AnswerEvent,
    Delta,
    GenerationEnd,
    NoAnswerReason,
    Passage,
    Profile,
    Quotation,
    SourcesEvent,
    SupportPolicy,
    Turn,
)
from ..core.types.search import Hit
from ..core.types.usage import RequestContext
from ..search.retrieval import Search, retrieve
from .citations import CitationResolver, SupportCheck, skip_support_check
from .passages import build_passages
from .verification import SupportJudge as SupportJudge

UNCITED_WARNING = "the answer cites nothing that could be checked"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one look into a collection found for a question."""

    question: AnalyzedQuery
    chunk_count: int
    """How many the collection holds."""
    hits: tuple[Hit, ...]
    passages: tuple[Passage, ...]

    def with_history(self, history: tuple[Turn, ...]) -> "Evidence":
        """The same for a question that was asked after others."""
        return replace(self, question=replace(self.question, history=history))


@dataclass(frozen=True, slots=True)
class AnswerConfig:
    """Who answers, and what becomes of what is not supported or not known."""

    answerer: Answerer
    policy: SupportPolicy
    profile: Profile
    warnings: tuple[str, ...] = ()
    """What is to be said in any case."""

    @property
    def allows_unsupported(self) -> bool:
        """Whether something is written even where nothing is supported."""
        return self.profile.on_no_answer == "draft"


def retrieve_evidence(store: Store, search: Search, neighbour_chunks: int) -> Evidence:
    """Search, and load what the answer may be written from, all of one commit.

    The first of its queries says what is to be answered.
    """
    with store.snapshot() as snapshot:
        result = retrieve(snapshot, search)
        return Evidence(
            question=result.analyzed_query,
            chunk_count=len(snapshot),
            hits=tuple(result.to_hits()),
            passages=tuple(build_passages(snapshot, result.ranked, neighbour_chunks)),
        )


async def stream_answer(
    evidence: Evidence, config: AnswerConfig, context: RequestContext
) -> AsyncGenerator[AnswerEvent, None]:
    """Yield what was found, then the answer sentence by sentence as each is checked, and at last the whole.

    Nothing is released before a first sentence is supported. If the whole of it is not, the answerer may try once more.
    """
    yield SourcesEvent(evidence.hits)
    draft = _Draft(evidence, config)
    if evidence.passages:
        async with aclosing(draft.generate(context.with_purpose("answer"))) as deltas:
            async for delta in deltas:
                yield delta
        if draft.needs_repair:
            draft = _Draft(evidence, config, previous_draft=draft.generated_text)
            async with aclosing(draft.generate(context.with_purpose("repair"))) as deltas:
                async for delta in deltas:
                    yield delta
    if fallback := draft.fallback_text():
        yield Delta(fallback)
    yield draft.build_answer(context)


class _Draft:
    """One try at an answer."""

    def __init__(self, evidence: Evidence, config: AnswerConfig, previous_draft: str = "") -> None:
        self.generated_text = ""
        """What the answerer wrote itself, as it wrote it."""
        self._evidence = evidence
        self._config = config
        self._previous_draft = previous_draft
        support_check: SupportCheck = skip_support_check
        if not config.answerer.is_extractive:
            support_check = SupportJudge(evidence.question, evidence.passages)
        self._resolver = CitationResolver(evidence.passages, support_check, config.policy)
        self._generation_end = GenerationEnd()
        self._buffered = ""
        self._released_text = ""

    async def generate(self, context: RequestContext) -> AsyncGenerator[Delta, None]:
        """Let the answerer write, and yield what is checked."""
        evidence = self._evidence
        pieces = self._config.answerer.generate(
            evidence.question, evidence.passages, context, previous_draft=self._previous_draft
        )
        async with aclosing(pieces):
            async for piece in pieces:
                if isinstance(piece, GenerationEnd):
                    self._generation_end = piece
                elif text := self._release(self._resolve(piece)):
                    yield Delta(text)
        if text := self._release(self._resolver.finish(complete=self._generation_end.complete)):
            yield Delta(text)

    def _resolve(self, piece: str | Quotation) -> str:
        """What is complete with the next piece."""
        if isinstance(piece, Quotation):
            return self._resolver.quote(piece)
        self.generated_text += piece
        return self._resolver.feed(piece)

    @property
    def needs_repair(self) -> bool:
        """Whether it is whole, but nothing in it can be traced to the passages."""
        is_checked = not self._config.answerer.is_extractive and self._config.policy != "off"
        return (
            is_checked
            and self._generation_end.complete
            and bool(self.generated_text.strip())
            and not self._released_text
        )

    def fallback_text(self) -> str:
        """What is said where nothing was released: a draft as it is, else what the profile says."""
        if self._released_text:
            return ""
        if self._config.allows_unsupported and self._buffered:
            return self._flush()
        return self._config.profile.get_no_answer_text()

    def build_answer(self, context: RequestContext) -> Answer:
        """The whole answer."""
        resolver, config = self._resolver, self._config
        answered = bool(self._released_text)
        return Answer(
            id=f"ans_{secrets.token_hex(12)}",
            answer=self._released_text or config.profile.get_no_answer_text(),
            answered=answered,
            reason=None if answered else self._no_answer_reason(),
            sentences=tuple(resolver.sentences) if answered else (),
            citations=tuple(resolver.citations) if answered else (),
            hits=self._evidence.hits,
            usage=context.usage_counter.usage,
            model=config.answerer.name,
            warnings=(*config.warnings, *self._generation_end.warnings, *self._make_warnings(answered=answered)),
            complete=self._generation_end.complete,
            escalated=not answered and config.profile.on_no_answer == "escalate",
        )

    def _release(self, text: str) -> str:
        """What may be shown by now: nothing as long as no sentence stands on a citation."""
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
        return any(sentence.support in ("supported", "partial") for sentence in self._resolver.sentences)

    def _make_warnings(self, *, answered: bool) -> list[str]:
        omitted = self._resolver.omitted_count
        left_out = f"left out what no citation supports: {omitted} sentence{'s' * (omitted != 1)}"
        uncited = answered and not self._resolver.citations
        return [*([left_out] if omitted else []), *([UNCITED_WARNING] if uncited else [])]

    def _no_answer_reason(self) -> NoAnswerReason:
        if not self._evidence.chunk_count:
            return "empty_collection"
        if not self._evidence.passages:
            return "no_match"
        return self._generation_end.reason or self._config.answerer.no_answer_reason
