"""The `ingest` command: progress bar on a terminal, report at the end, clean stop on Ctrl-C.

A new collection is removed again if the command fails before it stores a document, because
its embedder could not be changed.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import InvalidError, SemsearchError, StorageError
from ...core.escapes import escape_name
from ...core.types.documents import Failure, IngestReport, PutResult, Skip, Source
from ...ingest.media_types import guess_media_type
from ...ingest.sources import FoundSource, bytes_source, read
from ...text.metadata import validate_metadata
from . import output
from .exit_codes import INTERRUPTED, SOME_FAILED
from .progress import show_progress
from .skips import format_skips

if TYPE_CHECKING:
    from ...collection import Collection
    from ...library import Library

IngestResult = PutResult | Failure | Skip
_INTERRUPTED_NOTES = {
    False: "the documents counted here are stored",
    True: "the server continues the submitted batch; run the same command again to fetch it",
}
"""By whether the Batch API is used."""


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """The options of the command."""

    paths: Sequence[str]
    collection: str
    embedder: str | None
    prune: bool
    allow_large_prune: bool
    dry_run: bool
    use_batch_api: bool
    metadata: Mapping[str, object]
    root: str | None
    uri: str | None
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    is_verbose: bool = False
    """Whether each document and each skipped input is named."""
    is_quiet: bool = False
    """Whether only failures are printed: no progress, and no report as text."""


def run_ingest(library: "Library", options: IngestOptions, print_report: Callable[[IngestReport, bool], None]) -> int:
    """Ingest the sources, print the report, and return the exit code.

    The second argument of `print_report` is whether a storage error ended the ingestion: its last commit, which the
    report does not count, may be stored nevertheless.
    """
    data_dir = library.folder.resolve()
    sources = [source for source in _read_sources(options) if not _is_in_data_dir(source, data_dir)]
    is_new = not options.dry_run and not library.exists(options.collection)
    code: int | None = None
    try:
        code = _ingest(library, options, sources, print_report)
        return code
    finally:
        if is_new and code != 0:
            _remove_if_empty(library, options.collection)


def _ingest(
    library: "Library",
    options: IngestOptions,
    sources: Sequence[FoundSource],
    print_report: Callable[[IngestReport, bool], None],
) -> int:
    report = IngestReport()
    with _open_target(library, options) as collection:
        try:
            _ingest_with_progress(collection, sources, options, report)
        except KeyboardInterrupt:
            output.print_err(f"semsearch: interrupted; {_INTERRUPTED_NOTES[options.use_batch_api]}")
            print_report(report, False)
            return INTERRUPTED
        except SemsearchError as exc:
            print_report(report, isinstance(exc, StorageError))
            raise
    if options.is_verbose:
        for line in format_skips(report):
            output.print_err(line)
    print_report(report, False)
    return SOME_FAILED if report.failures else 0


def _ingest_with_progress(
    collection: "Collection", sources: Sequence[FoundSource], options: IngestOptions, report: IngestReport
) -> None:
    """Ingest while a bar is shown, which is gone when this returns or raises."""
    with show_progress("ingesting", len(sources), is_quiet=options.is_quiet) as display:

        def show_document(result: IngestResult) -> None:
            display.advance()
            _print_result(result, display.print_line, is_verbose=options.is_verbose)

        collection.ingest(
            sources,
            prune=options.prune,
            allow_large_prune=options.allow_large_prune,
            dry_run=options.dry_run,
            batch=options.use_batch_api,
            report=report,
            on_document=show_document,
            on_message=lambda line: display.print_line(f"semsearch: {line}"),
        )


def _remove_if_empty(library: "Library", name: str) -> None:
    """Remove a collection that has no documents, unless another process works on it."""
    with suppress(SemsearchError):
        # the store tells what is stored: the report of an interrupted run may lack the last commit
        if library.exists(name) and library.open(name).info().documents == 0:
            library.delete(name)


def _read_sources(options: IngestOptions) -> Iterator[FoundSource]:
    metadata = validate_metadata(options.metadata)
    if "-" not in options.paths:
        yield from read(
            *options.paths,
            root_name=options.root,
            uri=options.uri,
            metadata=metadata,
            include=options.include,
            exclude=options.exclude,
        )
        return
    if len(options.paths) > 1 or options.uri is None:
        raise InvalidError("- reads one document from stdin: name it with --uri NAME, and give no other path")
    media_type = guess_media_type(options.uri)
    if media_type == "application/octet-stream":
        media_type = "text/plain"
    yield bytes_source(options.uri, sys.stdin.buffer.read(), media_type, metadata=metadata)


def _is_in_data_dir(source: FoundSource, data_dir: Path) -> bool:
    """Return whether the file is below the data directory, and the data directory is below the ingested folder."""
    if not isinstance(source, Source) or source.root is None or source.path is None:
        return False
    return source.root.path in data_dir.parents and source.path.is_relative_to(data_dir)


def _open_target(library: "Library", options: IngestOptions) -> "AbstractContextManager[Collection]":
    """Open or create the collection; for a dry run into a new collection use a temporary empty one."""
    if options.dry_run:
        return library.dry_run_collection(options.collection, embedder=options.embedder)
    if options.use_batch_api:
        from ...models.embedders.openai_batch import require_openai_embedder

        # check before the collection is created: its embedder cannot be changed later
        with library.dry_run_collection(options.collection, embedder=options.embedder) as dry_run:
            require_openai_embedder(dry_run.backends.embedder)
    return nullcontext(library.create(options.collection, embedder=options.embedder))


def _print_result(result: IngestResult, print_line: Callable[[str], None], *, is_verbose: bool) -> None:
    """Print a failure; with `is_verbose` also a document that is stored. Skips follow at the end."""
    if isinstance(result, Failure):
        print_line(output.format_failure(result))
    elif is_verbose and not isinstance(result, Skip) and result.status != "unchanged":
        print_line(f"{result.status}: {escape_name(result.uri)}")
