"""Parse the replies of an OpenAI-compatible server as untrusted input. Does no I/O and knows no status codes.

Errors say "the reply"; the caller adds the URL. Text of the server is shown only after `redact`.
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
"""A higher token count for one request is ignored as implausible."""

MAX_MESSAGE_CHARACTERS = 300
MAX_MODELS_READ = 500

_SECRET_PATTERN = re.compile(r"\bsk[-_][^\s\"',;)]*|\bBearer\s+[^\s\"',;)]+", re.IGNORECASE)
_DURATION = re.compile(r"[0-9.]{1,12}(?:ms|[smhd])?(?:[0-9.]{1,12}(?:ms|[smhd])){0,4}")
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,79}")
_MAX_CHARACTERS_PER_TOKEN = 16
"""More than in any language; four times the usual."""

_MIN_CUTOFF_CHARACTERS = 2_000
"""An answer is never cut off before so many characters."""

TokenCounts = tuple[int | None, int | None, int]
"""Tokens of the prompt and of the answer, None if the server did not report them; and cached prompt tokens."""

_NOT_FINITE = re.compile(rb"(?<=[\[,:\s])-?(?:NaN|Infinity)(?=[\],\s])")


@dataclass(frozen=True, slots=True)
class ChatEnd:
    """The end of a chat: the server's reason ("stop", "length", "content_filter", ...), usage and warnings."""

    reason: str
    usage: Usage
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EmbeddingResponse:
    """One row for each input, in the order of the inputs, and the input tokens if the server counted them.

    A row with numbers that are not finite is replaced by zeros, because it has no direction.
    """

    vectors: Vectors
    tokens: int | None


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """What a server says about a failed request. The message is redacted."""

    message: str = ""
    code: str = ""
    param: str = ""
    type: str = ""

    @property
    def refused_parameter(self) -> str | None:
        """The parameter that the model rejects, if the error is about one."""
        if "stream_options" in self.param + self.message:  # servers use various messages and no code
            return "stream_options"
        is_optional = self.param in ("max_tokens", "temperature")
        return self.param if is_optional and self.code in ("unsupported_parameter", "unsupported_value") else None


def redact(text: str, secret: str | None) -> str:
    """Return one line without control characters and keys, at most MAX_MESSAGE_CHARACTERS long."""
    line = " ".join(clean(text).split())
    if secret:
        line = line.replace(secret, "[key]")
    return _SECRET_PATTERN.sub("[key]", line)[:MAX_MESSAGE_CHARACTERS]


def parse_json_object(body: bytes | bytearray | str) -> dict[str, Any]:
    """Return the JSON object in `body`; UpstreamError if it is truncated or something else."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise UpstreamError("the reply is not JSON, or is truncated") from exc
    if not isinstance(value, dict):
        raise UpstreamError("the reply is not a JSON object")
    return value


def parse_json_lenient(body: bytes | bytearray) -> dict[str, Any]:
    """Return the JSON object in a reply that may contain NaN and Infinity, which Python servers write."""
    try:
        return parse_json_object(body)
    except UpstreamError:  # rare: the replacement takes ten times as long as parsing
        return parse_json_object(_NOT_FINITE.sub(b"null", body))


def parse_error_body(body: bytes | bytearray, secret: str | None) -> ErrorDetail:
    """Return the error in a response body, in any usual form; an empty one if it cannot be parsed."""
    try:
        return parse_error_detail(parse_json_object(body), secret)
    except UpstreamError:
        return ErrorDetail()


def parse_error_detail(reply: dict[str, Any], secret: str | None) -> ErrorDetail:
    """Return the error in `{"error": {...}}`, `{"error": "..."}`, `{"message": ...}` or `{"detail": ...}`."""
    error = reply.get("error") or reply.get("message") or reply.get("detail")
    fields = error if isinstance(error, dict) else {"message": error}
    message, code, param, kind = (str(fields.get(name) or "") for name in ("message", "code", "param", "type"))
    return ErrorDetail(redact(message, secret), code[:100], param[:100], kind[:100])


def parse_model_names(reply: Mapping[str, Any], secret: str | None) -> list[str]:
    """Return the names in a list of models, without invalid names and names that contain a key."""
    data = reply.get("data")
    rows = data[:MAX_MODELS_READ] if isinstance(data, list) else []
    names = [row["id"] for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]
    return [name for name in dict.fromkeys(names) if _MODEL_NAME.fullmatch(name) and redact(name, secret) == name]


def parse_rate_limits(headers: Mapping[str, str]) -> RateLimits | None:
    """Return the rate limits in response headers; invalid values are None. None without any valid value."""
    values = {name.removeprefix("x-ratelimit-"): value for name, value in headers.items() if "x-ratelimit-" in name}
    rate_limits = RateLimits(
        limit_requests=_parse_count(values.get("limit-requests")),
        remaining_requests=_parse_count(values.get("remaining-requests")),
        reset_requests=_parse_duration(values.get("reset-requests")),
        limit_tokens=_parse_count(values.get("limit-tokens")),
        remaining_tokens=_parse_count(values.get("remaining-tokens")),
        reset_tokens=_parse_duration(values.get("reset-tokens")),
    )
    return None if rate_limits == RateLimits() else rate_limits


def _parse_count(value: str | None) -> int | None:
    return int(value) if value is not None and value.isascii() and value.isdigit() and len(value) <= 15 else None


def _parse_duration(value: str | None) -> str | None:
    return value if value is not None and _DURATION.fullmatch(value) else None


def read_input_tokens(reply: Mapping[str, Any]) -> int | None:
    """Return the input tokens that the server counted, or None."""
    return _read_count(reply.get("usage"), "prompt_tokens")


def parse_embeddings(reply: Mapping[str, Any], count: int) -> EmbeddingResponse:
    """Return the vectors of a reply to `count` inputs, ordered by their indexes."""
    data = reply.get("data")
    if not isinstance(data, list) or len(data) != count:
        received = len(data) if isinstance(data, list) else 0
        raise UpstreamError(f"the reply contains {received} embeddings for {count} inputs")
    rows: dict[int, Vectors] = {}
    for item in data:
        index = item.get("index") if isinstance(item, dict) else None
        if type(index) is not int or not 0 <= index < count or index in rows:
            raise UpstreamError("the reply does not have each embedding index exactly once")
        rows[index] = _decode_vector(item.get("embedding"))
    if len({len(row) for row in rows.values()}) > 1:
        raise UpstreamError("the reply contains embeddings of different dimensions")
    return EmbeddingResponse(np.stack([rows[index] for index in range(count)]), read_input_tokens(reply))


def _decode_vector(value: object) -> Vectors:
    """Decode an embedding from base64 of little-endian float32, or from a list of numbers."""
    try:
        if isinstance(value, str):
            row = np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4")
        else:
            if isinstance(value, list) and None in value:
                value = [np.nan if number is None else number for number in value]
            row = np.asarray(value)
    except (binascii.Error, ValueError) as exc:
        raise UpstreamError("the reply contains an embedding that cannot be decoded") from exc
    if row.ndim != 1 or row.dtype.kind not in "fiu" or not len(row):
        raise UpstreamError("the reply contains an embedding that is not a list of numbers")
    with np.errstate(over="ignore"):  # an overflow gives infinity, which is handled below
        vector = row.astype(np.float32)
    return vector if np.isfinite(vector).all() else np.zeros_like(vector)


def _read_count(usage: object, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if type(value) is int and 0 <= value <= MAX_REPORTED_TOKENS else None


def read_token_counts(usage: object) -> TokenCounts:
    """Return the token counts in the `usage` of a chat."""
    prompt, completion = _read_count(usage, "prompt_tokens"), _read_count(usage, "completion_tokens")
    if not isinstance(usage, dict) or prompt is None or completion is None:
        return None, None, 0
    cached = _read_count(usage.get("prompt_tokens_details"), "cached_tokens") or 0
    return prompt, completion, min(cached, prompt)


class ChatStream:
    """Parses the events of one streamed answer and checks at the end whether it is complete."""

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
        """Return the text in one event, often empty; UpstreamError if the event is an error."""
        if data.strip() == b"[DONE]":
            self.is_done = True
        if self.is_done:
            return ""
        event = parse_json_object(data)
        if event.get("error"):
            raise UpstreamError(f"the answer ended with an error: {parse_error_detail(event, self._secret).message}")
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
            raise UpstreamError("the reply contains content that is not text")
        if isinstance(refusal, str):
            self._refusal += refusal
            self.output_characters += len(refusal)
        self._has_tool_calls = self._has_tool_calls or bool(delta.get("tool_calls"))
        self.output_characters += len(piece or "")
        return piece or ""

    @property
    def exceeds_limit(self) -> bool:
        """Whether the answer is so long that the server ignores max_tokens."""
        return self.output_characters > self._max_characters

    def list_warnings(self, model: str) -> tuple[str, ...]:
        """Return warnings about a refusal or a tool call in place of text."""
        warnings = []
        if self._refusal:
            warnings.append(f"{model} refused to answer: {redact(self._refusal, self._secret)}")
        if self._has_tool_calls or self._reason in ("tool_calls", "function_call"):
            warnings.append(f"{model} called a tool, but no tools were offered")
        return tuple(warnings)

    def finish(self) -> str:
        """Return the reason for the end of the answer; UpstreamError if the stream is incomplete."""
        if self.exceeds_limit:
            return "length"
        if not self._reason and not self.is_done:
            raise UpstreamError("the stream ended before the end of the answer")
        return redact(self._reason, self._secret)[:40] or "stop"

    def get_token_counts(self) -> TokenCounts:
        """Return the token counts that the server has reported so far."""
        return read_token_counts(self._usage)
