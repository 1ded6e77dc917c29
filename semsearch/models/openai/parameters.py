"""Request parameters of each chat model. A rejected parameter is left out from then on, or sent under its newer name.

Servers differ and show it only by rejecting a request; each parameter costs one such request.
"""

from typing import Any
from urllib.parse import urlsplit

from .errors import RequestFailedError

_NEW_MAX_TOKENS_NAME = "max_completion_tokens"
_OPENAI_DOMAINS = (".openai.com", ".openai.azure.com")


class ModelParameters:
    """Rejected parameters of one server, by model."""

    def __init__(self, base_url: str) -> None:
        # OpenAI's own models require a newer name, which most other servers do not support
        is_openai = (urlsplit(base_url).hostname or "").endswith(_OPENAI_DOMAINS)
        self._initially_refused = frozenset({"max_tokens"} if is_openai else ())
        self._refused: dict[str, frozenset[str]] = {}

    def get_refused(self, model: str) -> frozenset[str]:
        """Return the parameters that a model rejects."""
        return self._refused.get(model, self._initially_refused)

    def build_parameters(self, model: str, max_tokens: int, temperature: float | None) -> dict[str, Any]:
        """Return the parameters to send to a model."""
        refused = self.get_refused(model)
        parameters: dict[str, Any] = {_NEW_MAX_TOKENS_NAME if "max_tokens" in refused else "max_tokens": max_tokens}
        if "stream_options" not in refused:
            parameters["stream_options"] = {"include_usage": True}
        if temperature is not None and "temperature" not in refused:
            parameters["temperature"] = temperature
        return parameters

    def learn_from(self, model: str, sent: dict[str, Any], failure: RequestFailedError) -> bool:
        """Record a rejected parameter; return whether the failure names one, so that the next request may succeed."""
        parameter = failure.detail.refused_parameter
        statuses = ("400", "422") if parameter == "stream_options" else ("400",)
        if parameter is None or parameter not in sent or failure.outcome not in statuses:
            return False
        self._refused[model] = self.get_refused(model) | {parameter}
        return True

    def list_warnings(self, model: str, temperature: float | None) -> tuple[str, ...]:
        """Return a warning for each requested option that was left out."""
        if temperature is None or "temperature" not in self.get_refused(model):
            return ()
        return (f"{model} does not accept a temperature: {temperature:g} was not sent",)
