"""Report how long the stages of an answer take, without the time that the reader of its events takes."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from ..core.metrics import Metrics
from ..core.types.answers import Answer, AnswerEvent, PassagesEvent


async def report_stage_times(
    events: AsyncGenerator[AnswerEvent, None], metrics: Metrics
) -> AsyncGenerator[AnswerEvent, None]:
    """Yield the events of an answer; report the time until the passages, and from there until the answer."""
    seconds, started = 0.0, time.perf_counter()
    async with aclosing(events):
        async for event in events:
            seconds += time.perf_counter() - started
            if isinstance(event, PassagesEvent):
                metrics.observe("stage_seconds", ("ask", "rerank"), seconds)
                seconds = 0.0
            elif isinstance(event, Answer):
                metrics.observe("stage_seconds", ("ask", "generate"), seconds)
            yield event
            started = time.perf_counter()
