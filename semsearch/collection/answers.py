"""Questions to a collection: answers with checked citations, sessions, and changes of cited sources.

`aask` and `astream` are for an event loop. What only answers need is imported late: it takes as long to load as all
that a search needs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import aclosing

from ..core.types.answer_requests import DEFAULT_OPTIONS, AnswerRequest, GenerationOptions, make_answer_request
from ..core.types.answers import Answer, AnswerEvent, Citation
from ..core.types.filters import RawFilter
from ..core.types.sessions import CitationChange, Session
from .access import CollectionAccess


class AnswerOperations(CollectionAccess):
    """Questions to a collection, and the sessions of the caller."""

    __slots__ = ()

    def ask(
        self,
        question: str | AnswerRequest,
        *,
        k: int | None = None,
        filter: RawFilter | None = None,
        options: GenerationOptions = DEFAULT_OPTIONS,
        session: str | None = None,
    ) -> Answer:
        """Answer a question, or an AnswerRequest with these fields; every citation is checked.

        `answered` is False where the documents hold no answer. In a session, which `create_session` begins, a question
        may refer to the turns before it.

        >>> answer = handbook.ask("How long is parental leave?")
        >>> answer.text, answer.citations[0].uri
        ('Parental leave is 26 weeks at full pay. [1]', 'docs/leave.md')
        """
        *_, answer = self.stream(question, k=k, filter=filter, options=options, session=session)
        assert isinstance(answer, Answer)
        return answer

    async def aask(
        self,
        question: str | AnswerRequest,
        *,
        k: int | None = None,
        filter: RawFilter | None = None,
        options: GenerationOptions = DEFAULT_OPTIONS,
        session: str | None = None,
        deadline: float | None = None,
    ) -> Answer:
        """`ask` for an event loop; `deadline` is a time of `time.monotonic()`.

        >>> asyncio.run(handbook.aask("How long is parental leave?")).answered
        True
        """
        request = make_answer_request(question, k, filter, options, session)
        async with aclosing(self.astream(request, deadline=deadline)) as events:
            async for event in events:
                last_event = event
        assert isinstance(last_event, Answer)
        return last_event

    def stream(
        self,
        question: str | AnswerRequest,
        *,
        k: int | None = None,
        filter: RawFilter | None = None,
        options: GenerationOptions = DEFAULT_OPTIONS,
        session: str | None = None,
    ) -> Generator[AnswerEvent, None, None]:
        """`ask` as a stream: one SourcesEvent, one PassagesEvent, then Deltas, then the Answer.

        >>> for event in handbook.stream("How long is parental leave?"):
        ...     if isinstance(event, semsearch.Delta):
        ...         print(event.text, end="")
        Parental leave is 26 weeks at full pay. [1]
        """
        request = make_answer_request(question, k, filter, options, session)
        return self.backends.loop.iterate(self.astream(request))

    async def astream(
        self,
        question: str | AnswerRequest,
        *,
        k: int | None = None,
        filter: RawFilter | None = None,
        options: GenerationOptions = DEFAULT_OPTIONS,
        session: str | None = None,
        deadline: float | None = None,
    ) -> AsyncGenerator[AnswerEvent, None]:
        """`stream` for an event loop; `deadline` is a time of `time.monotonic()`.

        >>> async def print_answer(question: str) -> None:
        ...     async for event in handbook.astream(question):
        ...         print(type(event).__name__)
        >>> asyncio.run(print_answer("How long is parental leave?"))
        SourcesEvent
        PassagesEvent
        Delta
        Answer
        """
        from ..answers.requests import validate_answer_request
        from .answering import stream_recorded_answer

        request = validate_answer_request(make_answer_request(question, k, filter, options, session))
        visible_filter, answer_log = self._visible_filter(request.filter), self._answer_log()
        context = self._request_context(session=request.session, deadline=deadline)
        filters = visible_filter, self._access_filter()
        stream = stream_recorded_answer(request, *filters, self.backends, answer_log, context)
        async with aclosing(stream) as events:
            async for event in events:
                yield event

    def create_session(self, profile: str | None = None) -> Session:
        """Begin a session of the caller with this collection.

        >>> session = handbook.create_session()
        >>> answer = handbook.ask("How long is parental leave?", session=session.id)
        >>> handbook.ask("And at which pay?", session=session.id).session_id == session.id
        True
        """
        from ..answers.requests import choose_answer_config

        # raises InvalidError if there is no such profile
        choose_answer_config(DEFAULT_OPTIONS, profile, self.backends.embedder, self.backends.answerer_deps)
        return self._answer_log().create_session(profile)

    def citation_changes(self, citations: Iterable[Citation]) -> list[CitationChange]:
        """Return the citations whose quote is no longer at its offsets, each with the kind of change.

        >>> answer = handbook.ask("How long is parental leave?")
        >>> handbook.remove(["docs/leave.md"])
        ['docs/leave.md']
        >>> handbook.citation_changes(answer.citations)
        [CitationChange(marker=1, uri='docs/leave.md', change='gone')]
        """
        return self._answer_log().detect_citation_changes(citations, self._visible_filter(None))
