"""Indexes portions in a process of its own, until stdin ends. Not for people to run.

`python -m semsearch.stores.local.child`; a request is what `frames.of_rows` makes, an answer what `frames.of_portion`
does.
"""

import os

from ...pipes import receive, send, streams
from . import frames
from .indexing import portion

_BEHIND = 10
"""Nobody waits for an index, but somebody may for a search."""


def main() -> None:
    """Answer every request."""
    requests, answers = streams()
    os.nice(_BEHIND)
    while (request := receive(requests)) is not None:
        send(answers, frames.of_portion(portion(frames.rows(request))))


if __name__ == "__main__":
    main()
