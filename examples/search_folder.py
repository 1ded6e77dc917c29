"""Search a folder of documents: python examples/search_folder.py docs/ "parental leave"."""

import sys
from pathlib import Path

import semsearch

HANDBOOK = Path(__file__).parent / "handbook"


def main(folder: str, query: str) -> None:
    """Ingest what is new in the folder, then print the best passages for the query."""
    with semsearch.Library("indexes") as library:
        documents = library.create("documents")
        report = documents.ingest(folder)
        for failure in report.failures:
            print(f"not read: {failure.uri}: {failure.error}", file=sys.stderr)
        for hit in documents.search(query, k=3):
            print(f"{hit.score:.2f}  {hit.uri}, {hit.heading}")
            print(f"      {hit.sentence.text if hit.sentence else hit.text}")


if __name__ == "__main__":
    main(*(sys.argv[1:] or [str(HANDBOOK), "parental leave"]))
