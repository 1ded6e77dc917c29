"""Answer one question from a collection: search, generate, verify, and record the answer in the ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from ..answers.answer_log import AnswerLog
from ..answers.history import truncate_history
from ..answers.pipeline import retrieve_evidence, stream_answer
from ..answers.profiles import DEFAULT_ANSWER_K
from ..answers.requests import build_answer_queries, choose_answer_config
from ..core.types.answer_requests import AnswerRequest
from ..core.types.answers import Answer, AnswerEvent
from ..core.types.filters import Filter
from ..core.types.usage import RequestContext
from ..search.retrieval import Search
from .backends import CollectionBackends
from .stage_times import report_stage_times


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
    queries = await build_answer_queries(
        request.question, history, visible_filter, backends.embedder, answerer, context, backends.answer_mode
    )
    hit_count = request.k or config.profile.k or DEFAULT_ANSWER_K
    search = await backends.embed_search(Search(queries, hit_count, backends.result_options), context, "ask")
    retrieve = partial(retrieve_evidence, backends.store, search, answerer.neighbour_chunks)
    started = time.perf_counter()
    evidence = await asyncio.get_running_loop().run_in_executor(backends.search_executor, retrieve)
    backends.metrics.observe("stage_seconds", ("ask", "retrieve"), time.perf_counter() - started)
    answer_events = stream_answer(evidence.with_history(history), config, context)
    async with aclosing(report_stage_times(answer_events, backends.metrics)) as events:
        async for event in events:
            if isinstance(event, Answer):
                yield await answer_log.record(event, request, queries[-1].text, config.prompt_version)
            else:
                yield event
