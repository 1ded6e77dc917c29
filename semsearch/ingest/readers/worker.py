"""Run a reader process: read the sources that the parent sends until stdin ends, under resource limits.

`python -m semsearch.ingest.readers.worker SECONDS MEMORY_BYTES`, started by `worker_pool` only. A request is four
frames (media type, plugin or nothing, uri and title or nothing, bytes). The response is the content in one frame, or if
there is a uri the chunked document in several; an empty frame ends it.
"""

import json
from collections.abc import Iterator

from ..chunked_content import chunk_document, make_document
from . import parse_media_type, read
from .document_frames import encode_document
from .wire_format import decode_plugin, encode_content
from .worker_process import serve_requests


def main() -> None:
    """Answer every request with content or an error."""
    serve_requests(4, _read)


def _read(frames: list[bytes]) -> Iterator[bytes]:
    media_type, plugin, head = frames[0].decode(), decode_plugin(frames[1]), frames[2]
    content = read(frames.pop(), media_type, plugin)  # removed from the list: the parts take its memory
    if head:
        uri, title = json.loads(head)
        document = make_document(uri, title, parse_media_type(media_type)[0], content)
        yield from encode_document(document, chunk_document(document))
    else:
        yield encode_content(content)


if __name__ == "__main__":
    main()
