"""Prove that acknowledged writes survive kill -9 of the writer at random moments, and that none is stored in part.

Each document has the original from which it was made. After every few kills the search results are compared with those
of a new collection of the same documents.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from semsearch import Library, text_source
from semsearch.collection import Collection

SUBJECTS = "lamp tide rope boat signal storm glass oil stair door keeper wall rock gull fog bell".split()
QUESTIONS = ("storm lamp", "glass door in the wall", "rope signal of the keeper")
DOCUMENT_COUNT = 15
COMPARE_EVERY = 10

WRITER = """
import sys
from pathlib import Path
from proofs.kill import make_text
from semsearch import Library, bytes_source

with Library(sys.argv[1]) as library:
    collection = library.create("kill")
    print("ready", flush=True)
    for line in iter(sys.stdin.readline, ""):
        uri, seed = line.split()
        if seed == "-":
            collection.remove([uri])
        else:
            collection.upsert([bytes_source(uri, make_text(int(seed)).encode(), "text/plain")])
        print("done", flush=True)
"""


def make_text(seed: int) -> str:
    """Return a text of up to sixty paragraphs that each contain the seed."""
    rng = random.Random(seed)
    paragraphs = (" ".join(rng.choices(SUBJECTS, k=12)) for _ in range(rng.randint(1, 60)))
    return "\n\n".join(f"{paragraph.capitalize()} of {seed}." for paragraph in paragraphs)


@dataclass
class ExpectedState:
    """The seed of each stored document, and the change in flight, which may or may not be stored."""

    seeds: dict[str, int] = field(default_factory=dict)
    in_flight: tuple[str, int | None] | None = None

    def apply(self, uri: str, seed: int | None) -> None:
        """Record a change as stored."""
        if seed is None:
            self.seeds.pop(uri, None)
        else:
            self.seeds[uri] = seed


def prove(folder: Path, kills: int, seed: int = 0) -> list[str]:
    """Kill a writer `kills` times; return the errors."""
    rng, state, errors = random.Random(seed), ExpectedState(), list[str]()
    for number in range(1, kills + 1):
        _write_until_killed(folder, state, rng)
        with Library(folder / "indexes") as library:
            errors += _find_lost_documents(library.open("kill"), state)
            if number % COMPARE_EVERY == 0 or number == kills:
                errors += _find_search_differences(library.open("kill"), state, folder / f"fresh{number}")
    return errors


def _write_until_killed(folder: Path, state: ExpectedState, rng: random.Random) -> None:
    command = [sys.executable, "-c", WRITER, str(folder / "indexes")]
    # closing the pipe of a killed writer raises BrokenPipeError again for unread input
    with (
        suppress(BrokenPipeError),
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer,
    ):
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdout.readline()
        killer = threading.Timer(rng.uniform(0, 0.4), writer.kill)
        killer.start()
        try:
            while True:
                uri = f"doc{rng.randrange(DOCUMENT_COUNT)}"
                seed = None if rng.random() < 0.2 else rng.randrange(10**6)
                state.in_flight = uri, seed
                print(uri, "-" if seed is None else seed, file=writer.stdin, flush=True)
                if not writer.stdout.readline():
                    return
                state.apply(uri, seed)
                state.in_flight = None
        finally:
            killer.join()


def _find_lost_documents(collection: Collection, state: ExpectedState) -> list[str]:
    """Compare the stored documents with the expected ones. The change in flight must be stored completely or not."""
    stored = {info.uri: collection.document(info.uri).text for info in collection.documents()}
    if state.in_flight is not None:
        uri, seed = state.in_flight
        if stored.get(uri) == (None if seed is None else make_text(seed)):
            state.apply(uri, seed)
        state.in_flight = None
    expected = {uri: make_text(seed) for uri, seed in state.seeds.items()}
    lost_originals = [
        f"{uri}: its original differs"
        for uri, text in stored.items()
        if collection.get_original(uri).data.decode() != text
    ]
    return lost_originals + [
        f"{uri}: {_name_difference(uri, stored, expected)}"
        for uri in sorted(stored.keys() | expected.keys())
        if stored.get(uri) != expected.get(uri)
    ]


def _name_difference(uri: str, stored: Mapping[str, str], expected: Mapping[str, str]) -> str:
    if uri not in stored:
        return "lost"
    return "differs from the acknowledged text" if uri in expected else "not removed"


def _find_search_differences(collection: Collection, state: ExpectedState, temp_folder: Path) -> list[str]:
    """Return an error for each question to which a new collection of the same documents has other hits."""
    with Library(temp_folder) as library:
        fresh = library.create("fresh")
        fresh.upsert([text_source(uri, make_text(seed)) for uri, seed in state.seeds.items()])
        return [
            f"search for {question!r} differs"
            for question in QUESTIONS
            if _search_hits(collection, question) != _search_hits(fresh, question)
        ]


def _search_hits(collection: Collection, question: str) -> list[tuple[str, int, float]]:
    return [(hit.uri, hit.start, hit.score) for hit in collection.search(question, 20)]


def main() -> None:
    """Prove, print, and end with 1 if anything was errors."""
    parser = argparse.ArgumentParser(prog="scripts/prove kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        errors = prove(Path(folder), arguments.kills, arguments.seed)
    print(f"{arguments.kills} kills: " + ("no document lost or stored in part" if not errors else "\n".join(errors)))
    sys.exit(bool(errors))


if __name__ == "__main__":
    main()
