"""The one table of how much a request may hold. Refuses nothing itself: the gate and the bodies look it up."""

import re

KIB = 1024
MIB = 1024 * KIB

HEADER_BYTES = 32 * KIB
PATH_BYTES = 16 * KIB
QUERY_STRING_BYTES = 47 * KIB
"""With the path below 64 KiB, where the parser of addresses ends."""
HEAD_BYTES = 256 * KIB
"""Request line and headers together, before anybody has looked at them; and trailers, which nobody does."""

HEAD_WAIT_SECONDS = 30.0
"""How long a head may take to come, and a new connection to begin with one."""

BODY_BYTES = 256 * KIB
BODY_WAIT_SECONDS = 30.0
"""How long the next piece of a body may take to come."""
LINGER_SECONDS = 0.3
"""How long a refused client may go on sending before the connection is closed."""

QUERY_CHARACTERS = 4_000
SYSTEM_CHARACTERS = 4_000
NAME_CHARACTERS = 200
"""Of a model or an embedder."""
TITLE_CHARACTERS = 1_000
TEXT_CHARACTERS = 2_000_000
METADATA_BYTES = 16 * KIB
DOCUMENTS = 1_000
"""Texts in one request."""

HISTORY = 50
"""Earlier questions in one search."""

SEARCH_SECONDS = 60.0
ASK_SECONDS = 300.0
PUT_SECONDS = 120.0
"""How long a request may take, from the door to its last byte."""

K = 100
PAGE = 1_000
TOKENS = 100_000
TEMPERATURE = 2.0

_BODIES = (
    ("PUT", re.compile(r"/v1/collections/[^/]+/documents/"), 64 * MIB),
    ("POST", re.compile(r"/v1/collections/[^/]+/documents$"), 8 * MIB),
)


def body_bytes(method: str, path: str) -> int:
    """The size of the largest body that is read for this method and path."""
    return next((size for verb, shape, size in _BODIES if verb == method and shape.match(path)), BODY_BYTES)
