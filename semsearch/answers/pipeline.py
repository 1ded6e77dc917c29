"""From a question to an answer with checked citations: search → passages → write → cite → check.

Does not know who writes, and keeps nothing.
"""

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from ..core.ports import Answerer, Store
from ..core.types.answers import (
    Answer,
    Delta,
    Event,
    Finish,
    Passage,
    Policy,
    Profile,
    Question,
    Quotation,
    Reason,
    Sources,
    Turn,
)
from ..core.types.search import Hit
from ..core.types.usage import Errand
from ..search.retrieval import Search, retrieve
from .citations import Judge, Resolver, unread
from .passages import passages
from .verification import Judge as SupportJudge

UNCITED = "the answer cites nothing that could be checked"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one look into a collection found for a question."""

    question: Question
    chunks: int
    """How many the collection holds."""
    hits: tuple[Hit, ...]
    passages: tuple[Passage, ...]

    def after(self, history: tuple[Turn, ...]) -> "Evidence":
        """The same for a question that was asked after others."""
        return replace(self, question=replace(self.question, history=history))


@dataclass(frozen=True, slots=True)
class Manner:
    """Who answers, and what becomes of what is not supported or not known."""

    answerer: Answerer
    policy: Policy
    profile: Profile
    warnings: tuple[str, ...] = ()
    """What is to be said in any case."""

    @property
    def drafting(self) -> bool:
        """Whether something is written even where nothing is supported."""
        return self.profile.unknown == "draft"


def gather(store: Store, search: Search, reach: int) -> Evidence:
    """Search, and load what the answer may be written from, all of one commit.

    The first of its queries says what is to be answered.
    """
    with store.snapshot() as snapshot:
        found = retrieve(snapshot, search)
        return Evidence(
            question=found.question,
            chunks=len(snapshot),
            hits=tuple(found.hits()),
            passages=tuple(passages(snapshot, found.ranked, reach)),
        )


async def answer(evidence: Evidence, manner: Manner, errand: Errand) -> AsyncGenerator[Event, None]:
    """Yield what was found, then the answer sentence by sentence as each is checked, and at last the whole.

    Nothing is released before a first sentence is supported. If the whole of it is not, the answerer may try once more.
    """
    yield Sources(evidence.hits)
    draft = _Draft(evidence, manner)
    if evidence.passages:
        async with aclosing(draft.written(errand.to("answer"))) as deltas:
            async for delta in deltas:
                yield delta
        if draft.may_be_repaired:
            draft = _Draft(evidence, manner, rejected=draft.said)
            async with aclosing(draft.written(errand.to("repair"))) as deltas:
                async for delta in deltas:
                    yield delta
    if rest := draft.rest():
        yield Delta(rest)
    yield draft.answer(errand)


class _Draft:
    """One try at an answer."""

    def __init__(self, evidence: Evidence, manner: Manner, rejected: str = "") -> None:
        self.said = ""
        """What the answerer wrote itself, as it wrote it."""
        self._evidence = evidence
        self._manner = manner
        self._rejected = rejected
        judge: Judge = unread
        if not manner.answerer.copies:
            judge = SupportJudge(evidence.question, evidence.passages)
        self._resolver = Resolver(evidence.passages, judge, manner.policy)
        self._finish = Finish()
        self._held = ""
        self._released = ""

    async def written(self, errand: Errand) -> AsyncGenerator[Delta, None]:
        """Let the answerer write, and yield what is checked."""
        evidence = self._evidence
        pieces = self._manner.answerer.write(evidence.question, evidence.passages, errand, rejected=self._rejected)
        async with aclosing(pieces):
            async for piece in pieces:
                if isinstance(piece, Finish):
                    self._finish = piece
                elif text := self._release(self._resolved(piece)):
                    yield Delta(text)
        if text := self._release(self._resolver.finish(complete=self._finish.complete)):
            yield Delta(text)

    def _resolved(self, piece: str | Quotation) -> str:
        """What is complete with the next piece."""
        if isinstance(piece, Quotation):
            return self._resolver.quote(piece)
        self.said += piece
        return self._resolver.feed(piece)

    @property
    def may_be_repaired(self) -> bool:
        """Whether it is whole, but nothing in it can be traced to the passages."""
        asked = not self._manner.answerer.copies and self._manner.policy != "off"
        return asked and self._finish.complete and bool(self.said.strip()) and not self._released

    def rest(self) -> str:
        """What is said where nothing was released: a draft as it is, else what the profile says."""
        if self._released:
            return ""
        if self._manner.drafting and self._held:
            return self._let_go()
        return self._manner.profile.says()

    def answer(self, errand: Errand) -> Answer:
        """The whole answer."""
        resolver, manner = self._resolver, self._manner
        answered = bool(self._released)
        return Answer(
            id=f"ans_{secrets.token_hex(12)}",
            answer=self._released or manner.profile.says(),
            answered=answered,
            reason=None if answered else self._reason(),
            sentences=tuple(resolver.sentences) if answered else (),
            citations=tuple(resolver.citations) if answered else (),
            hits=self._evidence.hits,
            usage=errand.tally.usage,
            model=manner.answerer.name,
            warnings=(*manner.warnings, *self._finish.warnings, *self._warnings(answered=answered)),
            complete=self._finish.complete,
            handed_off=not answered and manner.profile.unknown == "hand_off",
        )

    def _release(self, text: str) -> str:
        """What may be shown by now: nothing as long as no sentence stands on a citation."""
        self._held += text
        return self._let_go() if self._shown else ""

    def _let_go(self) -> str:
        released, self._held = self._held, ""
        self._released += released
        return released

    @property
    def _shown(self) -> bool:
        if self._manner.policy == "off":
            return True
        return any(sentence.support in ("supported", "partial") for sentence in self._resolver.sentences)

    def _warnings(self, *, answered: bool) -> list[str]:
        withheld = self._resolver.withheld
        left_out = f"left out what no citation supports: {withheld} sentence{'s' * (withheld != 1)}"
        uncited = answered and not self._resolver.citations
        return [*([left_out] if withheld else []), *([UNCITED] if uncited else [])]

    def _reason(self) -> Reason:
        if not self._evidence.chunks:
            return "empty_collection"
        if not self._evidence.passages:
            return "no_match"
        return self._finish.reason or self._manner.answerer.silence
