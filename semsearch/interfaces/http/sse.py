"""Answers as server-sent events, and cancellation when the client disconnects."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, TypeVar

import orjson
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...core.errors import SemsearchError, UnavailableError
from ...core.types.answers import Answer, AnswerEvent, Delta, PassagesEvent, SourcesEvent, encode_fields
from . import problems
from .idempotency import mark_broken_off
from .remedies import add_remedy

_EVENT_NAMES: dict[type[AnswerEvent], str] = {
    SourcesEvent: "sources",
    PassagesEvent: "passages",
    Delta: "delta",
    Answer: "answer",
}
_T = TypeVar("_T")


async def cancel_on_disconnect(receive: Receive, coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Return the result of `coroutine`. If the client disconnects first, cancel it and raise ClientDisconnect."""
    task = asyncio.ensure_future(coroutine)
    disconnect = asyncio.ensure_future(_wait_for_disconnect(receive))
    try:
        await asyncio.wait((task, disconnect), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        disconnect.cancel()
        await asyncio.gather(task, disconnect, return_exceptions=True)


class EventStream(Response):
    """Send events as they come, each transformed.

    An error before the first event is a problem response, a later one an `error` event. `slot` is held from before the
    first event to the end of the stream.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[AnswerEvent, None],
        transform: Callable[[AnswerEvent], AnswerEvent],
        slot: AbstractAsyncContextManager[None],
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store"})
        del self.headers["content-length"]
        self._events = events
        self._transform = transform
        self._slot = slot
        self._is_open = False
        """Whether the response has started and is not complete."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the stream ends, the client disconnects, or the service shuts down."""
        try:
            await cancel_on_disconnect(receive, self._send_all(scope, receive, send))
        except asyncio.CancelledError:  # the service shuts down
            if self._is_open:
                mark_broken_off(scope)
                await send(_make_error_event(scope, UnavailableError(problems.SHUTDOWN_DETAIL)))
                await self._send_end(send)
            raise

    async def _send_all(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events) as events:
            try:
                async with self._slot:
                    await self._send_events(send, events)
            except SemsearchError as exc:
                if not self._is_open:
                    await problems.from_exception(scope, exc)(scope, receive, send)
                    return
                mark_broken_off(scope)
                await send(_make_error_event(scope, exc))
        await self._send_end(send)

    async def _send_events(self, send: Send, events: AsyncIterator[AnswerEvent]) -> None:
        async for event in events:
            if not self._is_open:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                self._is_open = True
            value = encode_fields(self._transform(event))
            await send(_make_event_message(_EVENT_NAMES[type(event)], value))

    async def _send_end(self, send: Send) -> None:
        self._is_open = False
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _make_error_event(scope: Scope, exc: SemsearchError) -> dict[str, object]:
    return _make_event_message("error", problems.make_problem(scope, exc.name, add_remedy(exc)))


def _make_event_message(name: str, value: object) -> dict[str, object]:
    body = b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(value))
    return {"type": "http.response.body", "body": body, "more_body": True}


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
