"""Explain that a server does not have a model: the date of its shutdown, and the models that the server has.

Opens no connection: the client passes a function that sends a request. The list, or the failure to get it, is cached
for a minute, so that many rejected requests cause one lookup. A failed lookup never hides the error to explain.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from difflib import SequenceMatcher
from typing import Any

from ...core.errors import SemsearchError, UpstreamError
from .errors import ApiCall, RequestFailedError
from .responses import parse_model_names
from .shutdowns import load_shutdowns

LOOKUP_SECONDS = 3.0
"""Timeout of the lookup; short, because the user waits for the error."""

MAX_NAMES_SHOWN = 8
_CACHE_SECONDS = 60.0
_MISSING_MODEL_STATUSES = (400, 404, 410, 422)
_MISSING_MODEL_CODES = frozenset(
    {
        "deploymentnotfound",  # Azure
        "invalid_model",  # Mistral
        "model_decommissioned",  # Groq
        "model_not_available",  # Together
        "model_not_found",  # OpenAI, Groq, LM Studio
    }
)
_MISSING_MODEL_MESSAGE = re.compile(
    r"\b(?:invalid|unknown|no such) model\b|not a valid model"  # LiteLLM, Mistral, OpenRouter
    r"|\bmodel\b.{0,200}?\b(?:not found|(?:does not|doesn't|not) exist|decommissioned|has been deprecated)",
    re.IGNORECASE,
)


class MissingModels:
    """Explains the errors of one server. `fetch_object` sends a call once and returns the JSON object of its reply."""

    def __init__(
        self,
        base_url: str,
        fetch_object: Callable[[ApiCall], Awaitable[dict[str, Any]]],
        read_key: Callable[[], str | None],
    ) -> None:
        self._url = f"{base_url}/models"
        self._fetch_object = fetch_object
        self._read_key = read_key
        self._names: Sequence[str] = ()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        self._valid_until = 0.0
        """In the time of `_loop`."""

    async def explain(self, call: ApiCall, failure: RequestFailedError) -> None:
        """Replace the error if it says that the server does not have the model; leave other errors unchanged."""
        error = failure.error
        if isinstance(error, UpstreamError) and _is_missing_model(call, error, failure):
            text = _format_explanation(call, error, failure, await self._get_models(call))
            failure.error = UpstreamError(text, status=error.status, code=error.code)

    async def _get_models(self, call: ApiCall) -> Sequence[str]:
        """Return the names of the server's models; none if the lookup fails."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # a lock and a time belong to one loop
            self._loop, self._lock, self._valid_until = loop, asyncio.Lock(), 0.0
        async with self._lock:
            if loop.time() >= self._valid_until:
                self._names = ()
                with suppress(RequestFailedError, SemsearchError):
                    self._names = await self._fetch_models(call)
                self._valid_until = loop.time() + _CACHE_SECONDS
            return self._names

    async def _fetch_models(self, call: ApiCall) -> Sequence[str]:
        deadline = min(call.deadline, asyncio.get_running_loop().time() + LOOKUP_SECONDS)
        models_call = replace(call, method="GET", url=self._url, body=None, deadline=deadline)
        return parse_model_names(await self._fetch_object(models_call), self._read_key())


def _is_missing_model(call: ApiCall, error: UpstreamError, failure: RequestFailedError) -> bool:
    """Return whether the server rejected the model itself; a 404 for the URL says nothing about models."""
    detail = failure.detail
    if not call.model or error.status not in _MISSING_MODEL_STATUSES:
        return False
    if {detail.code.lower(), detail.type.lower()} & _MISSING_MODEL_CODES or detail.param == "model":
        return True
    if error.status == 404:
        return "model" in detail.message.lower() or call.model in detail.message.split()
    return _MISSING_MODEL_MESSAGE.search(detail.message) is not None


def _format_explanation(call: ApiCall, error: UpstreamError, failure: RequestFailedError, models: Sequence[str]) -> str:
    message = f": {failure.detail.message.rstrip('.')}" if failure.detail.message else ""
    parts = [f"{call.url} answered {error.status} because it has no model {call.model!r}{message}"]
    if (shutdown := load_shutdowns().get(call.model)) is not None:
        parts.append(shutdown.describe(datetime.now(UTC).date()))
    if models:
        parts.append(_format_models(call.model, models))
    return "; ".join([*parts, _format_remedy(call)])


def _format_models(model: str, models: Sequence[str]) -> str:
    """List the server's models, the most similar names first."""
    if model in models:
        return "GET /models lists it, but the key may have no access to it, or the model is for another task"
    similarity = {name: SequenceMatcher(None, model[:80], name).ratio() for name in models}
    shown = sorted(models, key=lambda name: (-similarity[name], name))[:MAX_NAMES_SHOWN]
    others = f" and {len(models) - len(shown)} more" if len(models) > len(shown) else ""
    return f"GET /models there lists {', '.join(shown)}{others}"


def _format_remedy(call: ApiCall) -> str:
    if call.section == "CHAT":
        return f"choose another chat model with {call.get_setting_name('MODEL')} or in the request"
    if call.section == "CHECK":
        return f"choose another chat model with {call.get_setting_name('MODEL')}"
    return "create a collection with another embedder"
