"""Who writes answers: sentences copied from the documents, or a chat model. Imports neither before it is chosen.

Each entry makes, once for a library, what gives every request its answerer, with warnings about wishes it cannot fulfil.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING

from ..types import Wishes

if TYPE_CHECKING:
    from ..ports import Answerer, Embedder
    from ..settings import Settings

    Desk = Callable[[Wishes], tuple[Answerer, tuple[str, ...]]]


def _extractive(settings: "Settings", embedder: "Callable[[], Embedder]") -> "Desk":
    from .extractive import ExtractiveAnswerer

    answerer = ExtractiveAnswerer(embedder())

    def desk(wishes: Wishes) -> "tuple[Answerer, tuple[str, ...]]":
        unmet = [field.name for field in fields(wishes) if getattr(wishes, field.name) is not None]
        warning = f"no chat model is set (SEMSEARCH_CHAT__MODEL), so this had no effect: {', '.join(unmet)}"
        return answerer, (warning,) if unmet else ()

    return desk


def _chat(settings: "Settings", embedder: "Callable[[], Embedder]") -> "Desk":
    from ..openai_api import OpenAIClient
    from .chat import ChatAnswerer

    client = OpenAIClient(settings.chat.base_url, settings.chat.key.read)

    def desk(wishes: Wishes) -> "tuple[Answerer, tuple[str, ...]]":
        return ChatAnswerer(
            client,
            wishes.model or settings.chat_model or "",
            max_tokens=wishes.max_tokens or settings.max_tokens,
            temperature=settings.temperature if wishes.temperature is None else wishes.temperature,
            system="\n\n".join(filter(None, (settings.system, wishes.system))) or None,
        ), ()

    return desk


ANSWERERS: "dict[str, Callable[[Settings, Callable[[], Embedder]], Desk]]" = {"extractive": _extractive, "chat": _chat}
