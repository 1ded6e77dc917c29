"""An embedding server for tests, on a loopback port: works at once or in batches, and minds what it is told to mind.

Keeps its own books: every text that came in, every token it would bill. Knows nothing of chat.
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
from support.upstream import vector as slow_vector

from semsearch.core.types.documents import Vectors

MODEL = "m"
PREFIX = "/v1"


@dataclass(frozen=True, slots=True)
class No:
    """A refusal in OpenAI's form."""

    status: int
    message: str
    code: str | None = None


REFUSED = No(400, "content is not allowed")


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one batch, as one look at it after the other tells."""

    states: Sequence[str] = ("validating", "in_progress", "completed")
    gets_to: int = 1 << 30
    """How many of its texts are worked on; the others expire."""
    extra: Literal["", "stranger", "repetition"] = ""
    """A line that its output holds beside those that were asked for."""
    counts: bool = True
    """Whether it says what it has counted."""
    dim: int | None = None
    """Another length for its last vector."""


WORKS = Fate()


class Server:
    """The server's behaviour and its books."""

    def __init__(self) -> None:
        self.url = ""
        self.reset()

    def reset(self) -> None:
        """Forget everything, and work again."""
        self.requests: list[list[str]] = []
        """The inputs of each request, also of those that were refused."""
        self.billed = 0
        """Tokens of what was answered at once."""
        self.batch_billed = 0
        """Tokens of what was answered through batches."""
        self.minds: Callable[[list[str]], No | None] = lambda inputs: None
        self.spoil: Callable[[list[str]], bytes | None] = lambda inputs: None
        """What comes in place of the vectors of these inputs, which are billed all the same."""
        self.count: Callable[[str], int] = lambda text: len(text.split())
        self.odd: dict[str, object] = {}
        """What certain texts get for an embedding."""
        self.pause: Callable[[list[str]], float] = lambda inputs: 0.0
        """Seconds that a reply takes."""
        self.busiest = 0
        """Most requests that were under way at once."""
        self._under_way = 0
        self.fates: list[Fate] = []
        """Of the next batches; those after them work."""
        self.gateway: Callable[[str, str, bytes], tuple[int, bytes] | None] = lambda method, path, data: None
        """What comes in place of a reply that was made, by method and path; None lets it through."""
        self.page = 100
        """Most batches that are listed at once."""
        self.uploads: list[list[dict[str, Any]]] = []
        """The lines of each file that was taken."""
        self.batches: dict[str, dict[str, Any]] = {}
        self._of_batch: dict[str, tuple[Fate, list[str], list[dict[str, Any]]]] = {}
        self._files: dict[str, bytes] = {}

    @property
    def sent(self) -> list[str]:
        """Every text that came in, one request after the other."""
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
        status, data = self.gateway(method, path, data) or (status, data)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": data})

    async def _reply(self, method: str, path: str, body: bytes, after: str) -> tuple[int, bytes]:
        parts = path.strip("/").split("/")
        if parts == ["embeddings"]:
            return await self._embeddings(json.loads(body))
        if parts == ["files"]:
            return _ok(self._take(body))
        if parts == ["batches"]:
            return _ok(self._create(json.loads(body)) if method == "POST" else self._listed(after))
        if parts[0] == "files" and parts[1] in self._files:
            return 200, self._files[parts[1]]
        if parts[0] == "batches" and parts[1] in self.batches:
            return _ok(self._look(parts[1]))
        return _refused(No(404, f"there is no {path}"))

    async def _embeddings(self, body: dict[str, Any]) -> tuple[int, bytes]:
        inputs = body["input"]
        self.requests.append(inputs)
        self._under_way += 1
        self.busiest = max(self.busiest, self._under_way)
        await asyncio.sleep(self.pause(inputs))
        self._under_way -= 1
        refusal = self.minds(inputs)
        if refusal is not None:
            return _refused(refusal)
        self.billed += sum(map(self.count, inputs))
        spoilt = self.spoil(inputs)
        return _ok(self._vectors(inputs, body.get("dimensions"), counts=True)) if spoilt is None else (200, spoilt)

    def _vectors(self, inputs: list[str], dim: int | None, *, counts: bool) -> dict[str, Any]:
        data = [
            {"index": row, "embedding": self.odd.get(text, base64.b64encode(vector(text)[:dim].tobytes()).decode())}
            for row, text in reversed(list(enumerate(inputs)))
        ]
        tokens = sum(map(self.count, inputs))
        return {"data": data, **({"usage": {"prompt_tokens": tokens, "total_tokens": tokens}} if counts else {})}

    def _listed(self, after: str) -> dict[str, Any]:
        """One page of the batches, the newest first."""
        names = list(reversed(self.batches))
        names = names[names.index(after) + 1 if after else 0 :]
        return {"data": [self.batches[name] for name in names[: self.page]], "has_more": len(names) > self.page}

    def _take(self, body: bytes) -> dict[str, Any]:
        """A file that came as one part of a form: its lines are those that are JSON."""
        lines = [json.loads(line) for line in body.splitlines() if line.startswith(b"{")]
        self.uploads.append(lines)
        return {"id": f"file-{len(self.uploads)}"}

    def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        lines = self.uploads[int(body["input_file_id"].removeprefix("file-")) - 1]
        name = f"batch_{len(self.batches) + 1}"
        fate = self.fates.pop(0) if self.fates else WORKS
        self._of_batch[name] = (fate, list(fate.states), lines)
        self.batches[name] = {"id": name, "status": fate.states[0], "metadata": body["metadata"]}
        return self.batches[name]

    def _look(self, name: str) -> dict[str, Any]:
        """One state further at each look; what comes out is written at the last."""
        fate, states, lines = self._of_batch[name]
        state = self.batches[name]
        state["status"] = states.pop(0) if len(states) > 1 else states[0]
        if len(states) == 1 and states[0] == state["status"] and "request_counts" not in state:
            self._end(state, fate, lines)
        return state

    def _end(self, state: dict[str, Any], fate: Fate, lines: list[dict[str, Any]]) -> None:
        state["request_counts"] = {"total": len(lines)}
        if state["status"] == "failed":
            state["errors"] = {"data": [{"code": "model_not_found", "message": "The provided model is not there."}]}
            return
        output, errors = [], []
        for row, line in enumerate(lines):
            inputs = line["body"]["input"]
            refusal = self.minds(inputs)
            if row >= fate.gets_to:
                error = {"code": "batch_expired", "message": "This request could not be executed in time."}
                errors.append({"custom_id": line["custom_id"], "response": None, "error": error})
            elif refusal is not None:
                response = {"status_code": refusal.status, "body": json.loads(_refused(refusal)[1])}
                errors.append({"custom_id": line["custom_id"], "response": response, "error": None})
            else:
                self.batch_billed += sum(map(self.count, inputs))
                dim = (fate.dim if row == len(lines) - 1 else None) or line["body"].get("dimensions")
                response = {"status_code": 200, "body": self._vectors(inputs, dim, counts=fate.counts)}
                output.append({"custom_id": line["custom_id"], "response": response, "error": None})
        state["request_counts"] |= {"completed": len(output), "failed": len(errors)}
        random.Random(len(lines)).shuffle(output)
        if fate.extra:
            output.append({**output[0], **({"custom_id": "nobody"} if fate.extra == "stranger" else {})})
        for kind, entries in (("output", output), ("error", errors)):
            if entries:
                state[f"{kind}_file_id"] = f"{kind}-{state['id']}"
                text = "\n".join(map(json.dumps, entries))
                self._files[f"{kind}-{state['id']}"] = text.encode() + b"\n"


def _ok(reply: object) -> tuple[int, bytes]:
    return 200, json.dumps(reply).encode()


def _refused(no: No) -> tuple[int, bytes]:
    error = {"message": no.message, "type": "invalid_request_error", "code": no.code}
    return no.status, json.dumps({"error": error}).encode()


def poison(*texts: str, no: No = REFUSED) -> Callable[[list[str]], No | None]:
    """A server that refuses whatever holds one of these texts, and does not say which."""
    bad = set(texts)
    return lambda inputs: no if bad & set(inputs) else None


def spoils(reply: bytes, *texts: str) -> Callable[[list[str]], bytes | None]:
    """A server that gives this reply to whatever holds one of these texts."""
    bad = set(texts)
    return lambda inputs: reply if bad & set(inputs) else None


@cache
def _word(word: str) -> Vectors:
    return np.array(slow_vector(word), "<f4")


def vector(text: str) -> Vectors:
    """The embedding of a text: a sum over its words, remembered word by word."""
    total: Vectors = np.sum([_word(word) for word in text.split()], axis=0).astype("<f4")
    return total


@contextmanager
def embedding_server() -> Iterator[Server]:
    """A server on a free port of this machine, until the block ends."""
    here = Server()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # else each reply waits 40 ms for the client's ACK
        here.url = f"http://127.0.0.1:{listening.getsockname()[1]}{PREFIX}"
        config = uvicorn.Config(here, log_config=None, log_level="critical", lifespan="off", ws="none", loop="asyncio")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            yield here
        finally:
            server.should_exit = server.force_exit = True
            thread.join()
