"""Load the chunks that a recorded answer was written from, as they are now and as a caller may see them."""

from collections.abc import Iterable
from datetime import datetime

from ..collection import Collection
from ..core.errors import StorageError
from ..core.types.search import StoredChunk
from ..core.types.sessions import AnswerRecord


def load_chunks(collection: Collection, chunk_ids: Iterable[int]) -> dict[int, StoredChunk]:
    """Return the chunks of these ids that exist, are intact, and that the caller may see, by id."""
    visible = [chunk_id for chunk_id in dict.fromkeys(chunk_ids) if collection.has_chunk(chunk_id)]
    try:
        with collection.backends.store.snapshot() as snapshot:
            return {chunk.id: chunk for chunk in snapshot.load(visible) if not chunk.damage}
    except StorageError:  # damaged, or deleted since it was looked up
        return {}


def is_of_collection(record: AnswerRecord, collection: Collection) -> bool:
    """Return whether the answer is from this collection, and not from a deleted one of the same name."""
    created_at = datetime.fromisoformat(collection.backends.store.created_at()).timestamp()
    return record.collection == collection.name and created_at <= record.created


def load_hits(collection: Collection, record: AnswerRecord) -> list[tuple[StoredChunk, float]]:
    """Return the hits of a recorded answer with their scores, best first, without those whose text has changed."""
    chunks = load_chunks(collection, [hit.chunk_id for hit in record.answer.hits])
    return [
        (chunk, hit.score)
        for hit in record.answer.hits
        if (chunk := chunks.get(hit.chunk_id)) is not None and (chunk.uri, chunk.text) == (hit.uri, hit.text)
    ]
