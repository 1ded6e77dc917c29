"""The embedders, by the first part of their SPEC, such as `local`. Imports none of them before it is chosen."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import Invalid

if TYPE_CHECKING:
    from ..openai_api import OpenAIClient
    from ..ports import Embedder, Paid
    from ..settings import Endpoint, Settings

_MODEL = re.compile(r"(?P<model>[^\s@]{1,200})(?:@(?P<dimensions>[1-9][0-9]{0,4}))?")


@dataclass(frozen=True, slots=True)
class Means:
    """What an embedder may be made with; each is made when it is first asked for."""

    settings: "Settings"
    clients: "Callable[[Endpoint], OpenAIClient]"
    """The one client of each endpoint."""
    paid: "Callable[[], Paid]"


def _local(rest: str, means: Means) -> "Embedder":
    from .local import LocalEmbedder

    if rest:
        raise Invalid(f"local stands alone, without {rest!r}")
    return LocalEmbedder()


def _openai(rest: str, means: Means) -> "Embedder":
    from .openai import OpenAIEmbedder

    parts = _MODEL.fullmatch(rest)
    if parts is None:
        raise Invalid(f"openai:{rest} names no model; say for example openai:text-embedding-3-small@256")
    settings = means.settings
    dimensions = int(parts["dimensions"]) if parts["dimensions"] else None
    return OpenAIEmbedder(
        parts["model"],
        means.clients(settings.embeddings),
        means.paid(),
        dimensions=dimensions,
        max_batch_inputs=settings.max_batch_inputs,
        concurrency=settings.concurrency,
    )


EMBEDDERS: "dict[str, Callable[[str, Means], Embedder]]" = {"local": _local, "openai": _openai}
"""What makes each embedder, given the rest of the SPEC after the colon."""


def embedder(spec: str, means: Means) -> "Embedder":
    """The embedder that a SPEC names; Invalid if it names none."""
    kind, _, rest = spec.partition(":")
    if kind not in EMBEDDERS:
        raise Invalid(f"unknown embedder {spec[:80]!r}; known are local and openai:MODEL[@DIMENSIONS]")
    return EMBEDDERS[kind](rest, means)
