"""The answerers: sentences copied from the documents, or a chat model. Imports neither before it is chosen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...core.types.answer_requests import GenerationOptions, Profile
from ...models.embedders.custom_spec import is_foreign_space

if TYPE_CHECKING:
    from ...core.ports import Answerer, Embedder
    from ...core.settings import Endpoint, Settings
    from ...models.openai.client import OpenAIClient
    from ..evidence_ranking import EvidenceRanker
    from ..prompt_files import Prompt

    AnswererWithWarnings = tuple[Answerer, tuple[str, ...]]

UNUSED_KEY_WARNING = "OPENAI_API_KEY is set, but no chat model is chosen; set SEMSEARCH_CHAT__MODEL"
_CHAT_MODEL_OPTIONS = ("model", "max_tokens", "temperature", "system")


@dataclass(frozen=True, slots=True)
class AnswererDeps:
    """What answerers are made from; the embedder and the clients are made at the first call."""

    settings: "Settings"
    get_local_embedder: "Callable[[], Embedder]"
    """The embedded model. It costs nothing, whatever embedder the collection has."""
    get_client: "Callable[[Endpoint], OpenAIClient]"
    """The one client of each endpoint."""
    prompt: "Prompt | None" = None
    """Takes the place of those of the profile and the settings."""


def make_answerer(
    options: GenerationOptions, profile: Profile, embedder: "Embedder", deps: AnswererDeps
) -> "AnswererWithWarnings":
    """Return the answerer of one request, and a warning for each option that has no effect with it.

    `embedder` is that of the collection.
    """
    return ANSWERERS["chat" if deps.settings.chat_model else "extractive"](options, profile, embedder, deps)


def make_evidence_ranker(embedder: "Embedder", deps: AnswererDeps) -> "EvidenceRanker":
    """Return the ranker of passages, with the embedder of the collection if it costs nothing to embed every sentence.

    Before a chat model is called, the embedded model decides, as it always has the same scale. So it does for an
    embedder of a program or a plugin: its scale and its costs are unknown.
    """
    from ...core.ports import WordSimilarity
    from ..evidence_ranking import EvidenceRanker

    local = deps.get_local_embedder()
    is_free = not is_foreign_space(embedder.name) and not embedder.plan_requests(["Does it need a server?"])
    words = local if isinstance(local, WordSimilarity) else None
    return EvidenceRanker(embedder if is_free and deps.settings.chat_model is None else local, words)


def has_unused_key(settings: "Settings") -> bool:
    """Return whether a key for chat models is set, but no chat model."""
    return settings.has_openai_key and settings.chat_model is None


def _make_extractive(
    options: GenerationOptions, profile: Profile, embedder: "Embedder", deps: AnswererDeps
) -> "AnswererWithWarnings":
    from .extractive import ExtractiveAnswerer

    answerer = ExtractiveAnswerer(deps.settings.answer_threshold)
    warnings = []
    if ignored := [name for name in _CHAT_MODEL_OPTIONS if getattr(options, name) is not None]:
        warnings.append(f"no chat model is set (SEMSEARCH_CHAT__MODEL), so this had no effect: {', '.join(ignored)}")
    if options.model is None and has_unused_key(deps.settings):
        warnings.append(UNUSED_KEY_WARNING)
    return answerer, tuple(warnings)


def _make_chat(
    options: GenerationOptions, profile: Profile, embedder: "Embedder", deps: AnswererDeps
) -> "AnswererWithWarnings":
    from ..profile_texts import build_style_instructions
    from .chat import ChatAnswerer

    settings = deps.settings
    style = build_style_instructions(profile)
    temperatures = (options.temperature, profile.temperature, settings.temperature)
    answerer = ChatAnswerer(
        deps.get_client(settings.chat),
        options.model or profile.model or settings.chat_model or "",
        max_tokens=options.max_tokens or profile.max_tokens or settings.max_tokens,
        temperature=next((temperature for temperature in temperatures if temperature is not None), None),
        system="\n\n".join(filter(None, (settings.system, profile.system, style, options.system))) or None,
        allow_unsupported=profile.on_no_answer == "draft",
        prompt=deps.prompt,
    )
    return answerer, ()


ANSWERERS: "dict[str, Callable[[GenerationOptions, Profile, Embedder, AnswererDeps], AnswererWithWarnings]]" = {
    "extractive": _make_extractive,
    "chat": _make_chat,
}
"""The function that makes each answerer, by its module."""
