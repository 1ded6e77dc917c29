"""From what a caller passes as `embedder` to the embedder of a collection, which must be the one it was made with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...core.errors import ConflictError, InvalidError, NotFoundError, UnavailableError
from ...core.types.usage import RequestContext
from . import EmbedderDeps, make_embedder, normalize_spec
from .custom_spec import is_custom

if TYPE_CHECKING:
    from ...core.event_loop import EventLoopThread
    from ...core.ports import Embedder
    from .custom import CustomEmbedder, EmbeddingFunction, EmbeddingModel

    EmbedderInput = str | EmbeddingFunction | EmbeddingModel
    """A SPEC, or the embedder of a Python program."""

_PROBE_TEXT = "how long is a vector?"


@dataclass(frozen=True, slots=True)
class StoredEmbedder:
    """What a collection stores of its embedder: SPEC, name of the vector space, and dimension."""

    collection: str
    spec: str
    space: str
    dim: int


def choose_embedder(given: EmbedderInput | None) -> str | CustomEmbedder | None:
    """Return a SPEC in its stored form, or the embedder of a function or object; InvalidError if it is neither."""
    if given is None:
        return None
    if not isinstance(given, str):
        from .custom import CustomEmbedder

        return CustomEmbedder(given)
    if is_custom(given):
        raise InvalidError(
            f"{given[:80]!r} stands for a function of a Python program, which only that program can pass:"
            " library.create(NAME, embedder=FUNCTION)"
        )
    return normalize_spec(given)


def get_spec(chosen: str | CustomEmbedder) -> str:
    """Return the SPEC that is stored with a collection."""
    return chosen if isinstance(chosen, str) else chosen.spec


def open_embedder(
    stored: StoredEmbedder, chosen: str | CustomEmbedder | None, deps: EmbedderDeps, loop: EventLoopThread
) -> Embedder:
    """Return the embedder of a collection; ConflictError if `chosen` is another one, or if its vectors differ now."""
    _check_spec(stored, chosen)
    if chosen is not None and not isinstance(chosen, str):
        if not chosen.dim:
            loop.wait(chosen.embed([_PROBE_TEXT], RequestContext("query")))
        _check_dim(stored, chosen.dim)
        return chosen
    try:
        embedder = make_embedder(stored.spec, deps)
    except (InvalidError, NotFoundError) as exc:  # the collection exists, but its model or its plugin does not
        raise UnavailableError(f"the embedder of the collection {stored.collection} is missing: {exc}") from exc
    embedder.dim = embedder.dim or stored.dim
    if stored.space != embedder.name:
        raise ConflictError(
            f"the collection {stored.collection} was made with the embedder {stored.space!r}, but {stored.spec} is now"
            f" {embedder.name!r}: restore the former, or make another collection"
        )
    return embedder


def _check_spec(stored: StoredEmbedder, chosen: str | CustomEmbedder | None) -> None:
    if chosen is None and is_custom(stored.spec):
        raise ConflictError(
            f"the collection {stored.collection} has the embedder {stored.spec}, a function or object of a Python"
            f" program, so only Python can open it: library.open({stored.collection!r}, embedder=...) with the same one"
        )
    if chosen is not None and get_spec(chosen) != stored.spec:
        raise ConflictError(
            f"the collection {stored.collection} has the embedder {stored.spec}, not {get_spec(chosen)};"
            " use that embedder, or another collection"
        )


def _check_dim(stored: StoredEmbedder, dim: int) -> None:
    if dim != stored.dim:
        raise ConflictError(
            f"the collection {stored.collection} has vectors of {stored.dim} numbers, but {stored.spec} now returns"
            f" {dim}; pass the embedder that it was made with, or use another collection"
        )
