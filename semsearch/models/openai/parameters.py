"""What models take beside their messages: what one refuses is left out, or has its newer name, from then on.

Servers differ, and tell it by refusing; each refusal costs one request, once.
"""

from typing import Any
from urllib.parse import urlsplit

from .errors import RequestFailedError

_NEW_MAX_TOKENS_NAME = "max_completion_tokens"
_OPENAI_DOMAINS = (".openai.com", ".openai.azure.com")


class ModelParameters:
    """Of one server, by model."""

    def __init__(self, base_url: str) -> None:
        # OpenAI's own models know a newer name, which most servers do not know
        its_own = (urlsplit(base_url).hostname or "").endswith(_OPENAI_DOMAINS)
        self._initially_refused = frozenset({"max_tokens"} if its_own else ())
        self._refused: dict[str, frozenset[str]] = {}

    def get_refused(self, model: str) -> frozenset[str]:
        """Those that a model does not take."""
        return self._refused.get(model, self._initially_refused)

    def build_parameters(self, model: str, max_tokens: int, temperature: float | None) -> dict[str, Any]:
        """What is sent to it."""
        refused = self.get_refused(model)
        sent: dict[str, Any] = {_NEW_MAX_TOKENS_NAME if "max_tokens" in refused else "max_tokens": max_tokens}
        if "stream_options" not in refused:
            sent["stream_options"] = {"include_usage": True}
        if temperature is not None and "temperature" not in refused:
            sent["temperature"] = temperature
        return sent

    def learn_from(self, model: str, sent: dict[str, Any], failure: RequestFailedError) -> bool:
        """Whether a request failed for a parameter that is now left out: then the next may succeed."""
        parameter = failure.detail.refused_parameter
        statuses = ("400", "422") if parameter == "stream_options" else ("400",)
        if parameter is None or parameter not in sent or failure.outcome not in statuses:
            return False
        self._refused[model] = self.get_refused(model) | {parameter}
        return True

    def list_warnings(self, model: str, temperature: float | None) -> tuple[str, ...]:
        """What was left out although somebody wanted it."""
        if temperature is None or "temperature" not in self.get_refused(model):
            return ()
        return (f"{model} takes no temperature of its own: {temperature:g} was not sent",)
