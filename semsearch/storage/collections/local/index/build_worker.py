"""Child process that builds index parts until stdin ends. Internal.

`python -m semsearch.storage.collections.local.index.build_worker VERSION NICENESS` gets the index version of its
parent, because another semsearch may have been installed since the parent started. A request is a frame of
`wire_format.encode_rows`, a response one of `wire_format.encode_part`.
"""

import os
import sys

from .....core.framing import open_child_streams, receive, send
from . import wire_format
from .segment_builder import INDEX_VERSION, build_part


def main() -> None:
    """Build a part for each request."""
    if sys.argv[1] != INDEX_VERSION:
        raise SystemExit(f"this semsearch builds index version {INDEX_VERSION}, not {sys.argv[1]}")
    requests, responses = open_child_streams()
    os.nice(int(sys.argv[2]))
    while (request := receive(requests)) is not None:
        send(responses, wire_format.encode_part(build_part(wire_format.decode_rows(request))))


if __name__ == "__main__":
    main()
