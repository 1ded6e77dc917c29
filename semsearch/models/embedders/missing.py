"""Check whether the embedder of a collection is there and the same, without asking a server or opening a cache."""

from typing import TYPE_CHECKING, NoReturn

from ...core.errors import UnavailableError
from ...core.event_loop import EventLoopThread
from . import EMBEDDERS, EmbedderDeps
from .choice import StoredEmbedder, open_embedder
from .custom_spec import is_custom

if TYPE_CHECKING:
    from ...core.settings import Settings


def check_available(stored: StoredEmbedder, settings: "Settings") -> None:
    """Raise UnavailableError, ConflictError or StorageError if a local embedder is missing, damaged or another one.

    Nothing is checked for an embedder of a model server, or of a Python program; the code of a plugin is not run.
    """
    kind = stored.spec.partition(":")[0]
    if is_custom(stored.spec) or kind == "openai":
        return
    if kind in EMBEDDERS:
        open_embedder(stored, None, EmbedderDeps(settings, _refuse, _refuse), EventLoopThread())
        return
    from ...core.plugins import find_plugin

    if find_plugin("semsearch.embedders", kind) is None:
        raise UnavailableError(f"no installed plugin has the embedder {stored.spec[:80]!r}; install it again")


def _refuse(*_: object) -> NoReturn:
    raise AssertionError("a local embedder asked for a server or the cache")
