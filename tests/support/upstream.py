"""An OpenAI-compatible model server for tests on a loopback port. It works, or misbehaves by script.

Embeddings depend only on a text's words, so that texts with common words are similar. The chat model cites the first
sentence of the first passage in its prompt. A `ScriptedReply` replaces the reply to one call, byte by byte if needed.
The last three functions call the server.
"""

import asyncio
import base64
import json
import re
import socket
import threading
import zlib
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import uvicorn
from support.fakes import RecordingMeter

from semsearch.core.ports import Meter
from semsearch.core.types.documents import Vectors
from semsearch.core.types.usage import RequestContext
from semsearch.models.openai.client import OpenAIClient
from semsearch.models.openai.responses import ChatEnd

DIM = 32
KEY = "sk-test-5ecret"
CHAT_MESSAGES = [{"role": "user", "content": "hello"}]
HANG = "hang"
"""In a script: send nothing more until the client disconnects."""
CUT = "cut"
"""In a script: close the connection."""
SLOW = "slow"
"""In a script: wait SLOW_SECONDS."""
SLOW_SECONDS = 0.05

_PASSAGE_ID = re.compile(r"id: (\S+) source: .*\n1: (.*)")

T = TypeVar("T")
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ScriptedReply:
    """The reply to one call: status, headers, and the parts of the body."""

    parts: Sequence[bytes | str] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


@dataclass(frozen=True, slots=True)
class ReceivedCall:
    """One received request."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    client: tuple[str, int]
    """Address of the client; equal for calls over the same connection."""


def error_reply(status: int, message: str, code: str | None = None, param: str | None = None) -> ScriptedReply:
    """Return an error in OpenAI's format."""
    error = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}
    return ScriptedReply([json.dumps(error).encode()], status)


def stream_reply(*events: object, done: bool = True) -> ScriptedReply:
    """Return a streamed reply of these events."""
    lines = [f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode() for event in events]
    return raw_stream_reply(*lines, *([b"data: [DONE]\n\n"] if done else []))


def raw_stream_reply(*parts: bytes | str) -> ScriptedReply:
    """Return a streamed reply of exactly these bytes."""
    return ScriptedReply(parts, headers={"content-type": "text/event-stream"})


def delta_event(text: str | None = None, finish_reason: str | None = None, **extra: object) -> dict[str, Any]:
    """Return one event of a streamed answer."""
    piece: dict[str, Any] = {**extra} if text is None else {"content": text, **extra}
    return {
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": piece, "finish_reason": finish_reason}],
    }


def usage_event(prompt: int, completion: int, cached: int = 0) -> dict[str, Any]:
    """Return the event with the token counts of an answer."""
    details = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {"choices": [], "usage": {**details, "prompt_tokens_details": {"cached_tokens": cached}}}


def embed_text(text: str) -> list[float]:
    """Return the embedding of a text: a sum over its words, not normalized."""
    words = re.findall(r"\w+", text.lower()) or [text]
    seeds = [np.random.default_rng(zlib.crc32(word.encode())) for word in words]
    total = np.sum([seed.standard_normal(DIM) for seed in seeds], axis=0).astype("<f4")
    return [float(number) for number in total]


class Upstream:
    """Behaviour and records of the server."""

    def __init__(self) -> None:
        self.url = ""
        self.reset()

    def reset(self) -> None:
        """Reset records and behaviour."""
        self.calls: list[ReceivedCall] = []
        self.scripted_replies: list[ScriptedReply] = []
        """Replies to the next calls."""
        self.reply_rule: Callable[[ReceivedCall], ScriptedReply | None] = lambda call: None
        """Returns the reply to any other call; None lets the server work."""
        self.billed: list[tuple[str, int, int]] = []
        """Path, input tokens and output tokens of every call without a script."""
        self.answer: Callable[[list[dict[str, str]]], str] = cite_first_sentence
        self.sends_base64 = True
        self.hung_up = threading.Event()
        """Set when a client disconnects from a hanging call."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request, by script if there is one."""
        received = b""
        while True:
            message = await receive()
            received += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        body = json.loads(received or b"{}")
        call = ReceivedCall(scope["path"], headers, body, scope["client"])
        self.calls.append(call)
        reply = (
            self.scripted_replies.pop(0)
            if self.scripted_replies
            else self.reply_rule(call) or self._make_reply(scope["path"], body)
        )
        await self._send_reply(reply, receive, send)

    def _make_reply(self, path: str, body: dict[str, Any]) -> ScriptedReply:
        if path == "/v1/embeddings":
            return self.embeddings_reply(body)
        if path == "/v1/chat/completions":
            return self.chat_reply(body)
        return error_reply(404, f"no such path: {path}")

    def embeddings_reply(self, body: dict[str, Any]) -> ScriptedReply:
        """Return embeddings in reverse order, which the API allows."""
        data = []
        for index, text in reversed(list(enumerate(body["input"]))):
            numbers = np.array(embed_text(text), dtype="<f4")[: body.get("dimensions")]
            encoded = base64.b64encode(numbers.tobytes()).decode()
            wants_base64 = self.sends_base64 and body.get("encoding_format") == "base64"
            embedding = encoded if wants_base64 else numbers.tolist()
            data.append({"object": "embedding", "index": index, "embedding": embedding})
        tokens = sum(map(count_tokens, body["input"]))
        self.billed.append(("/v1/embeddings", tokens, 0))
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return ScriptedReply([json.dumps({"object": "list", "data": data, "usage": usage}).encode()])

    def chat_reply(self, body: dict[str, Any]) -> ScriptedReply:
        """Return an answer with a few characters in each event."""
        text = self.answer(body["messages"])
        pieces = [text[start : start + 7] for start in range(0, len(text), 7)]
        token_counts = sum(count_tokens(message["content"]) for message in body["messages"]), count_tokens(text)
        self.billed.append(("/v1/chat/completions", *token_counts))
        events = [
            delta_event("", role="assistant"),
            *(delta_event(piece) for piece in pieces),
            delta_event(finish_reason="stop"),
        ]
        return stream_reply(*events, usage_event(*token_counts))

    async def _send_reply(self, reply: ScriptedReply, receive: Receive, send: Send) -> None:
        headers = [(name.encode(), value.encode()) for name, value in reply.headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        for part in reply.parts:
            if part == HANG:
                while (await receive())["type"] != "http.disconnect":
                    pass
                self.hung_up.set()
                return
            if part == CUT:
                raise ConnectionAbortedError
            if part == SLOW:
                await asyncio.sleep(SLOW_SECONDS)
                continue
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def count_tokens(text: str) -> int:
    """Return the tokens of a text: one for each four bytes of a word, rounded up."""
    return sum(-(-len(word.encode("utf-8", "replace")) // 4) for word in text.split())


def cite_first_sentence(messages: list[dict[str, str]]) -> str:
    """Return the first sentence of the first passage with its citation."""
    match = _PASSAGE_ID.search(messages[-1]["content"])
    return f"{match[2].rstrip('.')} [[{match[1]}.1]]." if match else "NO_ANSWER"


@contextmanager
def run_upstream(upstream: Upstream | None = None) -> Iterator[Upstream]:
    """Run a server on a free port of this machine until the block ends."""
    upstream = upstream or Upstream()
    with socket.create_server(("127.0.0.1", 0)) as listening:  # calls wait in its backlog until the thread has started
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # send small parts at once
        upstream.url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        config = uvicorn.Config(
            upstream, log_config=None, log_level="critical", lifespan="off", ws="none", loop="asyncio"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            yield upstream
        finally:
            server.should_exit = server.force_exit = True
            thread.join()


def run_with_client(
    upstream: Upstream,
    action: Callable[[OpenAIClient], Awaitable[T]],
    key: str | None = KEY,
    timeout: float = 5.0,
    meter: Meter | None = None,
) -> T:
    """Return the result of `action` with a new client."""

    async def run() -> T:
        client = OpenAIClient(upstream.url, lambda: key, meter=meter or RecordingMeter(), timeout=timeout)
        try:
            return await action(client)
        finally:
            await client.aclose()

    return asyncio.run(run())


async def embed_two(client: OpenAIClient) -> Vectors:
    """Return the vectors of two inputs."""
    return (await client.create_embeddings("m", ["one", "two"], RequestContext("query"))).vectors


async def chat_once(client: OpenAIClient, temperature: float | None = None, model: str = "m") -> tuple[str, ChatEnd]:
    """Return the whole answer and its end."""
    text, ending = "", None
    async for piece in client.stream_chat(
        model, CHAT_MESSAGES, RequestContext("answer"), max_tokens=5, temperature=temperature
    ):
        if isinstance(piece, ChatEnd):
            ending = piece
        else:
            text += piece
    assert ending is not None
    return text, ending
