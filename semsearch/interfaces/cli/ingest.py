"""The `ingest` verb: a progress bar where a person watches, a report at the end, and a clean stop on Ctrl-C."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import Invalid, SemsearchError
from ...core.types.documents import Failure, Report, Source, Stored
from ...ingest.media_types import media_type_of
from ...ingest.sources import bytes_source, read
from ...text.metadata import checked_metadata
from . import output as printing
from .exit_codes import INTERRUPTED, SOME_FAILED

if TYPE_CHECKING:
    from ...collection import Collection
    from ...library import Library

Outcome = Stored | Failure
_LEFT = {
    False: "what is counted here is stored and stays",
    True: "a batch that was sent goes on at the server, and the same command fetches it",
}


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for."""

    paths: Sequence[str]
    collection: str
    embedder: str | None
    prune: bool
    confirmed: bool
    dry_run: bool
    batch: bool
    metadata: Mapping[str, object]
    root: str | None
    uri: str | None


def ingest(library: "Library", order: Order, show: Callable[[Report], None]) -> int:
    """Do it, show the report, and return the exit code."""
    found = [each for each in _sources(order) if not _is_own(each, library.folder.resolve())]
    report = Report()
    with _target(library, order) as collection, _progress(len(found)) as step:
        try:
            collection.ingest(
                found,
                prune=order.prune,
                confirmed=order.confirmed,
                dry_run=order.dry_run,
                batch=order.batch,
                report=report,
                on_done=step,
                say=lambda line: printing.note(f"semsearch: {line}"),
            )
        except KeyboardInterrupt:
            printing.note(f"semsearch: interrupted; {_LEFT[order.batch]}")
            show(report)
            return INTERRUPTED
        except SemsearchError:
            show(report)
            raise
    show(report)
    return SOME_FAILED if report.failures else 0


def _sources(order: Order) -> Iterator[Source | Failure]:
    metadata = checked_metadata(order.metadata)
    if "-" not in order.paths:
        yield from read(*order.paths, root_name=order.root, uri=order.uri, metadata=metadata)
        return
    if len(order.paths) > 1 or order.uri is None:
        raise Invalid("- reads one document from stdin: give it a name with --uri NAME, and no other path")
    kind = media_type_of(order.uri)
    media_type = "text/plain" if kind == "application/octet-stream" else kind
    yield bytes_source(order.uri, sys.stdin.buffer.read(), media_type, metadata=metadata)


def _is_own(found: Source | Failure, data_dir: Path) -> bool:
    """Whether it lies in the library's own folder, which a folder above it was not meant to bring in."""
    if isinstance(found, Failure) or found.root is None or found.path is None:
        return False
    return found.root.path in data_dir.parents and found.path.is_relative_to(data_dir)


def _target(library: "Library", order: Order) -> "AbstractContextManager[Collection]":
    """The collection; for a dry run into one that does not exist, an empty one that goes away again."""
    if order.dry_run:
        return library.rehearsal(order.collection, embedder=order.embedder)
    if order.batch:
        from ...models.embedders.openai_batch import batchable

        with library.rehearsal(order.collection, embedder=order.embedder) as rehearsed:
            batchable(rehearsed.embedder)  # before a collection is bound to an embedder that it is not wanted with
    return nullcontext(library.create(order.collection, embedder=order.embedder))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Outcome], None]]:
    """Name each failure as it happens; where stderr is a terminal, show how far it is and how long it will take."""
    if not sys.stderr.isatty():
        yield _name_failure
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("ingesting", total=total)

        def step(outcome: Outcome) -> None:
            bar.advance(task)
            _name_failure(outcome)

        yield step


def _name_failure(outcome: Outcome) -> None:
    if isinstance(outcome, Failure):
        printing.note(printing.failure(outcome))
