"""Compare the CPU seconds of ingestion and of searches over HTTP with those of another checkout of semsearch.

Both checkouts have an environment of their own and take turns, so that other load of the machine meets both. The result
is the median of several rounds, each with a new service and a new index. Below 1, this checkout takes less.
"""

import argparse
import itertools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load_client, machine, services

PROJECT = Path(__file__).parents[2]
MAX_RATIO = 1.05
BLOCK = 60
"""Searches that one checkout answers before it is the turn of the other one."""
WARM_UP_BLOCKS = 2
WORDS_PER_QUERY = 8
SOME_FILES_FAILED = 1
"""Exit status of an ingestion that has stored all other files."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """A folder with the project, and its command."""

    folder: Path

    @property
    def command(self) -> str:
        """Path of its `semsearch`; RuntimeError if it is not installed."""
        program = self.folder / ".venv" / "bin" / "semsearch"
        if not program.exists():
            raise RuntimeError(f"{program} does not exist; run scripts/demo --no-serve there, which installs it")
        return str(program)

    def ingest(self, documents: Path, data_dir: Path) -> float:
        """Ingest a folder; return the CPU seconds of all processes."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [self.command, "ingest", "--collection", services.COLLECTION_NAME, "--quiet", str(documents)]
        done = subprocess.run(command, env=_make_environment(data_dir), capture_output=True, text=True, check=False)
        if done.returncode not in (0, SOME_FILES_FAILED):
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class SearchService(services.Semsearch):
    """The service of a checkout, over an index that it has built itself."""

    def __init__(self, checkout: Checkout, data_dir: Path) -> None:
        super().__init__("hybrid")
        self._checkout = checkout
        self.folder = data_dir

    def build_command(self, port: int) -> tuple[list[str], dict[str, str]]:
        """Return `semsearch serve` of the checkout."""
        return [self._checkout.command, "serve", "--port", str(port)], _make_environment(self.folder)


@dataclass(frozen=True, slots=True)
class Round:
    """CPU seconds of one round: this checkout and the other one."""

    ingestion: tuple[float, float]
    searches: tuple[float, float]


def _make_environment(data_dir: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SEMSEARCH_", "PYTHON"))}
    return {**inherited, "SEMSEARCH_DATA_DIR": str(data_dir), "HOME": str(data_dir.parent)}


def read_queries(documents: Path, count: int) -> list[str]:
    """Return words that follow each other in the documents, each query from another place.

    RuntimeError if there are too few Markdown files for so many.
    """
    texts = [path.read_text(errors="ignore") for path in sorted(documents.rglob("*.md"))]
    words = list(itertools.chain.from_iterable(text.split() for text in texts))
    step = max(1, (len(words) - WORDS_PER_QUERY) // count)
    places = range(0, len(words) - WORDS_PER_QUERY, step)
    if len(places) < count:
        raise RuntimeError(f"the Markdown files in {documents} have {len(words)} words: too few for {count} queries")
    return [" ".join(words[start : start + WORDS_PER_QUERY])[:300] for start in places][:count]


def run_round(checkouts: tuple[Checkout, Checkout], documents: Path, folder: Path, queries: Sequence[str]) -> Round:
    """Ingest with both checkouts, then search with both in turn."""
    folders = [folder / name / "data" for name in ("this", "other")]
    for data_dir in folders:
        data_dir.mkdir(parents=True)
    ingestion = [checkout.ingest(documents, data_dir) for checkout, data_dir in zip(checkouts, folders, strict=True)]
    with ExitStack() as stack:
        running = [
            stack.enter_context(services.run_service(SearchService(checkout, data_dir)))
            for checkout, data_dir in zip(checkouts, folders, strict=True)
        ]
        stack.enter_context(machine.pinned(services.CLIENT_CORE))
        _search_in_turn(running, queries[: WARM_UP_BLOCKS * BLOCK])
        before = [machine.tree_cpu_seconds(service.pid) for service in running]
        _search_in_turn(running, queries[WARM_UP_BLOCKS * BLOCK :])
        searches = [machine.tree_cpu_seconds(running[index].pid) - before[index] for index in (0, 1)]
    return Round((ingestion[0], ingestion[1]), (searches[0], searches[1]))


def _search_in_turn(running: Sequence[services.RunningService], queries: Sequence[str]) -> None:
    requests = services.Semsearch("hybrid").build_searches(queries)
    for start in range(0, len(requests), BLOCK):
        for service in running:
            result = load_client.run_requests(service.port, requests[start : start + BLOCK])
            if result.failed:
                raise RuntimeError(f"{result.failed} searches failed")
        running = running[::-1]  # each checkout is first in every second block


def compute_ratios(rounds: Sequence[Round]) -> dict[str, list[float]]:
    """Return the ratio of each round, ascending: this checkout by the other one."""
    ratios = {"ingestion": [run.ingestion for run in rounds], "searches": [run.searches for run in rounds]}
    return {name: sorted(this / other for this, other in pairs) for name, pairs in ratios.items()}


def prove(other: Path, documents: Path, *, rounds: int, searches: int) -> list[Round]:
    """Compare this checkout with another one."""
    checkouts = Checkout(PROJECT), Checkout(other)
    queries = read_queries(documents, WARM_UP_BLOCKS * BLOCK + searches)
    results = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            results.append(run_round(checkouts, documents, Path(folder), queries))
    return results


def main() -> None:
    """Run the comparison, print the figures, and exit with 1 if a median is above the limit."""
    parser = argparse.ArgumentParser(prog="scripts/prove cost", description=__doc__)
    parser.add_argument("--against", type=Path, required=True, help="folder of the other checkout, with its .venv")
    parser.add_argument("--documents", type=Path, default=PROJECT / "docs", help="folder to ingest")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--searches", type=int, default=1_200, help="of each round")
    arguments = parser.parse_args()
    print(machine.describe_machine())
    ratios = compute_ratios(
        prove(
            arguments.against.resolve(),
            arguments.documents.resolve(),
            rounds=arguments.rounds,
            searches=arguments.searches,
        )
    )
    medians = {name: statistics.median(values) for name, values in ratios.items()}
    for name, values in ratios.items():
        print(f"{name}: median {medians[name]:.3f} of the other's CPU seconds; {' '.join(f'{v:.3f}' for v in values)}")
    sys.exit(any(median > MAX_RATIO for median in medians.values()))


if __name__ == "__main__":
    main()
