"""Build the postings of the chunks that no generation covers: of few in memory, of many in child processes.

This process is the one that searches: its memory and the time of its threads must not depend on the texts.
"""

from __future__ import annotations

from collections.abc import Iterable

from .....core.errors import StorageError
from ..rows.terms import TermRow
from .build_processes import MAX_ROWS_IN_PROCESS, build_in_processes
from .postings import Postings, index_rows, merge
from .postings_slices import map_merged
from .segment_builder import PartMerger


def build_postings(rows: Iterable[TermRow], row_count: int) -> tuple[Postings, Postings]:
    """Return the postings of rows, and the trigram postings of those that are not in English; rows are in id order.

    Those of many rows are mapped from files without a name. StorageError if these cannot be written.
    """
    if row_count <= MAX_ROWS_IN_PROCESS:
        return index_rows(rows)
    try:
        with build_in_processes(rows, row_count, search_waits=True) as parts:
            postings, trigram_postings = PartMerger(parts).collect_postings()
        return map_merged(postings), map_merged(trigram_postings)
    except OSError as exc:
        raise _write_error(exc) from exc


def merge_postings(older: Postings, newer: Postings) -> Postings:
    """Return the merged index: a large one mapped from a file without a name. StorageError if it cannot be written."""
    if len(older) + len(newer) <= MAX_ROWS_IN_PROCESS:
        return merge([older, newer])
    try:
        return map_merged([older, newer])
    except OSError as exc:
        raise _write_error(exc) from exc


def _write_error(error: OSError) -> StorageError:
    return StorageError(
        f"new chunks cannot be searched: their index cannot be written to a temporary file: {error.strerror};"
        " make space in the folder for temporary files (TMPDIR)"
    )
