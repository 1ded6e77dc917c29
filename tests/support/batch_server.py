"""An embedding server for tests on a loopback port: direct requests, batches, and texts that it rejects.

Records every text that it gets and every token that it would bill. Has no chat.
"""

import asyncio
import base64
import json
import random
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal
from urllib.parse import parse_qs

import numpy as np
import uvicorn
from support.upstream import Message, Receive, Send
from support.upstream import embed_text as embed_text_uncached

from semsearch.core.types.documents import Vectors

MODEL = "m"
PREFIX = "/v1"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error reply in OpenAI's format."""

    status: int
    message: str
    code: str | None = None


CUT_OFF = b'{"data": [{"index": 0, '
"""A body after which the server closes the connection instead of completing the response."""

CONTENT_REFUSED = Refusal(400, "content is not allowed")


@dataclass(frozen=True, slots=True)
class BatchScript:
    """The states of one batch in successive requests, and its results."""

    states: Sequence[str] = ("validating", "in_progress", "completed")
    processed_count: int = 1 << 30
    """Number of processed texts; the others expire."""
    extra_line: Literal["", "unknown_id", "repetition"] = ""
    """An additional line in the output."""
    reports_usage: bool = True
    """Whether replies contain token counts."""
    dim: int | None = None
    """Another dimension for the last vector."""


COMPLETED_BATCH = BatchScript()


class EmbeddingServer:
    """Behaviour and records of the server."""

    def __init__(self) -> None:
        self.url = ""
        self.reset()

    def reset(self) -> None:
        """Reset records and behaviour."""
        self.requests: list[list[str]] = []
        """Inputs of each request, including rejected ones."""
        self.billed = 0
        """Tokens of direct requests."""
        self.batch_billed = 0
        """Tokens of batches."""
        self.refuse: Callable[[list[str]], Refusal | None] = lambda inputs: None
        self.corrupt: Callable[[list[str]], bytes | None] = lambda inputs: None
        """Returns a body that replaces the reply to these inputs, which are billed nevertheless."""
        self.retry_after: str | None = None
        """Retry-After of each 503."""
        self.count_tokens: Callable[[str], int] = lambda text: len(text.split())
        self.odd_embeddings: dict[str, object] = {}
        """Embeddings that replace those of certain texts."""
        self.delay_seconds: Callable[[list[str]], float] = lambda inputs: 0.0
        """Returns the delay of a reply."""
        self.max_concurrent = 0
        """Maximum number of concurrent requests so far."""
        self._active_requests = 0
        self.batch_scripts: list[BatchScript] = []
        """Scripts of the next batches; later batches work."""
        self.intercept: Callable[[str, str, bytes], tuple[int, bytes] | None] = lambda method, path, data: None
        """Returns a replacement for a reply, by method, path and body; None keeps the reply."""
        self.page_size = 100
        """Maximum number of batches in one page."""
        self.uploads: list[list[dict[str, Any]]] = []
        """Lines of each uploaded file."""
        self.batches: dict[str, dict[str, Any]] = {}
        self._batch_states: dict[str, tuple[BatchScript, list[str], list[dict[str, Any]]]] = {}
        self._files: dict[str, bytes] = {}

    @property
    def sent_texts(self) -> list[str]:
        """All texts of all requests, in order."""
        return [text for inputs in self.requests for text in inputs]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        method, path = scope["method"], scope["path"].removeprefix(PREFIX)
        after = parse_qs(scope["query_string"].decode()).get("after", [""])[0]
        status, data = await self._reply(method, path, body, after)
        status, data = self.intercept(method, path, data) or (status, data)
        headers = [(b"content-type", b"application/json")]
        if status == 503 and self.retry_after is not None:
            headers.append((b"retry-after", self.retry_after.encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if data == CUT_OFF:
            await send({"type": "http.response.body", "body": data, "more_body": True})
            raise ConnectionAbortedError
        await send({"type": "http.response.body", "body": data})

    async def _reply(self, method: str, path: str, body: bytes, after: str) -> tuple[int, bytes]:
        parts = path.strip("/").split("/")
        if parts == ["embeddings"]:
            return await self._embeddings(json.loads(body))
        if parts == ["files"]:
            return _ok_reply(self._save_upload(body))
        if parts == ["batches"]:
            return _ok_reply(self._create_batch(json.loads(body)) if method == "POST" else self._list_batches(after))
        if parts[0] == "files" and parts[1] in self._files:
            return 200, self._files[parts[1]]
        if parts[0] == "batches" and parts[1] in self.batches:
            return _ok_reply(self._advance_batch(parts[1]))
        return _refusal_reply(Refusal(404, f"{path} does not exist"))

    async def _embeddings(self, body: dict[str, Any]) -> tuple[int, bytes]:
        inputs = body["input"]
        self.requests.append(inputs)
        self._active_requests += 1
        self.max_concurrent = max(self.max_concurrent, self._active_requests)
        await asyncio.sleep(self.delay_seconds(inputs))
        self._active_requests -= 1
        refusal = self.refuse(inputs)
        if refusal is not None:
            return _refusal_reply(refusal)
        self.billed += sum(map(self.count_tokens, inputs))
        corrupted = self.corrupt(inputs)
        return (
            _ok_reply(self._vectors(inputs, body.get("dimensions"), counts=True))
            if corrupted is None
            else (200, corrupted)
        )

    def _vectors(self, inputs: list[str], dim: int | None, *, counts: bool) -> dict[str, Any]:
        data = [
            {
                "index": row,
                "embedding": self.odd_embeddings.get(text, base64.b64encode(embed_text(text)[:dim].tobytes()).decode()),
            }
            for row, text in reversed(list(enumerate(inputs)))
        ]
        tokens = sum(map(self.count_tokens, inputs))
        return {"data": data, **({"usage": {"prompt_tokens": tokens, "total_tokens": tokens}} if counts else {})}

    def _list_batches(self, after: str) -> dict[str, Any]:
        """Return one page of the batches, newest first."""
        names = list(reversed(self.batches))
        names = names[names.index(after) + 1 if after else 0 :]
        return {
            "data": [self.batches[name] for name in names[: self.page_size]],
            "has_more": len(names) > self.page_size,
        }

    def _save_upload(self, body: bytes) -> dict[str, Any]:
        """Save the JSON lines of a multipart upload."""
        lines = [json.loads(line) for line in body.splitlines() if line.startswith(b"{")]
        self.uploads.append(lines)
        return {"id": f"file-{len(self.uploads)}"}

    def _create_batch(self, body: dict[str, Any]) -> dict[str, Any]:
        lines = self.uploads[int(body["input_file_id"].removeprefix("file-")) - 1]
        name = f"batch_{len(self.batches) + 1}"
        script = self.batch_scripts.pop(0) if self.batch_scripts else COMPLETED_BATCH
        self._batch_states[name] = (script, list(script.states), lines)
        self.batches[name] = {"id": name, "status": script.states[0], "metadata": body["metadata"]}
        return self.batches[name]

    def _advance_batch(self, name: str) -> dict[str, Any]:
        """Advance a batch by one state; write its results at the last state."""
        script, states, lines = self._batch_states[name]
        state = self.batches[name]
        state["status"] = states.pop(0) if len(states) > 1 else states[0]
        if len(states) == 1 and states[0] == state["status"] and "request_counts" not in state:
            self._finish_batch(state, script, lines)
        return state

    def _finish_batch(self, state: dict[str, Any], script: BatchScript, lines: list[dict[str, Any]]) -> None:
        state["request_counts"] = {"total": len(lines)}
        if state["status"] == "failed":
            state["errors"] = {"data": [{"code": "model_not_found", "message": "The provided model is not there."}]}
            return
        output, errors = [], []
        for row, line in enumerate(lines):
            inputs = line["body"]["input"]
            refusal = self.refuse(inputs)
            if row >= script.processed_count:
                error = {"code": "batch_expired", "message": "This request could not be executed in time."}
                errors.append({"custom_id": line["custom_id"], "response": None, "error": error})
            elif refusal is not None:
                response = {"status_code": refusal.status, "body": json.loads(_refusal_reply(refusal)[1])}
                errors.append({"custom_id": line["custom_id"], "response": response, "error": None})
            else:
                self.batch_billed += sum(map(self.count_tokens, inputs))
                dim = (script.dim if row == len(lines) - 1 else None) or line["body"].get("dimensions")
                response = {"status_code": 200, "body": self._vectors(inputs, dim, counts=script.reports_usage)}
                output.append({"custom_id": line["custom_id"], "response": response, "error": None})
        state["request_counts"] |= {"completed": len(output), "failed": len(errors)}
        random.Random(len(lines)).shuffle(output)
        if script.extra_line:
            output.append({**output[0], **({"custom_id": "nobody"} if script.extra_line == "unknown_id" else {})})
        for kind, entries in (("output", output), ("error", errors)):
            if entries:
                state[f"{kind}_file_id"] = f"{kind}-{state['id']}"
                text = "\n".join(map(json.dumps, entries))
                self._files[f"{kind}-{state['id']}"] = text.encode() + b"\n"


def _ok_reply(reply: object) -> tuple[int, bytes]:
    return 200, json.dumps(reply).encode()


def _refusal_reply(refusal: Refusal) -> tuple[int, bytes]:
    error = {"message": refusal.message, "type": "invalid_request_error", "code": refusal.code}
    return refusal.status, json.dumps({"error": error}).encode()


def refuse_texts(*texts: str, refusal: Refusal = CONTENT_REFUSED) -> Callable[[list[str]], Refusal | None]:
    """Return a rule that rejects a request with one of these texts, without naming the text."""
    bad = set(texts)
    return lambda inputs: refusal if bad & set(inputs) else None


def corrupt_texts(reply: bytes, *texts: str) -> Callable[[list[str]], bytes | None]:
    """Return a rule that sends this reply to a request with one of these texts."""
    bad = set(texts)
    return lambda inputs: reply if bad & set(inputs) else None


@cache
def _word_vector(word: str) -> Vectors:
    return np.array(embed_text_uncached(word), "<f4")


def embed_text(text: str) -> Vectors:
    """Return the embedding of a text: a sum over its words, cached by word."""
    total: Vectors = np.sum([_word_vector(word) for word in text.split()], axis=0).astype("<f4")
    return total


@contextmanager
def run_embedding_server() -> Iterator[EmbeddingServer]:
    """Run a server on a free port of this machine until the block ends."""
    app = EmbeddingServer()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # otherwise each reply waits 40 ms for the ACK
        app.url = f"http://127.0.0.1:{listening.getsockname()[1]}{PREFIX}"
        config = uvicorn.Config(app, log_config=None, log_level="critical", lifespan="off", ws="none", loop="asyncio")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            yield app
        finally:
            server.should_exit = server.force_exit = True
            thread.join()
