"""Embedders of plugins: `NAME[:ARGUMENT]`, where an installed distribution declares NAME in `semsearch.embedders`.

The entry point is a factory. It gets the ARGUMENT of the SPEC, or None, and returns what a Python program could pass as
`embedder`: a function, or an object with a method `embed`. Its attribute `name`, if it has one, tells its vector spaces
apart.
"""

from collections.abc import Sequence

from ...core.errors import InvalidError, SemsearchError, UpstreamError
from ...core.plugins import Plugin, convert_exceptions, find_plugin
from ...core.types.documents import Vectors
from ...core.types.usage import RequestContext
from .custom import CustomEmbedder, EmbeddingFunction, EmbeddingModel
from .custom_spec import PLUGIN_SPACE


class PluginEmbedder(CustomEmbedder):
    """A custom embedder whose errors name the distribution that it is from."""

    def __init__(self, spec: str, distribution: str, model: EmbeddingFunction | EmbeddingModel) -> None:
        super().__init__(model, spec)
        self._distribution = distribution
        own_name = getattr(model, "name", None)
        self.name = " ".join(filter(None, (f"{PLUGIN_SPACE}:{spec}", own_name)))

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """Return unit vectors as a custom embedder; UpstreamError if the code of the plugin fails."""
        with convert_exceptions(lambda reason: self._make_error(f"failed: {reason}")):
            return await super().embed(texts, context, query=query)

    def _make_error(self, problem: str) -> SemsearchError:
        return UpstreamError(f"the embedder {self.spec} of {self._distribution} {problem}")


def make_plugin_embedder(spec: str) -> PluginEmbedder | None:
    """Create the embedder of a plugin; None if no plugin declares the prefix of the SPEC."""
    kind, colon, argument = spec.partition(":")
    plugin = find_plugin("semsearch.embedders", kind)
    return None if plugin is None else _make(spec, plugin, argument if colon else None)


def _make(spec: str, plugin: Plugin, argument: str | None) -> PluginEmbedder:
    make_model = plugin.load()
    with convert_exceptions(
        lambda reason: InvalidError(f"the embedder {spec[:80]} of {plugin.distribution} cannot be made: {reason}")
    ):
        return PluginEmbedder(spec, plugin.distribution, make_model(argument))
