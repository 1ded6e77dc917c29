"""Answer one question from a collection: search, generate, verify, and record the answer in the ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from ..answers.answer_log import AnswerLog
from ..answers.approved_answers import ApprovedAnswerFinder, stream_approved
from ..answers.approved_evidence import ApprovedEvidence
from ..answers.escalation import Escalation
from ..answers.history import truncate_history
from ..answers.pipeline import AnswerConfig, Evidence, retrieve_evidence, stream_answer
from ..answers.profile_texts import localize_texts
from ..answers.profiles import DEFAULT_ANSWER_K
from ..answers.refusals import Refusal, find_refusal, stream_refusal
from ..answers.requests import build_answer_queries, choose_answer_config
from ..core.types.answer_requests import AnswerRequest, Profile
from ..core.types.answers import Answer, AnswerEvent, Turn
from ..core.types.approvals import ApprovedAnswer
from ..core.types.filters import Filter
from ..core.types.usage import RequestContext
from ..search.retrieval import Query, Search
from .backends import CollectionBackends
from .stage_times import report_stage_times


async def stream_recorded_answer(
    request: AnswerRequest,
    visible_filter: Filter | None,
    access_filter: Filter | None,
    backends: CollectionBackends,
    answer_log: AnswerLog,
    context: RequestContext,
) -> AsyncGenerator[AnswerEvent, None]:
    """Yield the events of the answer to a validated request; the Answer is recorded before it is yielded."""
    session = await answer_log.load_session(request.session)
    profile, turns = (session.profile, session.turns) if session else (None, ())
    config = choose_answer_config(request.options, profile, backends.embedder, backends.answerer_deps)
    config = replace(config, profile=localize_texts(config.profile, request.question))
    escalation = _make_escalation(config.profile, request.options.profile or profile, turns, backends)
    searched_text, history = request.question, truncate_history(turns)
    refusal = await _find_refusal(request.question, config.profile, backends, context)
    if refusal is None:
        queries = await build_answer_queries(
            request.question, history, visible_filter, backends.embedder, config.answerer, context, backends.answer_mode
        )
        searched_text = queries[-1].text
        if (condensed := queries[0].full_text) != request.question:
            refusal = await _find_refusal(condensed, config.profile, backends, context)
    if refusal is None:
        approved = None if history else await _find_approved(request, visible_filter, backends, answer_log, context)
        queries = [replace(query, access_filter=access_filter) for query in queries]
        evidence = await _retrieve(request, queries, config, backends, context)
        answer_events = (
            stream_answer(evidence.with_history(history), config, context)
            if approved is None
            else stream_approved(approved, evidence.hits, context)
        )
    else:
        answer_events = stream_refusal(refusal, config, context)
    async with aclosing(report_stage_times(answer_events, backends.metrics)) as events:
        async for event in events:
            if isinstance(event, Answer):
                yield await answer_log.record(event, request, searched_text, config.prompt_version, escalation)
            else:
                yield event


async def _retrieve(
    request: AnswerRequest,
    queries: Sequence[Query],
    config: AnswerConfig,
    backends: CollectionBackends,
    context: RequestContext,
) -> Evidence:
    """Search, and load the passages on the search thread."""
    hit_count = request.k or config.profile.k or DEFAULT_ANSWER_K
    search = await backends.embed_search(Search(queries, hit_count, backends.result_options), context, "ask")
    retrieve = partial(retrieve_evidence, backends.store, search, config.answerer.neighbour_chunks)
    started = time.perf_counter()
    evidence = await asyncio.get_running_loop().run_in_executor(backends.search_executor, retrieve)
    backends.metrics.observe("stage_seconds", ("ask", "retrieve"), time.perf_counter() - started)
    return evidence


async def _find_refusal(
    question: str, profile: Profile, backends: CollectionBackends, context: RequestContext
) -> Refusal | None:
    embedder = backends.answerer_deps.get_local_embedder() if profile.forbidden_topics else None
    return await find_refusal(question, profile, embedder, context)


def _make_escalation(
    profile: Profile, name: str | None, turns: Sequence[Turn], backends: CollectionBackends
) -> Escalation | None:
    """Return what a message to the webhook of the profile needs; None if it has no webhook."""
    if profile.webhook is None or name is None:
        return None
    return Escalation(name, turns, backends.answerer_deps.settings.public_url)


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
