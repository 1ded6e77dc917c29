"""Child process that runs the local model until stdin ends. `local_process` starts it.

`python -m semsearch.models.embedders.local_worker`. A request is a frame with texts in JSON; a response is a frame with
their vectors as little-endian float32. The first frame is empty: it says that the model is ready.
"""

import json

from ...core.framing import open_child_streams, receive, send
from .local import LocalEmbedder


def main() -> None:
    """Embed the texts of each request."""
    requests, responses = open_child_streams()
    model = LocalEmbedder()
    model.prepare()
    send(responses, b"")
    while (texts := receive(requests)) is not None:
        send(responses, model.embed_sync(json.loads(texts)).astype("<f4").tobytes())


if __name__ == "__main__":
    main()
