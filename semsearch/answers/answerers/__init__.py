"""Who writes answers: sentences copied from the documents, or a chat model. Imports neither before it is chosen.

Each entry makes, once for a library, what gives every request its answerer, with warnings about wishes that it cannot
fulfil; it is told the embedder of the collection.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...core.types.answers import GenerationOptions, Profile

if TYPE_CHECKING:
    from ...core.ports import Answerer, Embedder
    from ...core.settings import Settings
    from ...models.openai.client import OpenAIClient

    AnswererFactory = Callable[[GenerationOptions, Profile, Embedder], tuple[Answerer, tuple[str, ...]]]

UNUSED_KEY_WARNING = "OPENAI_API_KEY is set, but no chat model is chosen; set SEMSEARCH_CHAT__MODEL"
_CHAT_MODEL_OPTIONS = ("model", "max_tokens", "temperature", "system")


@dataclass(frozen=True, slots=True)
class AnswererDeps:
    """What an answerer may be made of; each is made when it is first asked for."""

    settings: "Settings"
    embedder: "Callable[[], Embedder]"
    """The embedded model, whatever embedder the collection has: it costs nothing."""
    client: "Callable[[], OpenAIClient]"
    """Of the chat endpoint."""


def has_unused_key(settings: "Settings") -> bool:
    """Whether a key for chat models is set, and no model is."""
    return settings.has_openai_key and settings.chat_model is None


def _make_extractive_factory(deps: "AnswererDeps") -> "AnswererFactory":
    from .extractive import ExtractiveAnswerer

    def make_answerer(
        options: GenerationOptions, profile: Profile, embedder: "Embedder"
    ) -> "tuple[Answerer, tuple[str, ...]]":
        embeds_locally = not embedder.plan_requests(
            ["Does it need a server?"]
        )  # each sentence is embedded: that may cost nothing
        answerer = ExtractiveAnswerer(embedder if embeds_locally else deps.embedder())
        ignored = [name for name in _CHAT_MODEL_OPTIONS if getattr(options, name) is not None]
        warning = f"no chat model is set (SEMSEARCH_CHAT__MODEL), so this had no effect: {', '.join(ignored)}"
        hints = [UNUSED_KEY_WARNING] if options.model is None and has_unused_key(deps.settings) else []
        return answerer, (*([warning] if ignored else []), *hints)

    return make_answerer


def _make_chat_factory(deps: "AnswererDeps") -> "AnswererFactory":
    from .chat import ChatAnswerer

    settings, client, embedder = deps.settings, deps.client(), deps.embedder()

    def make_answerer(
        options: GenerationOptions, profile: Profile, collection_embedder: "Embedder"
    ) -> "tuple[Answerer, tuple[str, ...]]":
        temperatures = (options.temperature, profile.temperature, settings.temperature)
        return ChatAnswerer(
            client,
            options.model or profile.model or settings.chat_model or "",
            embedder,
            max_tokens=options.max_tokens or profile.max_tokens or settings.max_tokens,
            temperature=next((each for each in temperatures if each is not None), None),
            system="\n\n".join(filter(None, (settings.system, profile.system, options.system))) or None,
            allow_unsupported=profile.on_no_answer == "draft",
        ), ()

    return make_answerer


ANSWERERS: "dict[str, Callable[[AnswererDeps], AnswererFactory]]" = {
    "extractive": _make_extractive_factory,
    "chat": _make_chat_factory,
}
