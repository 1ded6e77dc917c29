"""The recorded answers and sessions of one caller with one collection. The ledger stores them."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..core.errors import LockedError, NotFoundError, Remedy, StorageError
from ..core.ports import Ledger, Store
from ..core.types.answer_requests import AnswerRequest
from ..core.types.answers import Answer, Citation, Turn
from ..core.types.filters import Filter
from ..core.types.sessions import AnswerRecord, CitationChange, Session
from .citations import detect_citation_change
from .escalation import Escalation
from .history import make_turn, validate_session_collection

NOT_QUEUED_WARNING = "nobody was told of this escalation, because too many others wait for their delivery"


@dataclass(frozen=True, slots=True)
class AnswerLog:
    """What the ledger keeps of one owner and one collection."""

    ledger: Ledger
    store: Store
    owner: str
    """`Caller.record_owner`."""
    collection: str
    visible_collections: frozenset[str] | None = None
    """Of the caller; None is all. A session of another one is treated as absent."""

    def create_session(self, profile: str | None) -> Session:
        """Begin a session."""
        created_at = self.store.created_at()
        return self.ledger.create_session(self.owner, self.collection, profile, collection_created_at=created_at)

    async def load_session(self, session_id: str | None) -> Session | None:
        """Return the session that a question continues, if it names one; NotFoundError if there is none of this id."""
        if session_id is None:
            return None
        session = await asyncio.to_thread(self.ledger.get_session, self.owner, session_id)
        if session is None or not self._is_visible(session):
            raise NotFoundError(
                f"there is no session {session_id[:80]!r}; begin one", remedy=Remedy("create_session", self.collection)
            )
        validate_session_collection(session, self.collection, await asyncio.to_thread(self.store.created_at))
        return session

    def _is_visible(self, session: Session) -> bool:
        return self.visible_collections is None or session.collection in self.visible_collections

    async def record(
        self,
        answer: Answer,
        request: AnswerRequest,
        searched_text: str,
        prompt_version: str,
        escalation: Escalation | None = None,
    ) -> Answer:
        """Record an answer, and add it to its session if it is complete; a failure becomes a warning in the answer.

        With `escalation`, an escalated answer is also queued for its webhook. Of a request that is not recorded, only
        the turn is stored.
        """
        answer = replace(answer, session_id=request.session)
        record = AnswerRecord(
            answer, self.owner, self.collection, request.question, searched_text, prompt_version, time.time()
        )
        turn = make_turn(request.question, answer) if request.session is not None and answer.complete else None
        message = escalation.build_message(record) if escalation is not None and answer.escalated else None
        try:
            if not request.is_recorded:
                return await self._append_turn(answer, turn)
            is_queued = await asyncio.to_thread(self.ledger.record_answer, record, turn, message)
        except (StorageError, LockedError, NotFoundError) as exc:
            return replace(answer, warnings=(*answer.warnings, f"this answer was not recorded: {exc}"))
        return answer if is_queued else replace(answer, warnings=(*answer.warnings, NOT_QUEUED_WARNING))

    async def _append_turn(self, answer: Answer, turn: Turn | None) -> Answer:
        """Add the turn of an answer that is not recorded to its session, and return the answer."""
        if turn is not None and answer.session_id is not None:
            await asyncio.to_thread(self.ledger.append_turn, self.owner, answer.session_id, turn)
        return answer

    def detect_citation_changes(self, citations: Iterable[Citation], filter: Filter | None) -> list[CitationChange]:
        """Return the change of each citation whose quote is no longer at its offsets in the documents that pass."""
        citations = list(citations)
        texts: dict[str, str | None] = {}
        for uri in {citation.uri for citation in citations}:
            document = self.store.document(uri, filter)
            texts[uri] = None if document is None else document.text
        return [
            CitationChange(citation.marker, citation.uri, change)
            for citation in citations
            if (change := detect_citation_change(citation, texts[citation.uri])) is not None
        ]
