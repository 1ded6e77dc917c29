"""Refuse searches and questions before they are parsed, while their queue refuses: a refusal must cost little.

Under four times the capacity three of four requests are refused. Only a request that arrived whole and says nothing
unusual is refused here; all others are parsed, and `admission` decides.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import orjson
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ...core.names import NAME_PATTERN
from . import problems
from .access_log import EntryFormat, format_line
from .admission import Admission, WorkQueue
from .request_ids import make_request_id
from .request_metrics import count_refused_query
from .security_headers import add_security_headers

_REQUEST_LINE = re.compile(
    rb"(GET|POST) (/v1/collections/%s/(search|ask))(?:\?[^\s]*)? HTTP/1\.1(?=\r\n)" % NAME_PATTERN.encode()
)
_UNUSUAL_HEADERS = rb"[ \t]|transfer-encoding|upgrade|expect|content-length|connection(?!: *keep-alive *\r\n)"
"""What the parser must see: framing by other means than one Content-Length, and requests that change the connection."""
_USUAL_HEADERS = rb"(?:\r\n(?!%s)[^\r\n]++)*+" % _UNUSUAL_HEADERS  # possessive: the time stays linear if it fails
_HEADERS = re.compile(
    rb"%s(?:\r\ncontent-length: *([0-9]{1,6}) *(?=\r\n))?%s\r\n\r\n" % (_USUAL_HEADERS, _USUAL_HEADERS), re.IGNORECASE
)


class EarlyRefusal:
    """Refuses whole requests of full queues; `write_log_lines` writes the access log, if there is one."""

    def __init__(
        self,
        admission: Admission,
        write_log_lines: Callable[[Sequence[str]], None] | None = None,
        format_entry: EntryFormat = format_line,
    ) -> None:
        self._search_queue, self._ask_queue = admission.queues["search"], admission.queues["ask"]
        self._queues = {b"search": self._search_queue, b"ask": self._ask_queue}
        self._write_log_lines = write_log_lines
        self._format_entry = format_entry
        self._arriving = dict.fromkeys(self._queues, 0)
        """Requests of this iteration of the event loop that were let through; their queue counts them later."""
        self._refused: list[_RefusedRequest] = []
        """Requests of this iteration that were refused; counted and logged together, which takes less time."""
        self._is_iteration_open = False
        headers = [(b"content-type", problems.MEDIA_TYPE.encode())]
        headers.append((b"retry-after", b"%d" % problems.RETRY_AFTER_SECONDS))
        self._head = b"HTTP/1.1 503 Service Unavailable\r\n" + b"".join(
            b"%s: %s\r\n" % header for header in add_security_headers(headers)
        )
        self._bodies = {kind: _make_body_format(queue) for kind, queue in self._queues.items()}

    @property
    def is_active(self) -> bool:
        """Whether a queue refuses requests at present."""
        return self._search_queue.is_overloaded or self._ask_queue.is_overloaded

    def refuse(self, data: bytes) -> bytes | None:
        """Return the response to a request that its queue refuses; None if the request must be parsed."""
        request_line = _REQUEST_LINE.match(data)
        if request_line is None or not _is_whole(data, request_line.end()):
            return None
        kind = request_line[3]
        if not self._queues[kind].is_full(self._arriving[kind]):
            self._arriving[kind] += 1
            self._end_iteration_later()
            return None
        refused = _RefusedRequest(request_line[1], request_line[2], kind, make_request_id())
        self._refused.append(refused)
        self._end_iteration_later()
        return self._make_response(refused)

    def _end_iteration_later(self) -> None:
        if not self._is_iteration_open:
            self._is_iteration_open = True
            asyncio.get_running_loop().call_soon(self._end_iteration)

    def _end_iteration(self) -> None:
        self._is_iteration_open = False
        self._arriving = dict.fromkeys(self._queues, 0)
        refused, self._refused = self._refused, []
        for (method, kind), count in Counter((request.method, request.kind) for request in refused).items():
            queue = self._queues[kind]
            queue.count_refusals(count)
            count_refused_query(queue.metrics, method.decode("ascii"), kind.decode("ascii"), count)
        if refused and self._write_log_lines is not None:
            self._write_log_lines([self._format_entry(request.make_scope(), 503, 0.0) for request in refused])

    def _make_response(self, request: "_RefusedRequest") -> bytes:
        encoded_id = request.id.encode()
        body = self._bodies[request.kind] % (request.path, encoded_id)
        return b"%sx-request-id: %s\r\ncontent-length: %d\r\n\r\n%s" % (self._head, encoded_id, len(body), body)


class _RefusedRequest(NamedTuple):
    method: bytes
    path: bytes
    kind: bytes
    id: str

    def make_scope(self) -> Scope:
        """Return what the access log needs of the request."""
        return {"method": self.method.decode("ascii"), "raw_path": self.path, "state": {"request_id": self.id}}


def _make_body_format(queue: WorkQueue) -> bytes:
    """Return the problem of a refused request, to be formatted with its path and its id, which need no escapes."""
    scope: Scope = {"path": "%s", "state": {"request_id": "%s"}}
    problem = problems.make_problem(scope, "unavailable", queue.refusal_detail.replace("%", "%%"))
    return orjson.dumps(problem)


def _is_whole(data: bytes, headers_start: int) -> bool:
    """Return whether the data are one request to its end, with usual framing."""
    headers = _HEADERS.match(data, headers_start)
    return headers is not None and len(data) - headers.end() == int(headers[1] or 0)


class EarlyRefusalProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which refuses requests of full queues before it parses them."""

    early_refusal: EarlyRefusal
    _is_in_message = False

    def data_received(self, data: bytes) -> None:
        """Refuse the data or parse them."""
        if self.early_refusal.is_active and self._is_between_requests():
            response = self.early_refusal.refuse(data)
            if response is not None:
                self._unset_keepalive_if_required()
                self.transport.write(response)
                self.on_early_refusal()
                return
        super().data_received(data)

    def on_early_refusal(self) -> None:
        """Note that a request was refused: it is no part of the next one."""

    def on_message_begin(self) -> None:
        """Note that the parser has a part of a request."""
        self._is_in_message = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Note that the parser has all of a request."""
        self._is_in_message = False
        super().on_message_complete()

    def _is_between_requests(self) -> bool:
        """Return whether nothing of an earlier request is unread, unanswered or unsent."""
        is_answered = self.cycle is None or self.cycle.response_complete
        return is_answered and not (self._is_in_message or self.flow.write_paused or self.transport.is_closing())
