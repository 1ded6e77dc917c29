"""Explains that a server has no model of a name: when that was shut down, and what the server offers instead.

Opens no connection: the client passes in what sends a request. The list is kept for a minute, and a failure to get
it as well, so that many refused requests ask once; no failure of it takes the place of the error that is explained.
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
from .responses import model_names
from .shutdowns import known_shutdowns

LOOKUP_SECONDS = 3.0
"""Somebody waits for the error meanwhile."""

MAX_NAMES_SHOWN = 8
_KEPT_SECONDS = 60.0
_STATUSES = (400, 404, 410, 422)
_CODES = frozenset(
    {
        "deploymentnotfound",  # Azure
        "invalid_model",  # Mistral
        "model_decommissioned",  # Groq
        "model_not_available",  # Together
        "model_not_found",  # OpenAI, Groq, LM Studio
    }
)
_SAYS_SO = re.compile(
    r"\b(?:invalid|unknown|no such) model\b|not a valid model"  # LiteLLM, Mistral, OpenRouter
    r"|\bmodel\b.{0,200}?\b(?:not found|(?:does not|doesn't|not) exist|decommissioned|has been deprecated)",
    re.IGNORECASE,
)


class MissingModels:
    """Explains the errors of one server; `get` sends a call once and returns the JSON object of its reply."""

    def __init__(
        self, base_url: str, get: Callable[[ApiCall], Awaitable[dict[str, Any]]], key: Callable[[], str | None]
    ) -> None:
        self._url = f"{base_url}/models"
        self._get = get
        self._key = key
        self._names: Sequence[str] = ()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        self._valid_until = 0.0
        """In the time of that loop."""

    async def explain(self, call: ApiCall, failed: RequestFailedError) -> None:
        """Replace the error where it says that the server has no such model; leave every other as it is."""
        error = failed.error
        if isinstance(error, UpstreamError) and _is_missing(call, error, failed):
            text = _explanation(call, error, failed, await self._offered(call))
            failed.error = UpstreamError(text, status=error.status, code=error.code)

    async def _offered(self, call: ApiCall) -> Sequence[str]:
        """The names of the server's models, none where it does not tell them."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # a lock and a time belong to one loop
            self._loop, self._lock, self._valid_until = loop, asyncio.Lock(), 0.0
        async with self._lock:
            if loop.time() >= self._valid_until:
                self._names = ()
                with suppress(RequestFailedError, SemsearchError):
                    self._names = await self._listed(call)
                self._valid_until = loop.time() + _KEPT_SECONDS
            return self._names

    async def _listed(self, call: ApiCall) -> Sequence[str]:
        deadline = min(call.deadline, asyncio.get_running_loop().time() + LOOKUP_SECONDS)
        look = replace(call, method="GET", url=self._url, body=None, deadline=deadline)
        return model_names(await self._get(look), self._key())


def _is_missing(call: ApiCall, error: UpstreamError, failed: RequestFailedError) -> bool:
    """Whether the server refused the model itself; an address without a model there says nothing of models."""
    found = failed.detail
    if not call.model or error.status not in _STATUSES:
        return False
    if {found.code.lower(), found.type.lower()} & _CODES or found.param == "model":
        return True
    if error.status == 404:
        return "model" in found.message.lower() or call.model in found.message.split()
    return _SAYS_SO.search(found.message) is not None


def _explanation(call: ApiCall, error: UpstreamError, failed: RequestFailedError, offered: Sequence[str]) -> str:
    said = f": {failed.detail.message.rstrip('.')}" if failed.detail.message else ""
    parts = [f"{call.url} answered {error.status} because it has no model {call.model!r}{said}"]
    if (shutdown := known_shutdowns().get(call.model)) is not None:
        parts.append(shutdown.describe(datetime.now(UTC).date()))
    if offered:
        parts.append(_offer(call.model, offered))
    return "; ".join([*parts, _remedy(call)])


def _offer(model: str, offered: Sequence[str]) -> str:
    """Name the models that are offered, those first that are called most like the missing one."""
    if model in offered:
        return "GET /models lists it all the same: the key may not use it, or it does other work"
    likeness = {name: SequenceMatcher(None, model[:80], name).ratio() for name in offered}
    nearest = sorted(offered, key=lambda name: (-likeness[name], name))[:MAX_NAMES_SHOWN]
    more = f" and {len(offered) - len(nearest)} more" if len(offered) > len(nearest) else ""
    return f"GET /models there lists {', '.join(nearest)}{more}"


def _remedy(call: ApiCall) -> str:
    if call.section == "CHAT":
        return f"name another chat model with {call.get_setting_name('MODEL')}, or in the request"
    return "make a collection with another embedder"
