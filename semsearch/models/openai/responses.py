"""Reads what an OpenAI-compatible server sends, as input that may be hostile. Does no I/O and knows no status codes.

Errors speak of "the reply" only; the caller knows which server it came from. Nothing that the server wrote is repeated
before `safe` has seen it.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from ...core.errors import UpstreamError
from ...core.types.documents import Vectors
from ...core.types.usage import RateLimits, Usage
from ...text.cleaning import clean

MAX_REPORTED_TOKENS = 100_000_000
"""What says that one request took more is not believed."""

MAX_MESSAGE_CHARACTERS = 300
MAX_MODELS_READ = 500

_SECRET_PATTERN = re.compile(r"\bsk[-_][^\s\"',;)]*|\bBearer\s+[^\s\"',;)]+", re.IGNORECASE)
_DURATION = re.compile(r"[0-9.]{1,12}(?:ms|[smhd])?(?:[0-9.]{1,12}(?:ms|[smhd])){0,4}")
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,79}")
_MAX_CHARACTERS_PER_TOKEN = 16
"""More than any language has, four times the usual."""

_MIN_CUTOFF_CHARACTERS = 2_000
"""Characters that no answer is cut off before."""

TokenCounts = tuple[int | None, int | None, int]
"""Tokens of the prompt and of the answer, None where the server has not said; and those that were cached."""

_NOT_FINITE = re.compile(rb"(?<=[\[,:\s])-?(?:NaN|Infinity)(?=[\],\s])")


@dataclass(frozen=True, slots=True)
class ChatEnd:
    """How a chat ended: the server's reason ("stop", "length", "content_filter", ...), its usage, what to tell."""

    reason: str
    usage: Usage
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EmbeddingResponse:
    """One row for each input, in the order of the inputs, and the tokens where the server counted them.

    A row with numbers that are not finite is zeros: no direction can be had from it either.
    """

    vectors: Vectors
    tokens: int | None


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """What a server says about a request that it refused; the message is fit to be shown."""

    message: str = ""
    code: str = ""
    param: str = ""
    type: str = ""

    @property
    def refused_parameter(self) -> str | None:
        """The parameter that this model does not take, if that is the problem."""
        if "stream_options" in self.param + self.message:  # servers have many ways to say it, and no code
            return "stream_options"
        known = self.param in ("max_tokens", "temperature")
        return self.param if known and self.code in ("unsupported_parameter", "unsupported_value") else None


def redact(text: str, secret: str | None) -> str:
    """One line without control characters and without anything like a key, cut to a bound."""
    line = " ".join(clean(text).split())
    if secret:
        line = line.replace(secret, "[key]")
    return _SECRET_PATTERN.sub("[key]", line)[:MAX_MESSAGE_CHARACTERS]


def parse_json_object(body: bytes | bytearray | str) -> dict[str, Any]:
    """The JSON object in `body`; Upstream where it is cut short or something else."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise UpstreamError("the reply is not JSON, or is cut short") from exc
    if not isinstance(value, dict):
        raise UpstreamError("the reply is not a JSON object")
    return value


def parse_json_lenient(body: bytes | bytearray) -> dict[str, Any]:
    """The JSON object in a reply of numbers: servers in Python write NaN and Infinity, which JSON has not."""
    try:
        return parse_json_object(body)
    except UpstreamError:  # hardly ever: to look for them takes ten times as long as to read it
        return parse_json_object(_NOT_FINITE.sub(b"null", body))


def parse_error_body(body: bytes | bytearray, secret: str | None) -> ErrorDetail:
    """What the body of an error says, in any of the usual forms; empty where it says nothing that can be read."""
    try:
        return parse_error_detail(parse_json_object(body), secret)
    except UpstreamError:
        return ErrorDetail()


def parse_error_detail(reply: dict[str, Any], secret: str | None) -> ErrorDetail:
    """The problem in a JSON object: `{"error": {...}}`, `{"error": "..."}`, `{"message": ...}` or `{"detail": ...}`."""
    error = reply.get("error") or reply.get("message") or reply.get("detail")
    fields = error if isinstance(error, dict) else {"message": error}
    message, code, param, kind = (str(fields.get(name) or "") for name in ("message", "code", "param", "type"))
    return ErrorDetail(redact(message, secret), code[:100], param[:100], kind[:100])


def model_names(reply: Mapping[str, Any], secret: str | None) -> list[str]:
    """The names in a list of models; what cannot name one, or holds a key, is left out."""
    data = reply.get("data")
    rows = data[:MAX_MODELS_READ] if isinstance(data, list) else []
    names = [row["id"] for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]
    return [name for name in dict.fromkeys(names) if _MODEL_NAME.fullmatch(name) and redact(name, secret) == name]


def parse_rate_limits(headers: Mapping[str, str]) -> RateLimits | None:
    """What a server says of its rate limits, as far as it makes sense; None where it says nothing."""
    said = {name.removeprefix("x-ratelimit-"): value for name, value in headers.items() if "x-ratelimit-" in name}
    found = RateLimits(
        limit_requests=_parse_count(said.get("limit-requests")),
        remaining_requests=_parse_count(said.get("remaining-requests")),
        reset_requests=_parse_duration(said.get("reset-requests")),
        limit_tokens=_parse_count(said.get("limit-tokens")),
        remaining_tokens=_parse_count(said.get("remaining-tokens")),
        reset_tokens=_parse_duration(said.get("reset-tokens")),
    )
    return None if found == RateLimits() else found


def _parse_count(value: str | None) -> int | None:
    return int(value) if value is not None and value.isascii() and value.isdigit() and len(value) <= 15 else None


def _parse_duration(value: str | None) -> str | None:
    return value if value is not None and _DURATION.fullmatch(value) else None


def read_input_tokens(reply: Mapping[str, Any]) -> int | None:
    """The input tokens that a reply says were counted."""
    return _read_count(reply.get("usage"), "prompt_tokens")


def parse_embeddings(reply: Mapping[str, Any], count: int) -> EmbeddingResponse:
    """The vectors of a reply to `count` inputs, each placed by its own index."""
    data = reply.get("data")
    if not isinstance(data, list) or len(data) != count:
        found = len(data) if isinstance(data, list) else 0
        raise UpstreamError(f"the reply holds {found} embeddings for {count} inputs")
    rows: dict[int, Vectors] = {}
    for item in data:
        index = item.get("index") if isinstance(item, dict) else None
        if type(index) is not int or not 0 <= index < count or index in rows:
            raise UpstreamError("the reply does not number each embedding once")
        rows[index] = _decode_vector(item.get("embedding"))
    if len({len(row) for row in rows.values()}) > 1:
        raise UpstreamError("the reply mixes embeddings of different dimensions")
    return EmbeddingResponse(np.stack([rows[index] for index in range(count)]), read_input_tokens(reply))


def _decode_vector(value: object) -> Vectors:
    """One embedding, whether it came as base64 of little-endian float32 or as a list of numbers."""
    try:
        if isinstance(value, str):
            row = np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4")
        else:
            if isinstance(value, list) and None in value:
                value = [np.nan if each is None else each for each in value]
            row = np.asarray(value)
    except (binascii.Error, ValueError) as exc:
        raise UpstreamError("the reply holds an embedding that cannot be decoded") from exc
    if row.ndim != 1 or row.dtype.kind not in "fiu" or not len(row):
        raise UpstreamError("the reply holds an embedding that is not a list of numbers")
    with np.errstate(over="ignore"):  # becomes infinite, and counts as such
        vector = row.astype(np.float32)
    return vector if np.isfinite(vector).all() else np.zeros_like(vector)


def _read_count(usage: object, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if type(value) is int and 0 <= value <= MAX_REPORTED_TOKENS else None


def read_token_counts(usage: object) -> TokenCounts:
    """What the `usage` of a chat says."""
    prompt, completion = _read_count(usage, "prompt_tokens"), _read_count(usage, "completion_tokens")
    if not isinstance(usage, dict) or prompt is None or completion is None:
        return None, None, 0
    cached = _read_count(usage.get("prompt_tokens_details"), "cached_tokens") or 0
    return prompt, completion, min(cached, prompt)


class ChatStream:
    """Reads the events of one streamed answer, and knows at its end whether it is complete."""

    def __init__(self, secret: str | None, max_tokens: int) -> None:
        self._secret = secret
        self._max_characters = max(_MIN_CUTOFF_CHARACTERS, _MAX_CHARACTERS_PER_TOKEN * max_tokens)
        self._reason = ""
        self._refusal = ""
        self._has_tool_calls = False
        self._usage: dict[str, Any] = {}
        self.output_characters = 0
        """Characters of the answer so far."""
        self.is_done = False

    def read_event(self, data: bytes) -> str:
        """The piece of the answer in one event, often empty; Upstream for an error in mid-stream."""
        if data.strip() == b"[DONE]":
            self.is_done = True
        if self.is_done:
            return ""
        event = parse_json_object(data)
        if event.get("error"):
            raise UpstreamError(
                f"the answer broke off with an error: {parse_error_detail(event, self._secret).message}"
            )
        if isinstance(event.get("usage"), dict):
            self._usage = event["usage"]
        return self._read_choice(event.get("choices"))

    def _read_choice(self, choices: object) -> str:
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return ""
        if isinstance(choice.get("finish_reason"), str):
            self._reason = choice["finish_reason"]
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return ""
        piece, refusal = delta.get("content"), delta.get("refusal")
        if piece is not None and not isinstance(piece, str):
            raise UpstreamError("the reply holds content that is not text")
        if isinstance(refusal, str):
            self._refusal += refusal
            self.output_characters += len(refusal)
        self._has_tool_calls = self._has_tool_calls or bool(delta.get("tool_calls"))
        self.output_characters += len(piece or "")
        return piece or ""

    @property
    def exceeds_limit(self) -> bool:
        """Whether so much has come that the server cannot mind how much it was asked for."""
        return self.output_characters > self._max_characters

    def list_warnings(self, model: str) -> tuple[str, ...]:
        """What came in place of text."""
        told = []
        if self._refusal:
            told.append(f"{model} refused to answer: {redact(self._refusal, self._secret)}")
        if self._has_tool_calls or self._reason in ("tool_calls", "function_call"):
            told.append(f"{model} asked for a tool, and is offered none")
        return tuple(told)

    def finish(self) -> str:
        """Why the answer ended; Upstream where the stream stopped before its end."""
        if self.exceeds_limit:
            return "length"
        if not self._reason and not self.is_done:
            raise UpstreamError("the answer broke off before its end")
        return redact(self._reason, self._secret)[:40] or "stop"

    def get_token_counts(self) -> TokenCounts:
        """What the server says of its tokens so far."""
        return read_token_counts(self._usage)
