"""What models take beside their messages: what one refuses is left out, or has its newer name, from then on.

Servers differ, and tell it by refusing; each refusal costs one request, once.
"""

from typing import Any
from urllib.parse import urlsplit

from .errors import Failed

_NEW_NAME = "max_completion_tokens"
_ITS_OWN = (".openai.com", ".openai.azure.com")


class Parameters:
    """Of one server, by model."""

    def __init__(self, base_url: str) -> None:
        # OpenAI's own models know a newer name, which most servers do not know
        its_own = (urlsplit(base_url).hostname or "").endswith(_ITS_OWN)
        self._at_first = frozenset({"max_tokens"} if its_own else ())
        self._refused: dict[str, frozenset[str]] = {}

    def refused(self, model: str) -> frozenset[str]:
        """Those that a model does not take."""
        return self._refused.get(model, self._at_first)

    def of(self, model: str, max_tokens: int, temperature: float | None) -> dict[str, Any]:
        """What is sent to it."""
        refused = self.refused(model)
        sent: dict[str, Any] = {_NEW_NAME if "max_tokens" in refused else "max_tokens": max_tokens}
        if "stream_options" not in refused:
            sent["stream_options"] = {"include_usage": True}
        if temperature is not None and "temperature" not in refused:
            sent["temperature"] = temperature
        return sent

    def learned(self, model: str, sent: dict[str, Any], failed: Failed) -> bool:
        """Whether a request failed for a parameter that is now left out: then the next may succeed."""
        parameter = failed.problem.refused_parameter
        statuses = ("400", "422") if parameter == "stream_options" else ("400",)
        if parameter is None or parameter not in sent or failed.outcome not in statuses:
            return False
        self._refused[model] = self.refused(model) | {parameter}
        return True

    def warnings(self, model: str, temperature: float | None) -> tuple[str, ...]:
        """What was left out although somebody wanted it."""
        if temperature is None or "temperature" not in self.refused(model):
            return ()
        return (f"{model} takes no temperature of its own: {temperature:g} was not sent",)
