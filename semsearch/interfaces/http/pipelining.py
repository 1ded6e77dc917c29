"""Requests that a client sends before it has the response to an earlier one, and clients that hang up.

uvicorn stops reading a connection as soon as a request waits in its pipeline, so it does not notice when the client
hangs up, and it marks only the last request as disconnected.
"""

import asyncio

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from . import limits


class _PipelineFlow(FlowControl):
    """uvicorn's flow control; while the pipeline is full, no request resumes the reading of the next ones."""

    is_full = False

    def resume_reading(self) -> None:
        if not self.is_full:
            super().resume_reading()


class PipeliningProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which notices a hang-up also while requests wait in the pipeline.

    It goes on reading until the pipeline is full. If it stays full, the connection is closed after the next response,
    and what arrives until then is ignored. The client sends again what was not answered (RFC 9112, section 9.3.2).
    """

    _is_refused = False
    """Whether the connection will be closed, so that what arrives is ignored, except a hang-up."""

    _running_cycle: RequestResponseCycle | None = None
    """The request that is being answered; `cycle` is the one that arrived last."""
    _full_timer: asyncio.TimerHandle | None = None
    """Runs while the pipeline is full, anew for each response."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Start with a flow control that knows the pipeline."""
        super().connection_made(transport)
        self.flow = self._flow = _PipelineFlow(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Disconnect the running request; those in the pipeline never start."""
        self._cancel_full_timer()
        self._drop_waiting_requests()  # else the end of the running response would start the next one
        cycle = self._running_cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived. Go on reading although requests wait."""
        super().data_received(data)
        if self.pipeline:
            self._limit_pipeline()

    def on_response_complete(self) -> None:
        """Start the next request of the pipeline."""
        self._cancel_full_timer()
        self._flow.is_full = False
        super().on_response_complete()
        if self.pipeline:
            self._limit_pipeline()

    def shutdown(self) -> None:
        """Close the connection, after the running response if there is one. Requests in the pipeline are dropped."""
        self._drop_waiting_requests()
        cycle = self._running_cycle
        if cycle is None or cycle.response_complete:
            self.transport.close()
        else:
            cycle.keep_alive = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running_cycle = cycle
        super()._start_asgi_task(cycle, app)

    def _limit_pipeline(self) -> None:
        """Read on if there is room for more requests."""
        if self.transport.is_closing():
            return
        has_room = len(self.pipeline) < limits.MAX_PIPELINED_REQUESTS and len(self.cycle.body) <= HIGH_WATER_LIMIT
        if has_room:
            self._flow.resume_reading()
            return
        self._flow.pause_reading()
        self._flow.is_full = True
        if self._full_timer is None:
            self._full_timer = self.loop.call_later(limits.FULL_PIPELINE_SECONDS, self._drop_pipeline)

    def _drop_waiting_requests(self) -> None:
        for cycle, _ in self.pipeline:
            cycle.body = bytearray()  # the request may wait for a garbage collection, its body must not
        self.pipeline.clear()

    def _drop_pipeline(self) -> None:
        """Read on to notice a hang-up, but ignore what arrives; close after the running response."""
        self._full_timer = None
        self._flow.is_full = False
        self._is_refused = True
        self.shutdown()
        self._flow.resume_reading()

    def _cancel_full_timer(self) -> None:
        if self._full_timer is not None:
            self._full_timer.cancel()
            self._full_timer = None
