"""Indexes portions in a process of its own, until stdin ends. Not for people to run.

`python -m semsearch.storage.collections.local.index.build_worker VERSION`, the version of the caller: a newer
semsearch may be installed by now. A request is what `frames.of_rows` makes, an answer what `frames.of_portion` does.
"""

import os
import sys

from .....core.framing import receive, send, streams
from . import wire_format as frames
from .segment_builder import VERSION, portion

_BEHIND = 10
"""Searches of the process that has asked go first."""


def main() -> None:
    """Answer every request."""
    if sys.argv[1] != VERSION:
        raise SystemExit(f"this semsearch makes index {VERSION}, not {sys.argv[1]}")
    requests, answers = streams()
    os.nice(_BEHIND)
    while (request := receive(requests)) is not None:
        send(answers, frames.of_portion(portion(frames.to_rows(request))))


if __name__ == "__main__":
    main()
