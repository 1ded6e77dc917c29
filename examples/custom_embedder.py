"""Search with an embedder of your own, here groups of three letters, which forgive misspellings."""

import sys
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

import semsearch

HANDBOOK = Path(__file__).parent / "handbook"


class TrigramEmbedder:
    """Counts the groups of three letters of a text; any object with `embed` will do, or a function."""

    name = "trigrams-512"  # stored with the collection: change it when the vectors change

    def embed(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """Return one vector for each text; the library scales them to length 1."""
        vectors = np.zeros((len(texts), 512), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for start in range(len(text) - 2):
                group = text[start : start + 3].casefold()
                vector[zlib.crc32(group.encode()) % 512] += 1
        return vectors


def main(query: str) -> None:
    """Ingest the handbook with these vectors, and search it by them alone."""
    with semsearch.Library("indexes") as library:
        handbook = library.create("trigrams", embedder=TrigramEmbedder())
        handbook.ingest(HANDBOOK)
        for hit in handbook.search(query, k=3, mode="dense"):
            print(f"{hit.score:.2f}  {hit.uri}, {hit.heading}")


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["parentel leeve"]))
