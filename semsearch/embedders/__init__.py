"""The embedders, by the first part of their SPEC, such as `local`. Imports none of them before it is chosen."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import Invalid

if TYPE_CHECKING:
    from ..ports import Embedder
    from ..settings import Settings

_MODEL = re.compile(r"(?P<model>[^\s@]{1,200})(?:@(?P<dimensions>[1-9][0-9]{0,4}))?")


def _local(rest: str, settings: "Settings") -> "Embedder":
    from .local import LocalEmbedder

    if rest:
        raise Invalid(f"local stands alone, without {rest!r}")
    return LocalEmbedder()


def _openai(rest: str, settings: "Settings") -> "Embedder":
    from ..openai_api import OpenAIClient
    from .openai import OpenAIEmbedder

    parts = _MODEL.fullmatch(rest)
    if parts is None:
        raise Invalid(f"openai:{rest} names no model; say for example openai:text-embedding-3-small@256")
    client = OpenAIClient(settings.embeddings.base_url, settings.embeddings.key.read)
    dimensions = int(parts["dimensions"]) if parts["dimensions"] else None
    return OpenAIEmbedder(parts["model"], client, dimensions=dimensions, max_batch_inputs=settings.max_batch_inputs)


EMBEDDERS: "dict[str, Callable[[str, Settings], Embedder]]" = {"local": _local, "openai": _openai}
"""What makes each embedder, given the rest of the SPEC after the colon."""


def embedder(spec: str, settings: "Settings") -> "Embedder":
    """The embedder that a SPEC names; Invalid if it names none."""
    kind, _, rest = spec.partition(":")
    if kind not in EMBEDDERS:
        raise Invalid(f"unknown embedder {spec[:80]!r}; known are local and openai:MODEL[@DIMENSIONS]")
    return EMBEDDERS[kind](rest, settings)
