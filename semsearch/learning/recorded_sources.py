"""Load recorded answers, and the chunks that they were written from, as they are now and as a caller may see them."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from ..collection import Collection
from ..core.errors import StorageError
from ..core.types.rated_answers import RatedAnswer
from ..core.types.search import StoredChunk
from ..core.types.sessions import AnswerRecord
from ..library import Library


def load_chunks(collection: Collection, chunk_ids: Iterable[int]) -> dict[int, StoredChunk]:
    """Return the chunks of these ids that exist, are intact, and that the caller may see, by id."""
    visible = [chunk_id for chunk_id in dict.fromkeys(chunk_ids) if collection.has_chunk(chunk_id)]
    try:
        with collection.backends.store.snapshot() as snapshot:
            return {chunk.id: chunk for chunk in snapshot.load(visible) if not chunk.damage}
    except StorageError:  # damaged, or deleted since it was looked up
        return {}


def iter_rated_answers(
    library: Library, collection: Collection, since: float, owner: str | None = None
) -> Iterator[RatedAnswer]:
    """Yield the answers from this collection in order of time, without those of a deleted one of the same name."""
    created = datetime.fromisoformat(collection.backends.store.created_at()).timestamp()
    return library.ledger.rated_answers(collection.name, max(since, created), owner)


def load_hits(collection: Collection, record: AnswerRecord) -> list[tuple[StoredChunk, float]]:
    """Return the hits of a recorded answer with their scores, best first, without those whose text has changed."""
    chunks = load_chunks(collection, [hit.chunk_id for hit in record.answer.hits])
    return [
        (chunk, hit.score)
        for hit in record.answer.hits
        if (chunk := chunks.get(hit.chunk_id)) is not None and (chunk.uri, chunk.text) == (hit.uri, hit.text)
    ]
