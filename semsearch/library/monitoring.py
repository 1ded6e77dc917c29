"""What an operator watches: the state of the model servers and of the indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.types.stored_documents import IndexState
from .model_access import ModelAccess
from .open_collections import OpenCollections

if TYPE_CHECKING:
    from ..models.openai.client import UpstreamState


class MonitoringOperations:
    """States of a library that belong to no caller."""

    _models: ModelAccess
    _open: OpenCollections

    def upstream_states(self) -> list[UpstreamState]:
        """Return the state of each model server that was called.

        >>> library.upstream_states()
        []
        """
        return [client.get_state() for client in self._models.get_clients()]

    def index_states(self) -> list[IndexState]:
        """Return the state of the index of each open collection, in no particular order.

        >>> library.index_states()
        [IndexState(state='none', indexed_chunks=0, pending_chunks=1)]
        """
        return self._open.read_index_states()
