"""The embedded model in a process of its own, until stdin ends. Not for people to run.

`python -m semsearch.embedders.child`; a request is a frame with texts in JSON, an answer one with their vectors as
little-endian float32. An empty frame comes first, when the model is ready.
"""

import json
import os
import signal
import sys

from ..pipes import receive, send
from .local import LocalEmbedder


def main() -> None:
    """Answer every request."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interruption means
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not reach the parent as an answer
    model = LocalEmbedder()
    model.prepare()
    send(answers, b"")
    while (texts := receive(requests)) is not None:
        send(answers, model.vectors(json.loads(texts)).astype("<f4").tobytes())


if __name__ == "__main__":
    main()
