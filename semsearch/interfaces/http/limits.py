"""All limits of requests: sizes, counts and times. The middleware and the request models enforce them."""

import re
from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB

MAX_HEADER_BYTES = 32 * KIB
MAX_PATH_BYTES = 16 * KIB
MAX_QUERY_STRING_BYTES = 47 * KIB
"""Together with the path below 64 KiB, the limit of the URL parser."""
MAX_HEAD_BYTES = 256 * KIB
"""Request line and headers together, while they are parsed; also trailers, which are ignored."""

HEAD_TIMEOUT_SECONDS = 30.0
"""Time until a request head is complete, and until a new connection sends the first byte of one."""

DEFAULT_MAX_BODY_BYTES = 256 * KIB
BODY_TIMEOUT_SECONDS = 30.0
"""Period in which a body must end, or bring `MIN_BODY_BYTES_PER_SECOND` on average."""
MIN_BODY_BYTES_PER_SECOND = 8 * KIB
MAX_BODY_SECONDS = 600.0
"""Time until a body is complete: 64 MiB at 1 Mbit/s take 9 minutes."""
SLOW_BYTES_PER_SECOND = 64 * KIB
"""A client that sends less gives way to others when connections, memory or disk space run out."""

MAX_BODY_MEMORY_BYTES = 64 * MIB
"""Of all bodies in memory, from their announcement to the end of their responses; of all workers together."""
SMALL_BODY_RESERVE_BYTES = 16 * MIB
"""Of these, kept for bodies of up to `DEFAULT_MAX_BODY_BYTES` in each worker, such as those of searches."""
MIN_BODY_MEMORY_BYTES = 32 * MIB
"""In each worker, however many there are."""
SPOOLED_PART_BYTES = 64 * KIB
"""Part of a file that is written to disk at once."""
MAX_SPOOLED_BYTES = 1024 * MIB
"""Of all files on disk that are being uploaded or processed; of all workers together."""
MIN_SPOOLED_BYTES = 128 * MIB
"""In each worker, however many there are."""

MAX_CONNECTIONS = 4_096
"""Of one process."""
RESERVED_DESCRIPTORS = 32
"""Of those that the system allows a process, kept for the files of the library and for model servers; or a share."""
RESERVED_DESCRIPTOR_SHARE = 0.125
"""Of more than 256; each open collection takes some."""
SPARE_DESCRIPTORS = 16
"""Connections leave so many free at least, whatever the files of the library take: for what is opened next."""
MIN_CONNECTIONS = 8
"""Of one process, if the files of the library take nearly all descriptors."""
DESCRIPTOR_COUNT_SECONDS = 1.0
"""Between two counts of the descriptors that are open."""
SCARCE_DESCRIPTOR_COUNT_SECONDS = 0.1
"""The same while more than half of them are."""
MAX_CONNECTIONS_PER_ADDRESS = 128
"""Of one process, except those from the loopback."""

STALL_TIMEOUT_SECONDS = 60.0
"""Time that a client may leave what was sent to it unread."""
LINGER_SECONDS = 0.3
"""Time that a refused client may go on sending before the connection is closed."""

MAX_PIPELINED_REQUESTS = 8
"""Requests of one connection that wait for an earlier response; while there are more, no more is read."""
FULL_PIPELINE_SECONDS = 0.5
"""Time without a response after which those that wait are dropped, because a hang-up behind them goes unnoticed."""

READINESS_SECONDS = 1.0
"""Time after SIGTERM in which the readiness check fails and new connections are still accepted."""
GRACE_SECONDS = 5.0
"""Time that running requests then have to end."""
CANCEL_SECONDS = 2.0
"""Time in which cancelled requests settle their costs and send their last event."""
STOP_SECONDS = 9.0
"""Time after which the process exits even if a thread still runs."""
WORKER_STOP_SECONDS = 9.6
"""Time after which the supervisor kills workers that still run."""

MAX_QUERY_CHARACTERS = 4_000
MAX_SYSTEM_CHARACTERS = 4_000
MAX_NAME_CHARACTERS = 200
"""Of the name of a model, an embedder, a session or a profile."""
MAX_TITLE_CHARACTERS = 1_000
MAX_TEXT_CHARACTERS = 2_000_000
MAX_METADATA_BYTES = 16 * KIB
MAX_DOCUMENTS_PER_REQUEST = 1_000
MAX_OFFSET = 1 << 31
"""In a stored text, in characters."""
MAX_PART_CHARACTERS = 100_000
"""Characters of a stored text in one response with its blocks, beside the rest of the blocks at either end."""

MAX_KEPT_RESPONSE_BYTES = MIB
"""Of a response that is kept for a repeated request; a larger one is not kept."""

MAX_SMALL_UPLOAD_BYTES = MIB
SMALL_UPLOAD_THREADS = 4
LARGE_UPLOAD_THREADS = 2
"""Uploads that are read, embedded and stored at a time: each may have a reader process of 2 GiB."""

MAX_HISTORY_QUESTIONS = 50
"""Earlier questions of one search."""

SEARCH_TIMEOUT_SECONDS = 60.0
ASK_TIMEOUT_SECONDS = 300.0
PUT_TIMEOUT_SECONDS = 120.0
"""Time of one request of each kind, from its arrival to the last byte of its response."""
READ_WAIT_SECONDS = 60.0
"""Time that a read, such as one of a document, waits for a thread."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How many requests of one kind one process serves at the same time; those that wait for a thread count too."""

    burst: int
    """At most so many."""
    overload: int
    """At most so many until none was refused for `OVERLOAD_SECONDS`, so that accepted requests wait only briefly."""


QUEUES = {
    "search": QueueLimits(64, 20),
    "ask": QueueLimits(48, 24),
    "model": QueueLimits(256, 256),
    "read": QueueLimits(64, 24),
    "write": QueueLimits(48, 24),
}
"""By kind of work. Searches and questions that need a model server count as `model`: they mostly wait for it.

Plain searches count until their hits are ranked. They run in batches, in which no request is read, so after each batch
all places are free and the next batch is full. A larger one would save no more time, but let requests wait longer.
"""
OVERLOAD_SECONDS = 1.0
UNREAD_BODY_BYTES = 64 * KIB
"""A larger body is not read while the queue of its request is full."""
STREAM_SEND_TIMEOUT_SECONDS = 60.0
"""Time in which the client of a stream must read; it holds a place in a queue."""

MAX_K = 100
"""Hits of one response; `offset` gets those behind them."""
MAX_RANKED_HITS = 1_000
"""Of `offset` and `k` together."""
MAX_QUERIES = 32
"""Queries of one search request."""
MAX_REMOVED_URIS = 1_000
"""Uris in the response to a deletion by filter."""
MAX_PAGE_SIZE = 1_000
MAX_PAGE_REQUESTS = 20
"""Requests for images and rectangles of pages that run or wait; further ones are refused for a while."""
PAGE_REQUEST_SECONDS = 22.0
"""Time of such a request with its wait; longer than that of a page process, whose error says more."""

MAX_PAGE_NUMBER = 1_000_000
MAX_OUTPUT_TOKENS = 100_000
MAX_TEMPERATURE = 2.0

_FILE_PATH = re.compile(r"/v1/collections/[^/]+/documents/")
_MAX_BODY_BYTES_BY_ROUTE = (
    ("PUT", _FILE_PATH, 64 * MIB),
    ("POST", re.compile(r"/v1/collections/[^/]+/documents$"), 8 * MIB),
)


def get_max_body_bytes(method: str, path: str) -> int:
    """Return the maximum size of a body for this method and path."""
    return next(
        (
            max_bytes
            for route_method, pattern, max_bytes in _MAX_BODY_BYTES_BY_ROUTE
            if route_method == method and pattern.match(path)
        ),
        DEFAULT_MAX_BODY_BYTES,
    )


def is_spooled(method: str, path: str, declared_size: int | None) -> bool:
    """Return whether a body is written to disk while it arrives: a large file, or one of unknown length."""
    is_large = declared_size is None or declared_size > DEFAULT_MAX_BODY_BYTES
    return is_large and method == "PUT" and _FILE_PATH.match(path) is not None
