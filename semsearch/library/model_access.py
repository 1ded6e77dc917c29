"""The models and model servers of a library: embedders, clients, the embedding cache and the meter, each made late."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..answers.answerers import AnswererDeps
from ..core.event_loop import EventLoopThread
from ..core.metrics import Metrics
from ..core.ports import Embedder, EmbeddingCache, Ledger
from ..core.settings import Endpoint, Settings
from ..core.types.usage import RequestContext
from ..models.embedders import EmbedderDeps, make_embedder, normalize_spec

if TYPE_CHECKING:
    from ..models.openai.client import OpenAIClient
    from ..usage.metering import LedgerMeter

DEFAULT_EMBEDDER = "local"


class ModelAccess:
    """What reaches models, made when it is first used: most verbs need only a part of it."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        ledger: Ledger,
        metrics: Metrics,
        on_settled: Callable[[RequestContext, int], None],
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._ledger = ledger
        self._metrics = metrics
        self._on_settled = on_settled
        """Called with the tokens of each request to a model server."""
        self._clients: dict[Endpoint, OpenAIClient] = {}

    @property
    def default_spec(self) -> str:
        """The embedder of new collections."""
        return normalize_spec(self._settings.embedder or DEFAULT_EMBEDDER)

    @property
    def embedder_deps(self) -> EmbedderDeps:
        """What an embedder is made with."""
        return EmbedderDeps(self._settings, self.get_client, lambda: self.embedding_cache)

    @property
    def answerer_deps(self) -> AnswererDeps:
        """What an answerer is made with."""
        return AnswererDeps(self._settings, lambda: self.local_embedder, self.get_client)

    @cached_property
    def local_embedder(self) -> Embedder:
        """The embedded model, made when the first question is asked."""
        return make_embedder(DEFAULT_EMBEDDER, self.embedder_deps)

    @cached_property
    def embedding_cache(self) -> EmbeddingCache:
        """The cache of embeddings that cost money, made with the first such embedder."""
        from ..storage.embedding_cache import SqliteEmbeddingCache

        return SqliteEmbeddingCache(self._folder, max_bytes=int(self._settings.embedding_cache_gib * (1 << 30)))

    @cached_property
    def meter(self) -> LedgerMeter:
        """The meter of requests to model servers, made before the first one."""
        from ..usage.metering import LedgerMeter
        from ..usage.pricing import PriceTable

        prices = PriceTable(self._settings.prices)
        budget = self._settings.budget
        return LedgerMeter(self._ledger, prices, budget, metrics=self._metrics, on_settled=self._on_settled)

    def get_clients(self) -> list[OpenAIClient]:
        """Return the clients of all model servers that were called."""
        return list(self._clients.values())

    def get_client(self, endpoint: Endpoint) -> OpenAIClient:
        """Return the one client of an endpoint, which keeps its connections."""
        if endpoint not in self._clients:
            from ..models.openai.endpoint_client import make_client

            self._clients[endpoint] = make_client(endpoint, self.meter)
        return self._clients[endpoint]

    def close(self, loop: EventLoopThread) -> None:
        """Close the clients on their loop and stop it, then close the meter and the cache."""
        loop.close(*(client.aclose() for client in self._clients.values()))
        self._clients.clear()
        if "meter" in self.__dict__:
            self.meter.close()
        if "embedding_cache" in self.__dict__:
            self.embedding_cache.close()
