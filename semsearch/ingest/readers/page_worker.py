"""Run a page process: render pages of PDF files and find rectangles on them, under resource limits.

`python -m semsearch.ingest.readers.page_worker SECONDS MEMORY_BYTES`, started by `page_pool` only. A request is two
frames (JSON, the file), a response is one of JSON and an empty one.
"""

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import astuple

from .pdf.pages import find_rectangles, render_page
from .worker_process import serve_requests


def main() -> None:
    """Answer every request with an image, rectangles, or an error."""
    serve_requests(2, _handle)


def _handle(frames: list[bytes]) -> Iterator[bytes]:
    request, data = json.loads(frames[0]), frames[1]
    if "width" in request:
        yield json.dumps({"png": b64encode(render_page(data, request["page"], request["width"])).decode()}).encode()
        return
    pages = find_rectangles(data, request["pages"])
    yield json.dumps({"pages": [astuple(page) for page in pages]}).encode()


if __name__ == "__main__":
    main()
