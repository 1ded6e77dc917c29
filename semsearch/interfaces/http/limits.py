"""The one table of how much a request may hold. Refuses nothing itself: the gate and the bodies look it up."""

import re

KIB = 1024
MIB = 1024 * KIB

MAX_HEADER_BYTES = 32 * KIB
MAX_PATH_BYTES = 16 * KIB
MAX_QUERY_STRING_BYTES = 47 * KIB
"""With the path below 64 KiB, where the parser of addresses ends."""
MAX_HEAD_BYTES = 256 * KIB
"""Request line and headers together, before anybody has looked at them; and trailers, which nobody does."""

HEAD_TIMEOUT_SECONDS = 30.0
"""How long a head may take to come, and a new connection to begin with one."""

DEFAULT_MAX_BODY_BYTES = 256 * KIB
BODY_TIMEOUT_SECONDS = 30.0
"""How long the next piece of a body may take to come."""
LINGER_SECONDS = 0.3
"""How long a refused client may go on sending before the connection is closed."""

MAX_QUERY_CHARACTERS = 4_000
MAX_SYSTEM_CHARACTERS = 4_000
MAX_NAME_CHARACTERS = 200
"""Of a model or an embedder."""
MAX_TITLE_CHARACTERS = 1_000
MAX_TEXT_CHARACTERS = 2_000_000
MAX_METADATA_BYTES = 16 * KIB
MAX_DOCUMENTS_PER_REQUEST = 1_000
"""Texts in one request."""

MAX_HISTORY_QUESTIONS = 50
"""Earlier questions in one search."""

SEARCH_TIMEOUT_SECONDS = 60.0
ASK_TIMEOUT_SECONDS = 300.0
PUT_TIMEOUT_SECONDS = 120.0
"""How long a request may take, from the door to its last byte."""

MAX_K = 100
MAX_PAGE_SIZE = 1_000
MAX_OUTPUT_TOKENS = 100_000
MAX_TEMPERATURE = 2.0

_MAX_BODY_BYTES_BY_ROUTE = (
    ("PUT", re.compile(r"/v1/collections/[^/]+/documents/"), 64 * MIB),
    ("POST", re.compile(r"/v1/collections/[^/]+/documents$"), 8 * MIB),
)


def get_max_body_bytes(method: str, path: str) -> int:
    """The size of the largest body that is read for this method and path."""
    return next(
        (size for verb, shape, size in _MAX_BODY_BYTES_BY_ROUTE if verb == method and shape.match(path)),
        DEFAULT_MAX_BODY_BYTES,
    )
