"""Who writes answers: sentences copied from the documents, or a chat model. Imports neither before it is chosen.

Each entry makes, once for a library, what gives every request its answerer, with warnings about wishes that it cannot
fulfil; it is told the embedder of the collection.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...core.types.answers import Profile, Wishes

if TYPE_CHECKING:
    from ...core.ports import Answerer, Embedder
    from ...core.settings import Settings
    from ...models.openai.client import OpenAIClient

    Desk = Callable[[Wishes, Profile, Embedder], tuple[Answerer, tuple[str, ...]]]

UNUSED_KEY = "OPENAI_API_KEY is set, but no chat model is chosen; set SEMSEARCH_CHAT__MODEL"
_OF_A_MODEL = ("model", "max_tokens", "temperature", "system")


@dataclass(frozen=True, slots=True)
class Parts:
    """What an answerer may be made of; each is made when it is first asked for."""

    settings: "Settings"
    embedder: "Callable[[], Embedder]"
    """The embedded model, whatever embedder the collection has: it costs nothing."""
    client: "Callable[[], OpenAIClient]"
    """Of the chat endpoint."""


def has_unused_key(settings: "Settings") -> bool:
    """Whether a key for chat models is set, and no model is."""
    return settings.has_openai_key and settings.chat_model is None


def _extractive(parts: "Parts") -> "Desk":
    from .extractive import ExtractiveAnswerer

    def desk(wishes: Wishes, profile: Profile, embedder: "Embedder") -> "tuple[Answerer, tuple[str, ...]]":
        here = not embedder.orders(["Does it need a server?"])  # each sentence is embedded: that may cost nothing
        answerer = ExtractiveAnswerer(embedder if here else parts.embedder())
        unmet = [name for name in _OF_A_MODEL if getattr(wishes, name) is not None]
        warning = f"no chat model is set (SEMSEARCH_CHAT__MODEL), so this had no effect: {', '.join(unmet)}"
        hints = [UNUSED_KEY] if wishes.model is None and has_unused_key(parts.settings) else []
        return answerer, (*([warning] if unmet else []), *hints)

    return desk


def _chat(parts: "Parts") -> "Desk":
    from .chat import ChatAnswerer

    settings, client, embedder = parts.settings, parts.client(), parts.embedder()

    def desk(wishes: Wishes, profile: Profile, of_collection: "Embedder") -> "tuple[Answerer, tuple[str, ...]]":
        temperatures = (wishes.temperature, profile.temperature, settings.temperature)
        return ChatAnswerer(
            client,
            wishes.model or profile.model or settings.chat_model or "",
            embedder,
            max_tokens=wishes.max_tokens or profile.max_tokens or settings.max_tokens,
            temperature=next((each for each in temperatures if each is not None), None),
            system="\n\n".join(filter(None, (settings.system, profile.system, wishes.system))) or None,
            drafting=profile.unknown == "draft",
        ), ()

    return desk


ANSWERERS: "dict[str, Callable[[Parts], Desk]]" = {"extractive": _extractive, "chat": _chat}
