"""A writer is killed at random moments; what it had acknowledged is there, whole, and nothing else is.

After every few kills the collection is searched and compared with one made afresh from the same documents.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from semsearch import Library, text_source
from semsearch.collection import Collection

SUBJECTS = "lamp tide rope boat signal storm glass oil stair door keeper wall rock gull fog bell".split()
QUESTIONS = ("storm lamp", "glass door in the wall", "rope signal of the keeper")
DOCUMENTS = 15
COMPARE_EVERY = 10

WRITER = """
import sys
from pathlib import Path
from proofs.kill import text
from semsearch import Library, text_source

with Library(sys.argv[1]) as library:
    collection = library.create("kill")
    print("ready", flush=True)
    for order in iter(sys.stdin.readline, ""):
        uri, seed = order.split()
        if seed == "-":
            collection.remove([uri])
        else:
            collection.put([text_source(uri, text(int(seed)))])
        print("done", flush=True)
"""


def text(seed: int) -> str:
    """A document of up to sixty paragraphs, each with the seed in it."""
    source = random.Random(seed)
    paragraphs = (" ".join(source.choices(SUBJECTS, k=12)) for _ in range(source.randint(1, 60)))
    return "\n\n".join(f"{paragraph.capitalize()} of {seed}." for paragraph in paragraphs)


@dataclass
class State:
    """What must be stored: the seed of each document; and the one change of which nobody knows whether it was kept."""

    seeds: dict[str, int] = field(default_factory=dict)
    uncertain: tuple[str, int | None] | None = None

    def apply(self, uri: str, seed: int | None) -> None:
        """Take a change as kept."""
        if seed is None:
            self.seeds.pop(uri, None)
        else:
            self.seeds[uri] = seed


def prove(folder: Path, kills: int, seed: int = 0) -> list[str]:
    """Kill a writer so many times; return what was wrong."""
    source, state, wrong = random.Random(seed), State(), list[str]()
    for number in range(1, kills + 1):
        _write_until_killed(folder, state, source)
        with Library(folder / "indexes") as library:
            wrong += _settle(library.open("kill"), state)
            if number % COMPARE_EVERY == 0 or number == kills:
                wrong += _differences(library.open("kill"), state, folder / f"fresh{number}")
    return wrong


def _write_until_killed(folder: Path, state: State, source: random.Random) -> None:
    command = [sys.executable, "-c", WRITER, str(folder / "indexes")]
    # what it had not read when it was killed breaks the pipe once more where that is closed
    with (
        suppress(BrokenPipeError),
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer,
    ):
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdout.readline()
        killer = threading.Timer(source.uniform(0, 0.4), writer.kill)
        killer.start()
        try:
            while True:
                uri = f"doc{source.randrange(DOCUMENTS)}"
                seed = None if source.random() < 0.2 else source.randrange(10**6)
                state.uncertain = uri, seed
                print(uri, "-" if seed is None else seed, file=writer.stdin, flush=True)
                if not writer.stdout.readline():
                    return
                state.apply(uri, seed)
                state.uncertain = None
        finally:
            killer.join()


def _settle(collection: Collection, state: State) -> list[str]:
    """Compare what is stored with what must be; the change in flight may have been kept or not, but only as a whole."""
    stored = {info.uri: collection.document(info.uri).text for info in collection.documents(1000)}
    if state.uncertain is not None:
        uri, seed = state.uncertain
        if stored.get(uri) == (None if seed is None else text(seed)):
            state.apply(uri, seed)
        state.uncertain = None
    wanted = {uri: text(seed) for uri, seed in state.seeds.items()}
    return [
        f"{uri}: {'lost' if uri not in stored else 'not removed' if uri not in wanted else 'not what was acknowledged'}"
        for uri in sorted(stored.keys() | wanted.keys())
        if stored.get(uri) != wanted.get(uri)
    ]


def _differences(collection: Collection, state: State, aside: Path) -> list[str]:
    """Questions to which a collection made afresh has other hits."""
    with Library(aside) as library:
        fresh = library.create("fresh")
        fresh.put([text_source(uri, text(seed)) for uri, seed in state.seeds.items()])
        return [
            f"search for {question!r} differs"
            for question in QUESTIONS
            if _hits(collection, question) != _hits(fresh, question)
        ]


def _hits(collection: Collection, question: str) -> list[tuple[str, int, float]]:
    return [(hit.uri, hit.start, hit.score) for hit in collection.search(question, 20)]


def main() -> None:
    """Prove, print, and end with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="scripts/prove kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wrong = prove(Path(folder), arguments.kills, arguments.seed)
    print(f"{arguments.kills} kills: " + ("nothing lost, nothing half" if not wrong else "\n".join(wrong)))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
