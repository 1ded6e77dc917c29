"""Run a page process: render pages of PDF files and find rectangles on them, under resource limits.

`python -m semsearch.ingest.readers.page_worker SECONDS MEMORY_BYTES`, started by `page_pool` only. A request is two
frames (JSON, the file), a response is one of JSON.
"""

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import astuple

from .pdf.pages import find_rectangles, render_page
from .worker_process import serve_requests


def main() -> None:
    """Answer every request with an image, rectangles, or an error."""
    serve_requests(2, _handle)


def _handle(frames: Sequence[bytes]) -> bytes:
    request, data = json.loads(frames[0]), frames[1]
    if "width" in request:
        return json.dumps({"png": b64encode(render_page(data, request["page"], request["width"])).decode()}).encode()
    pages = find_rectangles(data, request["pages"])
    return json.dumps({"pages": [astuple(page) for page in pages]}).encode()


if __name__ == "__main__":
    main()
