"""Who writes answers: sentences copied from the documents, or a chat model. Imports neither before it is chosen.

Each entry makes, once for a library, what gives every request its answerer, with warnings about wishes that it cannot
fulfil.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from ..types import Wishes

if TYPE_CHECKING:
    from ..openai_api import OpenAIClient
    from ..ports import Answerer, Embedder
    from ..settings import Settings

    Desk = Callable[[Wishes], tuple[Answerer, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What an answerer may be made of; each is made when it is first asked for."""

    settings: "Settings"
    embedder: "Callable[[], Embedder]"
    """The embedded model, whatever embedder the collection has: it costs nothing."""
    client: "Callable[[], OpenAIClient]"
    """Of the chat endpoint."""


def _extractive(parts: "Parts") -> "Desk":
    from .extractive import ExtractiveAnswerer

    answerer = ExtractiveAnswerer(parts.embedder())

    def desk(wishes: Wishes) -> "tuple[Answerer, tuple[str, ...]]":
        unmet = [field.name for field in fields(wishes) if getattr(wishes, field.name) is not None]
        warning = f"no chat model is set (SEMSEARCH_CHAT__MODEL), so this had no effect: {', '.join(unmet)}"
        return answerer, (warning,) if unmet else ()

    return desk


def _chat(parts: "Parts") -> "Desk":
    from .chat import ChatAnswerer

    settings, client = parts.settings, parts.client()

    def desk(wishes: Wishes) -> "tuple[Answerer, tuple[str, ...]]":
        return ChatAnswerer(
            client,
            wishes.model or settings.chat_model or "",
            max_tokens=wishes.max_tokens or settings.max_tokens,
            temperature=settings.temperature if wishes.temperature is None else wishes.temperature,
            system="\n\n".join(filter(None, (settings.system, wishes.system))) or None,
        ), ()

    return desk


ANSWERERS: "dict[str, Callable[[Parts], Desk]]" = {"extractive": _extractive, "chat": _chat}
