"""Approve answers, find the approved answer to a question, and return it in place of a new one.

An approved answer is returned only to callers who may see every document that it cites, and only while all its quotes
stand in these documents. Everybody else gets a new answer, as if there were no approved one.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from ..core.errors import ConflictError, InvalidError
from ..core.names import make_id
from ..core.types.access import find_owner
from ..core.types.answer_requests import AnswerRequest
from ..core.types.answers import (
    Answer,
    AnswerEvent,
    AnswerSentence,
    Approval,
    Citation,
    ClosestPassage,
    Delta,
    PassagesEvent,
    SourcesEvent,
    TextSpan,
)
from ..core.types.approvals import ApprovedAnswer
from ..core.types.documents import Vectors
from ..core.types.evidence import QuotedWords
from ..core.types.filters import Filter
from ..core.types.search import Hit
from ..core.types.sessions import AnswerRecord
from ..core.types.usage import RequestContext
from ..text.cleaning import clean, validate_query
from ..text.question_forms import make_question_key, normalize_question, reduce_question
from ..text.quotes import DocumentWords
from .approved_evidence import ApprovedEvidence, check_evidence

MIN_COSINE = 0.85
"""Of the vectors of two questions with the same words, in the singular or plural. With the embedded model
"carry over day" and "carry over days" have .87, "new" and "news" .26."""

MAX_TEXT_CHARACTERS = 20_000
_MARKER = re.compile(r"\[(\d{1,4})\]")

EmbedQuestions = Callable[[Sequence[str]], Awaitable[Sequence[Vectors]]]
"""Return the unit vector of each question."""


def make_approved_answer(
    record: AnswerRecord, question: str | None, text: str | None, evidence: ApprovedEvidence, filter: Filter | None
) -> ApprovedAnswer:
    """Return the approved form of a recorded answer, with another question or text if these are given.

    InvalidError if it cites nothing or the text is not valid; ConflictError if a quote no longer stands in a document
    that passes the filter.
    """
    answer = record.answer if text is None else _replace_text(record.answer, text)
    if not answer.answered or not answer.citations:
        raise InvalidError(
            "this answer cites nothing, so no change of a document could break it; approve one that does"
        )
    citations = _check_citations(answer, evidence, filter)
    return ApprovedAnswer(
        id=answer.id,
        collection=record.collection,
        owner=find_owner(record.owner),
        question=validate_query(_choose_question(record) if question is None else question),
        text=answer.text,
        kind=answer.kind,
        sentences=answer.sentences,
        citations=tuple(citation for citation, _ in citations),
        quoted_words=tuple(words for _, words in citations),
        model=answer.model,
        confidence=answer.confidence,
        approved=time.time(),
    )


def _choose_question(record: AnswerRecord) -> str:
    """Return the question of an answer; InvalidError if it may depend on the questions before it."""
    if record.answer.session_id is None:
        return record.question
    raise InvalidError(
        f"{record.question[:80]!r} was asked in a session, so it may need the questions before it; give the whole"
        " question as another text"
    )


def _replace_text(answer: Answer, text: str) -> Answer:
    """Return the answer with a text of its reviewer; a text without citation numbers gets those of the answer.

    It is no excerpt any more: an excerpt is copied from the documents.
    """
    text = clean(text).strip()
    if not text or len(text) > MAX_TEXT_CHARACTERS:
        raise InvalidError(f"the answer has {len(text):,} characters; it needs 1 to {MAX_TEXT_CHARACTERS:,}")
    known = [citation.marker for citation in answer.citations]
    markers = list(dict.fromkeys(map(int, _MARKER.findall(text))))
    if unknown := [marker for marker in markers if marker not in known]:
        raise InvalidError(f"the text cites [{unknown[0]}]; the answer has {', '.join(f'[{n}]' for n in known)}")
    if not markers:
        markers, text = known, f"{text} {''.join(f'[{marker}]' for marker in known)}".strip()
    citations = tuple(citation for citation in answer.citations if citation.marker in markers)
    sentence = AnswerSentence(text, "not_checked", tuple(markers))
    return replace(answer, text=text, kind="generated", sentences=(sentence,), citations=citations)


def _check_citations(
    answer: Answer, evidence: ApprovedEvidence, filter: Filter | None
) -> list[tuple[Citation, QuotedWords]]:
    """Return the citations with their words; ConflictError if a quote is no longer where it was."""
    checked = []
    for citation in answer.citations:
        current = evidence.read_text(citation.uri, filter)
        if current is None or current.text[citation.start : citation.end] != citation.quote:
            raise ConflictError(
                f"{citation.uri!r} has changed since this answer; ask again, and approve the new answer"
            )
        words = DocumentWords(current.text).read_quote(citation.start, citation.end)
        checked.append((replace(citation, content_sha256=current.sha256), words))
    return checked


@dataclass(frozen=True, slots=True)
class ApprovedAnswerFinder:
    """Finds the approved answer to a question of one caller."""

    evidence: ApprovedEvidence
    visible_filter: Filter | None
    embed: EmbedQuestions

    async def find(self, request: AnswerRequest) -> ApprovedAnswer | None:
        """Return the latest intact approved answer to the question, with its citations as they stand now.

        None for a request that names a model or instructions: it wants a text of that model.
        """
        if request.ignores_approved or request.options.model is not None or request.options.system is not None:
            return None
        key = make_question_key(request.question)
        evidence = self.evidence
        for approved in await asyncio.to_thread(evidence.approvals.find_approved, evidence.collection, key):
            if await self._is_near(request.question, approved.question):
                read_text = partial(evidence.read_text, filter=self.visible_filter)
                checked = await asyncio.to_thread(check_evidence, approved, read_text)
                if not checked.is_stale:
                    return checked
        return None

    async def _is_near(self, question: str, approved_question: str) -> bool:
        """Return whether questions with the same words in the same order are the same question."""
        if normalize_question(question) == normalize_question(approved_question):
            return True
        reduced, approved_reduced = reduce_question(question), reduce_question(approved_question)
        if reduced == approved_reduced:
            return True
        first, second = await self.embed([reduced, approved_reduced])
        return float(first @ second) >= MIN_COSINE


async def stream_approved(
    approved: ApprovedAnswer, hits: tuple[Hit, ...], context: RequestContext
) -> AsyncGenerator[AnswerEvent, None]:
    """Yield the events of an approved answer; its passages are the cited spans."""
    passages = tuple(map(_make_passage, approved.citations))
    yield SourcesEvent(hits)
    yield PassagesEvent(passages)
    yield Delta(approved.text)
    yield Answer(
        id=make_id("ans"),
        text=approved.text,
        answered=True,
        reason=None,
        sentences=approved.sentences,
        citations=approved.citations,
        hits=hits,
        usage=context.usage_counter.usage,
        model=approved.model,
        kind=approved.kind,
        confidence=approved.confidence,
        passages=passages,
        approved=Approval(approved.id, datetime.fromtimestamp(approved.approved, UTC).date().isoformat()),
    )


def _make_passage(citation: Citation) -> ClosestPassage:
    return ClosestPassage(
        citation.uri,
        citation.title,
        citation.heading,
        citation.page,
        citation.start,
        citation.end,
        citation.quote,
        TextSpan(citation.start, citation.end),
    )
