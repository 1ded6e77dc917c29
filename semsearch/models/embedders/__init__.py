"""The embedders, by the first part of their SPEC, such as `local`. Imports none of them before it is chosen."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import InvalidError

if TYPE_CHECKING:
    from ...core.ports import Embedder, EmbeddingCache
    from ...core.settings import Endpoint, Settings
    from ..openai.client import OpenAIClient

_SPEC_FORMS = "local, openai:MODEL[@DIMENSIONS], onnx:FOLDER[@int8] and static:FOLDER"

_OPENAI_MODEL = re.compile(r"(?P<model>[^\s@]{1,200})(?:@(?P<dimensions>[1-9][0-9]{0,4}))?")


@dataclass(frozen=True, slots=True)
class EmbedderDeps:
    """What an embedder may be made with; each is made when it is first asked for."""

    settings: "Settings"
    get_client: "Callable[[Endpoint], OpenAIClient]"
    """The one client of each endpoint."""
    get_embedding_cache: "Callable[[], EmbeddingCache]"


def _make_local(rest: str, deps: EmbedderDeps) -> "Embedder":
    from .local import LocalEmbedder

    if rest:
        raise InvalidError(f"local stands alone, without {rest!r}")
    return LocalEmbedder()


def _make_openai(rest: str, deps: EmbedderDeps) -> "Embedder":
    from .openai import OpenAIEmbedder

    parts = _OPENAI_MODEL.fullmatch(rest)
    if parts is None:
        raise InvalidError(f"openai:{rest} names no model; say for example openai:text-embedding-3-small@256")
    settings = deps.settings
    dimensions = int(parts["dimensions"]) if parts["dimensions"] else None
    return OpenAIEmbedder(
        parts["model"],
        deps.get_client(settings.embeddings),
        deps.get_embedding_cache(),
        dimensions=dimensions,
        max_batch_inputs=settings.max_batch_inputs,
        concurrency=settings.concurrency,
    )


def _make_onnx(rest: str, deps: EmbedderDeps) -> "Embedder":
    from .model_folder import ModelFolder
    from .onnx import OnnxEmbedder

    path = rest.removesuffix("@int8")
    return OnnxEmbedder(ModelFolder(f"onnx:{rest}", _parse_folder("onnx", path)), int8=path != rest)


def _make_static(rest: str, deps: EmbedderDeps) -> "Embedder":
    from .model_folder import ModelFolder
    from .static import StaticEmbedder

    return StaticEmbedder(ModelFolder(f"static:{rest}", _parse_folder("static", rest)))


def _parse_folder(kind: str, path: str) -> Path:
    if not path or "\0" in path:
        raise InvalidError(f"{kind}:{path[:80]!r} names no folder; say for example {kind}:models/minilm")
    return Path(path)


EMBEDDERS: "dict[str, Callable[[str, EmbedderDeps], Embedder]]" = {
    "local": _make_local,
    "openai": _make_openai,
    "onnx": _make_onnx,
    "static": _make_static,
}
"""What makes each embedder, given the rest of the SPEC after the colon."""


def normalize_spec(spec: str) -> str:
    """The SPEC as it is kept: a folder in it is absolute, so that it is found from anywhere."""
    kind, _, folder = spec.partition(":")
    return f"{kind}:{Path(folder).absolute()}" if folder and is_local_path(spec) else spec


def is_local_path(spec: str) -> bool:
    """Whether a SPEC names a folder of this machine."""
    return spec.partition(":")[0] in ("onnx", "static")


def make_embedder(spec: str, deps: EmbedderDeps) -> "Embedder":
    """The embedder that a SPEC names; Invalid if it names none."""
    kind, _, rest = spec.partition(":")
    if kind not in EMBEDDERS:
        raise InvalidError(f"unknown embedder {spec[:80]!r}; known are {_SPEC_FORMS}")
    return EMBEDDERS[kind](rest, deps)


def open_bulk_embedder(embedder: "Embedder") -> "AbstractContextManager[Embedder]":
    """The same embedder for a run over many texts: that which computes in Python gets a process beside this one."""
    from ...core.child_process import count_usable_cores
    from .local import LocalEmbedder
    from .local_process import open_subprocess_embedder

    if type(embedder) is LocalEmbedder and count_usable_cores() > 1:
        return open_subprocess_embedder(embedder)
    return nullcontext(embedder)
