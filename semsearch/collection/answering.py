"""Answer one question from a collection: search, generate, verify, and record the answer in the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from ..answers.answer_log import AnswerLog
from ..answers.approved_answers import ApprovedAnswerFinder, stream_approved
from ..answers.approved_evidence import ApprovedEvidence
from ..answers.history import truncate_history
from ..answers.pipeline import retrieve_evidence, stream_answer
from ..answers.profiles import DEFAULT_ANSWER_K
from ..answers.requests import build_answer_queries, choose_answer_config
from ..core.types.answer_requests import AnswerRequest
from ..core.types.answers import Answer, AnswerEvent
from ..core.types.approvals import ApprovedAnswer
from ..core.types.filters import Filter
from ..core.types.usage import RequestContext
from ..search.retrieval import Search
from .backends import CollectionBackends


async def stream_recorded_answer(
    request: AnswerRequest,
    visible_filter: Filter | None,
    backends: CollectionBackends,
    answer_log: AnswerLog,
    context: RequestContext,
) -> AsyncGenerator[AnswerEvent, None]:
    """Yield the events of the answer to a validated request; the Answer is recorded before it is yielded."""
    session = await answer_log.load_session(request.session)
    profile, turns = (session.profile, session.turns) if session else (None, ())
    config = choose_answer_config(request.options, profile, backends.embedder, backends.answerer_deps)
    answerer, history = config.answerer, truncate_history(turns)
    approved = None if history else await _find_approved(request, visible_filter, backends, answer_log, context)
    queries = await build_answer_queries(
        request.question, history, visible_filter, backends.embedder, answerer, context
    )
    hit_count = request.k or config.profile.k or DEFAULT_ANSWER_K
    search = await backends.embed_search(Search(queries, hit_count, backends.result_options), context)
    retrieve = partial(retrieve_evidence, backends.store, search, answerer.neighbour_chunks)
    evidence = await asyncio.get_running_loop().run_in_executor(backends.search_executor, retrieve)
    stream = stream_answer(evidence.with_history(history), config, context)
    if approved is not None:
        stream = stream_approved(approved, evidence.hits, context)
    async with aclosing(stream) as events:
        async for event in events:
            if isinstance(event, Answer):
                yield await answer_log.record(event, request, queries[-1].text)
            else:
                yield event


async def _find_approved(
    request: AnswerRequest,
    visible_filter: Filter | None,
    backends: CollectionBackends,
    answer_log: AnswerLog,
    context: RequestContext,
) -> ApprovedAnswer | None:
    """Return the approved answer to a question without a history, on which its meaning may depend."""
    evidence = ApprovedEvidence(backends.approvals, backends.store, answer_log.collection)
    embed = partial(backends.query_cache.embed, backends.embedder, context=context)
    return await ApprovedAnswerFinder(evidence, visible_filter, embed).find(request)
