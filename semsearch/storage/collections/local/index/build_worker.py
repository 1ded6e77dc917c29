"""Indexes portions in a process of its own, until stdin ends. Not for people to run.

`python -m semsearch.storage.collections.local.index.build_worker VERSION`, the version of the caller: a newer
semsearch may be installed by now. A request is what `frames.of_rows` makes, an answer what `frames.of_portion` does.
"""

import os
import sys

from .....core.framing import open_child_streams, receive, send
from . import wire_format as frames
from .segment_builder import INDEX_VERSION, build_part

_NICENESS = 10
"""Searches of the process that has asked go first."""


def main() -> None:
    """Answer every request."""
    if sys.argv[1] != INDEX_VERSION:
        raise SystemExit(f"this semsearch makes index {INDEX_VERSION}, not {sys.argv[1]}")
    requests, answers = open_child_streams()
    os.nice(_NICENESS)
    while (request := receive(requests)) is not None:
        send(answers, frames.encode_part(build_part(frames.decode_rows(request))))


if __name__ == "__main__":
    main()
