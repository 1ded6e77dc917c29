"""The embedded model in a process of its own, until stdin ends. Not for people to run.

`python -m semsearch.models.embedders.local_worker`; a request is a frame with texts in JSON, an answer one with their
vectors as little-endian float32. An empty frame comes first, when the model is ready.
"""

import json

from ...core.framing import open_child_streams, receive, send
from .local import LocalEmbedder


def main() -> None:
    """Answer every request."""
    requests, answers = open_child_streams()
    model = LocalEmbedder()
    model.prepare()
    send(answers, b"")
    while (texts := receive(requests)) is not None:
        send(answers, model.embed_sync(json.loads(texts)).astype("<f4").tobytes())


if __name__ == "__main__":
    main()
