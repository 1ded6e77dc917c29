"""Uploads at the same time: one that takes long keeps no other one waiting, and does not delay stopping."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from support.http_service import check_problem, document_path, run_service

pytestmark = pytest.mark.slow

SLOW_MARKDOWN = b"[" * 3_000_000
"""Markdown that its parser needs minutes for."""


def test_slow_upload_keeps_no_other_one_waiting(tmp_path: Path) -> None:
    """Small uploads of any format and removals pass it; stopping ends it at once, with an error for its client."""
    headers = {"content-type": "text/markdown"}
    with ThreadPoolExecutor(1) as threads, run_service(tmp_path) as client:
        client.put("/v1/collections/h")

        def put_slow() -> httpx.Response:
            with httpx.Client(base_url=client.base_url, timeout=200) as other:
                return other.put(document_path("h", "slow.md"), content=SLOW_MARKDOWN, headers=headers)

        slow = threads.submit(put_slow)
        time.sleep(1)
        for number in range(3):
            path = document_path("h", f"{number}.md")
            assert client.put(path, content=b"# Lamp", headers=headers, timeout=30).json()["status"] == "added"
            assert client.delete(path, timeout=30).status_code == 204
        assert not slow.done()
        client.put("/v1/collections/h")
        stopping = time.monotonic()
    with suppress(httpx.TransportError):  # the connection may be cut after the time that running requests get
        check_problem(slow.result(), "unavailable", 503)
    assert time.monotonic() - stopping < 30
