"""Traces (W3C Trace Context): the ids that join a request, its log lines, and its requests to model servers."""

import re
import secrets
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass

_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[\x21-\x7e]*)?")
_INVALID_VERSION, _ONLY_FIXED_VERSION = b"ff", b"00"


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace that a request belongs to."""

    trace_id: str
    """32 hexadecimal digits."""
    is_sampled: bool = False
    """Whether the caller records the trace, so that others may too."""
    request_id: str | None = None
    """Id of the HTTP request."""

    def make_child_header(self) -> str:
        """Return the `traceparent` of a request that is sent on behalf of this one, with a span id of its own."""
        return f"00-{self.trace_id}-{secrets.token_hex(8)}-{self.is_sampled:02x}"


_current_trace: ContextVar[Trace | None] = ContextVar("semsearch_trace", default=None)


def get_current_trace() -> Trace | None:
    """Return the trace of the request that this task or thread works for; None if there is none."""
    return _current_trace.get()


def begin_trace(traceparents: Sequence[bytes], request_id: str) -> Trace:
    """Make the trace of a request the current one and return it. Invalid headers begin a new trace.

    `traceparents` has the values of all `traceparent` headers of the request.
    """
    parent = _parse_traceparent(traceparents[0]) if len(traceparents) == 1 else None
    trace_id, is_sampled = parent or (secrets.token_hex(16), False)
    trace = Trace(trace_id, is_sampled, request_id)
    _current_trace.set(trace)
    return trace


def _parse_traceparent(value: bytes) -> tuple[str, bool] | None:
    """Return the trace id and whether the trace is sampled; None if the value is not valid (W3C Trace Context 3.2)."""
    match = _TRACEPARENT.fullmatch(value)
    if match is None:
        return None
    version, trace_id, parent_id, flags, rest = match.groups()
    # a later version may append fields; of version 00 the length is fixed
    if version == _INVALID_VERSION or (version == _ONLY_FIXED_VERSION and rest is not None):
        return None
    if not (trace_id.strip(b"0") and parent_id.strip(b"0")):
        return None
    return trace_id.decode(), bool(int(flags, 16) & 1)
