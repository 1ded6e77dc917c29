"""A model server for tests: an OpenAI-compatible one that works, on a loopback port, and misbehaves by script.

Embeddings depend on a text's words alone, so that texts that share words are near. The chat model cites the first
sentence of the first passage in its prompt. `Script` replaces what one call gets, byte by byte if need be. The last
three functions call it.
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
"""In a script: send nothing more until the client hangs up."""
CUT = "cut"
"""In a script: drop the connection here."""
SLOW = "slow"
"""In a script: wait a moment."""
SLOW_SECONDS = 0.05

_PASSAGE_ID = re.compile(r"id: (\S+) source: .*\n1: (.*)")

T = TypeVar("T")
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ScriptedReply:
    """The reply to one call: a status, headers, and the body in the pieces in which it is sent."""

    parts: Sequence[bytes | str] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


@dataclass(frozen=True, slots=True)
class ReceivedCall:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    client: tuple[str, int]
    """The other end of its connection; equal for calls that shared one."""


def error_reply(status: int, message: str, code: str | None = None, param: str | None = None) -> ScriptedReply:
    """An error in OpenAI's form."""
    error = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}
    return ScriptedReply([json.dumps(error).encode()], status)


def stream_reply(*events: object, done: bool = True) -> ScriptedReply:
    """A streamed reply of these events."""
    lines = [f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode() for event in events]
    return raw_stream_reply(*lines, *([b"data: [DONE]\n\n"] if done else []))


def raw_stream_reply(*parts: bytes | str) -> ScriptedReply:
    """A streamed reply of exactly these bytes."""
    return ScriptedReply(parts, headers={"content-type": "text/event-stream"})


def delta_event(text: str | None = None, finish_reason: str | None = None, **extra: object) -> dict[str, Any]:
    """One event of a streamed answer."""
    piece: dict[str, Any] = {**extra} if text is None else {"content": text, **extra}
    return {
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": piece, "finish_reason": finish_reason}],
    }


def usage_event(prompt: int, completion: int, cached: int = 0) -> dict[str, Any]:
    """The event that states what an answer used."""
    details = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {"choices": [], "usage": {**details, "prompt_tokens_details": {"cached_tokens": cached}}}


def embed_text(text: str) -> list[float]:
    """The embedding of a text: a sum over its words, not of unit length."""
    words = re.findall(r"\w+", text.lower()) or [text]
    seeds = [np.random.default_rng(zlib.crc32(word.encode())) for word in words]
    total = np.sum([seed.standard_normal(DIM) for seed in seeds], axis=0).astype("<f4")
    return [float(number) for number in total]


class Upstream:
    """The server's behaviour and its log."""

    def __init__(self) -> None:
        self.url = ""
        self.reset()

    def reset(self) -> None:
        """Forget all calls and scripts, and work again."""
        self.calls: list[ReceivedCall] = []
        self.scripted_replies: list[ScriptedReply] = []
        """What the next calls get."""
        self.reply_rule: Callable[[ReceivedCall], ScriptedReply | None] = lambda call: None
        """What any other call gets; None lets the server work."""
        self.billed: list[tuple[str, int, int]] = []
        """Path, input and output tokens of every call that it worked for."""
        self.answer: Callable[[list[dict[str, str]]], str] = cite_first_sentence
        self.sends_base64 = True
        self.hung_up = threading.Event()
        """Set when a client leaves a call that hangs."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request, by script if there is one."""
        sent = b""
        while True:
            message = await receive()
            sent += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        body = json.loads(sent or b"{}")
        call = ReceivedCall(scope["path"], headers, body, scope["client"])
        self.calls.append(call)
        script = (
            self.scripted_replies.pop(0)
            if self.scripted_replies
            else self.reply_rule(call) or self._make_reply(scope["path"], body)
        )
        await self._send_reply(script, receive, send)

    def _make_reply(self, path: str, body: dict[str, Any]) -> ScriptedReply:
        if path == "/v1/embeddings":
            return self.embeddings_reply(body)
        if path == "/v1/chat/completions":
            return self.chat_reply(body)
        return error_reply(404, f"no such path: {path}")

    def embeddings_reply(self, body: dict[str, Any]) -> ScriptedReply:
        """What a working server answers, in reverse order, as it may."""
        data = []
        for index, text in reversed(list(enumerate(body["input"]))):
            numbers = np.array(embed_text(text), dtype="<f4")[: body.get("dimensions")]
            encoded = base64.b64encode(numbers.tobytes()).decode()
            wants_base64 = self.sends_base64 and body.get("encoding_format") == "base64"
            embedding = encoded if wants_base64 else numbers.tolist()
            data.append({"object": "embedding", "index": index, "embedding": embedding})
        tokens = sum(map(count_tokens, body["input"]))
        self.billed.append(("/v1/embeddings", tokens, 0))
        spent = {"prompt_tokens": tokens, "total_tokens": tokens}
        return ScriptedReply([json.dumps({"object": "list", "data": data, "usage": spent}).encode()])

    def chat_reply(self, body: dict[str, Any]) -> ScriptedReply:
        """What a working server answers: a few characters to an event."""
        text = self.answer(body["messages"])
        pieces = [text[at : at + 7] for at in range(0, len(text), 7)]
        spent = sum(count_tokens(message["content"]) for message in body["messages"]), count_tokens(text)
        self.billed.append(("/v1/chat/completions", *spent))
        events = [
            delta_event("", role="assistant"),
            *(delta_event(piece) for piece in pieces),
            delta_event(finish_reason="stop"),
        ]
        return stream_reply(*events, usage_event(*spent))

    async def _send_reply(self, script: ScriptedReply, receive: Receive, send: Send) -> None:
        headers = [(name.encode(), value.encode()) for name, value in script.headers.items()]
        await send({"type": "http.response.start", "status": script.status, "headers": headers})
        for part in script.parts:
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
    """The tokens of a text: one for each four bytes of a word, and for what is left of it."""
    return sum(-(-len(word.encode("utf-8", "replace")) // 4) for word in text.split())


def cite_first_sentence(messages: list[dict[str, str]]) -> str:
    """An answer that is the first sentence of the first passage, and cites it."""
    match = _PASSAGE_ID.search(messages[-1]["content"])
    return f"{match[2].rstrip('.')} [[{match[1]}.1]]." if match else "NO_ANSWER"


@contextmanager
def run_upstream(upstream: Upstream | None = None) -> Iterator[Upstream]:
    """A server on a free port of this machine, until the block ends."""
    upstream = upstream or Upstream()
    with socket.create_server(("127.0.0.1", 0)) as listening:  # calls wait in its queue until the thread has started
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # small pieces go out at once
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
    """What `deed` returns, done with a client of its own."""

    async def run() -> T:
        client = OpenAIClient(upstream.url, lambda: key, meter=meter or RecordingMeter(), timeout=timeout)
        try:
            return await action(client)
        finally:
            await client.aclose()

    return asyncio.run(run())


async def embed_two(client: OpenAIClient) -> Vectors:
    """The vectors of two inputs."""
    return (await client.create_embeddings("m", ["one", "two"], RequestContext("query"))).vectors


async def chat_once(client: OpenAIClient, temperature: float | None = None, model: str = "m") -> tuple[str, ChatEnd]:
    """The whole answer and how it ended."""
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
