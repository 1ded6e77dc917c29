"""From a question to an answer with checked citations: search → passages → write → cite. Does not know who writes."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from .accounts import Errand
from .citations import Resolver
from .passages import passages
from .ports import Answerer, Store
from .retrieval import Query, analyse, hit, retrieve
from .types import Answer, Delta, Event, Finish, Hit, Passage, Question, Reason, Sources

UNCITED = "the answer cites nothing that could be checked"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one look into a collection found for a question."""

    question: Question
    chunks: int
    """How many the collection holds."""
    hits: tuple[Hit, ...]
    passages: tuple[Passage, ...]


def gather(store: Store, query: Query, k: int, reach: int) -> Evidence:
    """Search, and load what the answer may be written from, all of one commit."""
    with store.snapshot() as snapshot:
        question = analyse(snapshot, query.text)
        ranked = retrieve(snapshot, query, question, k)
        return Evidence(
            question=question,
            chunks=len(snapshot),
            hits=tuple(hit(chunk, score) for chunk, score in ranked),
            passages=tuple(passages(snapshot, ranked, reach)),
        )


async def answer(
    evidence: Evidence, answerer: Answerer, errand: Errand, warnings: tuple[str, ...] = ()
) -> AsyncGenerator[Event, None]:
    """Yield what was found, then the answer sentence by sentence as each is complete, and at last the whole."""
    yield Sources(evidence.hits)
    resolver = Resolver(evidence.passages, answerer.support)
    finish = Finish()
    text = ""
    if evidence.passages:
        async with aclosing(answerer.write(evidence.question, evidence.passages, errand)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Finish):
                    finish = piece
                elif released := resolver.feed(piece):
                    text += released
                    yield Delta(released)
        if released := resolver.finish():
            text += released
            yield Delta(released)
    yield Answer(
        id=f"ans_{secrets.token_hex(12)}",
        answer=text,
        answered=bool(text),
        reason=None if text else _reason(evidence, answerer),
        sentences=tuple(resolver.sentences),
        citations=tuple(resolver.citations),
        hits=evidence.hits,
        usage=errand.tally.usage,
        model=answerer.name,
        warnings=(*warnings, *finish.warnings, *((UNCITED,) if text and not resolver.citations else ())),
    )


def _reason(evidence: Evidence, answerer: Answerer) -> Reason:
    if not evidence.chunks:
        return "empty_collection"
    return answerer.silence if evidence.passages else "no_match"
