"""A collection of 100,000 chunks for measurements of the page. It is built once and stays in `build/`."""

from pathlib import Path

from benchmarks import collection_builder, texts

CHUNK_COUNT = 100_000
FOLDER = Path(__file__).parents[3] / "build" / "page"
QUERY_COUNT = 12


def build_large_collection(data: Path, name: str, count: int = CHUNK_COUNT) -> tuple[Path, list[str]]:
    """Return the data folder of a collection with that many chunks, and queries that people might type."""
    corpus = texts.load(count, data)
    folder = FOLDER / f"indexes-{count}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        collection_builder.fill_collection(folder, name, corpus.stored, texts.embed(corpus.stored, "stored"))
    return folder, [snippet[:50] for snippet in corpus.snippets[:QUERY_COUNT]]
