"""Embedders by the first part of their SPEC, such as `local`. An embedder is imported only when it is chosen.

A first part that is not built in is looked up among the plugins.
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import ConflictError, InvalidError
from .custom_spec import CUSTOM_KIND

if TYPE_CHECKING:
    from ...core.ports import Embedder, EmbeddingCache
    from ...core.settings import Endpoint, Settings
    from ..openai.client import OpenAIClient

_SPEC_FORMS = "local, openai:MODEL[@DIMENSIONS], onnx:FOLDER[@int8] and static:FOLDER"

_OPENAI_MODEL = re.compile(r"(?P<model>[^\s@]{1,200})(?:@(?P<dimensions>[1-9][0-9]{0,4}))?")


@dataclass(frozen=True, slots=True)
class EmbedderDeps:
    """Dependencies of the embedders; each one is created on its first use."""

    settings: "Settings"
    get_client: "Callable[[Endpoint], OpenAIClient]"
    """Return the client of an endpoint; there is one client per endpoint."""
    get_embedding_cache: "Callable[[], EmbeddingCache]"


def _make_local(argument: str, deps: EmbedderDeps) -> "Embedder":
    from .local import LocalEmbedder

    if argument:
        raise InvalidError(f"the embedder local takes no arguments, got {argument!r}; leave them out")
    return LocalEmbedder()


def _make_openai(argument: str, deps: EmbedderDeps) -> "Embedder":
    from .openai import OpenAIEmbedder

    match = _OPENAI_MODEL.fullmatch(argument)
    if match is None:
        raise InvalidError(f"openai:{argument} names no model; use for example openai:text-embedding-3-small@256")
    settings = deps.settings
    dimensions = int(match["dimensions"]) if match["dimensions"] else None
    return OpenAIEmbedder(
        match["model"],
        deps.get_client(settings.embeddings),
        deps.get_embedding_cache(),
        dimensions=dimensions,
        max_batch_inputs=settings.max_batch_inputs,
        concurrency=settings.concurrency,
    )


def _make_onnx(argument: str, deps: EmbedderDeps) -> "Embedder":
    from .model_folder import ModelFolder
    from .onnx import OnnxEmbedder

    path = argument.removesuffix("@int8")
    return OnnxEmbedder(ModelFolder(f"onnx:{argument}", _parse_folder("onnx", path)), int8=path != argument)


def _make_static(argument: str, deps: EmbedderDeps) -> "Embedder":
    from .model_folder import ModelFolder
    from .static import StaticEmbedder

    return StaticEmbedder(ModelFolder(f"static:{argument}", _parse_folder("static", argument)))


def _parse_folder(kind: str, path: str) -> Path:
    if not path or "\0" in path:
        raise InvalidError(f"{kind}:{path[:80]!r} names no folder; use for example {kind}:models/minilm")
    return Path(path)


EMBEDDERS: "dict[str, Callable[[str, EmbedderDeps], Embedder]]" = {
    "local": _make_local,
    "openai": _make_openai,
    "onnx": _make_onnx,
    "static": _make_static,
}
"""Factory of each embedder. Its first argument is the part of the SPEC after the colon."""


_RESERVED_PREFIXES = frozenset({*EMBEDDERS, CUSTOM_KIND})
"""Prefixes that no plugin can take."""


def normalize_spec(spec: str) -> str:
    """Return the SPEC with an absolute folder path, so that it does not depend on the working directory.

    ConflictError if a plugin declares its prefix, although the prefix is built in.
    """
    kind, _, folder = spec.partition(":")
    if kind in _RESERVED_PREFIXES:
        _refuse_taken_prefix(kind)
    return f"{kind}:{Path(folder).absolute()}" if folder and is_local_path(spec) else spec


def is_plugin_prefix(kind: str) -> bool:
    """Return whether a plugin may have this first part of a SPEC."""
    return kind not in _RESERVED_PREFIXES and ":" not in kind


def _refuse_taken_prefix(kind: str) -> None:
    """Raise ConflictError if a plugin declares a built-in prefix. Only done where a caller names an embedder.

    Looking for plugins takes too long for each opening of a collection, where a plugin cannot replace a built-in one.
    """
    from ...core.plugins import find_plugins

    if plugins := find_plugins("semsearch.embedders").get(kind):
        raise ConflictError(
            f"{plugins[0].distribution} declares an embedder {kind}, but that name is built in;"
            " update or uninstall that distribution"
        )


def is_local_path(spec: str) -> bool:
    """Return whether a SPEC names a folder on this machine."""
    return spec.partition(":")[0] in ("onnx", "static")


def make_embedder(spec: str, deps: EmbedderDeps) -> "Embedder":
    """Create the embedder that a SPEC names; InvalidError for an unknown embedder."""
    kind, _, argument = spec.partition(":")
    if kind in EMBEDDERS:
        return EMBEDDERS[kind](argument, deps)
    from .plugin import make_plugin_embedder

    if kind not in _RESERVED_PREFIXES and (embedder := make_plugin_embedder(spec)):
        return embedder
    raise InvalidError(f"unknown embedder {spec[:80]!r}; use one of {_SPEC_FORMS}, or install the plugin that has it")


def open_bulk_embedder(embedder: "Embedder") -> "AbstractContextManager[Embedder]":
    """Return an embedder of the same vectors for a run over many texts; `local` gets a child process for it."""
    from ...core.child_process import count_usable_cores
    from .local import LocalEmbedder
    from .local_process import open_subprocess_embedder

    if type(embedder) is LocalEmbedder and count_usable_cores() > 1:
        return open_subprocess_embedder(embedder)
    return nullcontext(embedder)
