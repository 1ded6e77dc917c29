"""Run a reader process: read the sources that the parent sends until stdin ends, under resource limits.

`python -m semsearch.ingest.readers.worker SECONDS MEMORY_BYTES`, started by `worker_pool` only. A request is three
frames (media type, plugin or nothing, bytes), a response is one.
"""

from collections.abc import Sequence

from . import read
from .wire_format import decode_plugin, encode_content
from .worker_process import serve_requests


def main() -> None:
    """Answer every request with content or an error."""
    serve_requests(3, _read)


def _read(frames: Sequence[bytes]) -> bytes:
    media_type, plugin, data = frames
    return encode_content(read(data, media_type.decode(), decode_plugin(plugin)))


if __name__ == "__main__":
    main()
