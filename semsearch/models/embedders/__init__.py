"""The embedders, by the first part of their SPEC, such as `local`. Imports none of them before it is chosen."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import Invalid

if TYPE_CHECKING:
    from ...core.ports import Embedder, Paid
    from ...core.settings import Endpoint, Settings
    from ..openai.client import OpenAIClient

_KNOWN = "local, openai:MODEL[@DIMENSIONS], onnx:FOLDER[@int8] and static:FOLDER"

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


def _onnx(rest: str, means: Means) -> "Embedder":
    from .model_folder import ModelFolder
    from .onnx import OnnxEmbedder

    path = rest.removesuffix("@int8")
    return OnnxEmbedder(ModelFolder(f"onnx:{rest}", _folder("onnx", path)), int8=path != rest)


def _static(rest: str, means: Means) -> "Embedder":
    from .model_folder import ModelFolder
    from .static import StaticEmbedder

    return StaticEmbedder(ModelFolder(f"static:{rest}", _folder("static", rest)))


def _folder(kind: str, path: str) -> Path:
    if not path or "\0" in path:
        raise Invalid(f"{kind}:{path[:80]!r} names no folder; say for example {kind}:models/minilm")
    return Path(path)


EMBEDDERS: "dict[str, Callable[[str, Means], Embedder]]" = {
    "local": _local,
    "openai": _openai,
    "onnx": _onnx,
    "static": _static,
}
"""What makes each embedder, given the rest of the SPEC after the colon."""


def settled(spec: str) -> str:
    """The SPEC as it is kept: a folder in it is absolute, so that it is found from anywhere."""
    kind, _, folder = spec.partition(":")
    return f"{kind}:{Path(folder).absolute()}" if folder and of_folder(spec) else spec


def of_folder(spec: str) -> bool:
    """Whether a SPEC names a folder of this machine."""
    return spec.partition(":")[0] in ("onnx", "static")


def embedder(spec: str, means: Means) -> "Embedder":
    """The embedder that a SPEC names; Invalid if it names none."""
    kind, _, rest = spec.partition(":")
    if kind not in EMBEDDERS:
        raise Invalid(f"unknown embedder {spec[:80]!r}; known are {_KNOWN}")
    return EMBEDDERS[kind](rest, means)


def for_long(embedder: "Embedder") -> "AbstractContextManager[Embedder]":
    """The same embedder for a run over many texts: that which computes in Python gets a process beside this one."""
    from ...core.child_process import cores
    from .local import LocalEmbedder
    from .local_process import beside

    if type(embedder) is LocalEmbedder and cores() > 1:
        return beside(embedder)
    return nullcontext(embedder)
