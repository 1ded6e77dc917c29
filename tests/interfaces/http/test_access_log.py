"""The access log of the service."""

import asyncio
import os
import re
import select
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from semsearch.interfaces.http.access_log import AccessLogMiddleware
from semsearch.interfaces.http.data_folder import find_write_problem
from semsearch.interfaces.http.log_lines import write_lines

pytestmark = pytest.mark.slow

SECRETS = ("galaxy", "sk-secret", "tower")


@pytest.mark.parametrize("options", [[], ["--workers", "2"], ["--no-access-log"]])
def test_each_request_is_one_line_without_texts(tmp_path: Path, options: list[str]) -> None:
    """The line has method, path, status, time and request id: no query string, no header and no text."""
    command = [sys.executable, "-m", "semsearch", "serve", "--port", "0", *options]
    environ = {"PATH": os.defpath, "SEMSEARCH_DATA_DIR": str(tmp_path)}
    process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    start = process.stderr.readline()
    url_match = re.fullmatch(r"semsearch serves (http://\S+), documented at \1/docs; in a browser, open \1/\n", start)
    assert url_match, start
    try:
        with httpx.Client(base_url=url_match[1], headers={"Authorization": "Bearer sk-secret"}, timeout=30) as client:
            response = client.put("/v1/collections/hb")
            missing = client.get("/v1/collections/hb/documents?cursor=tower&limit=galaxy")
            client.post("/v1/collections/hb/search", json={"query": "galaxy"})
    finally:
        process.terminate()
        lines = process.communicate(timeout=30)[1].splitlines()
    if options == ["--no-access-log"]:
        assert lines == []
        return
    expected = [
        rf"PUT /v1/collections/hb 200 \d+\.\d ms {response.headers['x-request-id']}",
        rf"GET /v1/collections/hb/documents 422 \d+\.\d ms {missing.headers['x-request-id']}",
        r"POST /v1/collections/hb/search 200 \d+\.\d ms [0-9a-f]{16}",
    ]
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ {pattern}", line), line
    assert not any(secret in line for secret in SECRETS for line in lines)


def test_request_without_response_is_logged() -> None:
    """The status is `-`, and the error is raised further."""

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise ConnectionResetError

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError("nothing is sent")

    lines: list[str] = []
    scope = {"type": "http", "method": "GET", "raw_path": b"/x%0Ay", "state": {}}
    with pytest.raises(ConnectionResetError):
        asyncio.run(AccessLogMiddleware(fail, lines.append)(scope, receive, send))
    assert re.fullmatch(r"\S+ GET /x%0Ay - \d+\.\d ms -", lines[0])


def test_unwritable_data_directory_is_named(tmp_path: Path) -> None:
    """A folder that can still be made is no problem."""
    assert find_write_problem(tmp_path / "new" / "indexes") is None
    folder = Path("/proc/sys") if os.geteuid() == 0 else tmp_path
    if folder == tmp_path:
        tmp_path.chmod(0o500)
    problem = find_write_problem(folder / "indexes")
    assert problem is not None
    assert f"{folder}/indexes cannot be written" in problem


def test_lines_that_are_written_together_fit_what_a_pipe_takes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A larger write could be interrupted by lines of another worker; each write ends with a line."""
    written: list[bytes] = []
    monkeypatch.setattr("os.write", lambda descriptor, data: written.append(data))
    lines = [f"{number} {'x' * (number % 200)}" for number in range(300)]
    write_lines(lines)
    assert b"".join(written).decode().splitlines() == lines
    assert all(len(data) <= select.PIPE_BUF and data.endswith(b"\n") for data in written)
    assert len(written) < len(lines) / 20
    written.clear()
    write_lines([])
    assert written == []


FORK = """
import os, random
from semsearch.interfaces.http.request_ids import make_request_id
for _ in range(3):
    random.seed(1)
    print(make_request_id(), flush=True)
    if os.fork() == 0:
        print(make_request_id(), flush=True)
        os._exit(0)
    os.wait()
"""


def test_ids_of_requests_differ_after_a_fork_and_do_not_follow_a_seed() -> None:
    """Workers are forked, and a program that embeds the service may seed its random numbers."""
    ids = subprocess.run([sys.executable, "-c", FORK], capture_output=True, check=True, text=True).stdout.split()
    assert len(ids) == len(set(ids)) == 6
    assert {len(one) for one in ids} == {16}
