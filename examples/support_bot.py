"""Chat about a folder in the terminal, and hand over to a person where the folder has no answer."""

import sys
from pathlib import Path

import semsearch

HANDBOOK = Path(__file__).parent / "handbook"


def main(folder: str) -> None:
    """Answer questions until the end of the input; a follow-up may refer to the questions before it."""
    with semsearch.Library("indexes") as library:
        documents = library.create("support")
        documents.ingest(folder)
        session = documents.create_session(profile="support")
        print("Ask about the handbook; Ctrl-D ends.")
        while True:
            try:
                question = input("> ").strip()
            except EOFError:
                return
            if question:
                reply(documents, question, session.id)


def reply(documents: semsearch.Collection, question: str, session: str) -> None:
    """Print the answer while it is written, then its sources."""
    for event in documents.stream(question, session=session):
        if isinstance(event, semsearch.Delta):
            print(event.text, end="", flush=True)
        elif isinstance(event, semsearch.Answer):
            print()
            for citation in event.citations:
                print(f"  [{citation.marker}] {citation.uri}, {citation.heading}")
            if event.escalated:
                print("  (a person would take over here)")


if __name__ == "__main__":
    main(*(sys.argv[1:] or [str(HANDBOOK)]))
