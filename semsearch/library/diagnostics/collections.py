"""Check the collections of a data directory: files, index, embedder; and name files that are not from semsearch."""

import shlex
import time
from dataclasses import dataclass, field
from pathlib import Path

from ...core.errors import ConflictError, InvalidError, NotFoundError, StorageError, UnavailableError
from ...core.settings import Settings
from ...core.types.diagnostics import Finding
from ...models.embedders.choice import StoredEmbedder
from ...models.embedders.missing import check_available
from ...storage.collections.local.inspection import CollectionState, inspect_collection
from ...storage.inspection import ForeignJournalError, UncheckedError
from ...storage.stored_files import is_library_file, list_collections, list_foreign_files

_MAX_NAMED = 5
_SECOND_LOOK_SECONDS = 0.2


@dataclass(slots=True)
class CollectionCheck:
    """The findings, and what the checks of servers and keys need of the collections."""

    findings: list[Finding] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    specs: dict[str, str] = field(default_factory=dict)
    """SPEC of the embedder, by the name of the collection."""


def check_collections(folder: Path, settings: Settings) -> CollectionCheck:
    """Check each collection; one that cannot be read is a finding, and the others are checked all the same."""
    result = CollectionCheck()
    for name in list_collections(folder):
        result.names.add(name)
        try:
            state = _inspect(folder / name, settings.index_thresholds)
        except UncheckedError as exc:
            remedy = f"run semsearch documents -c {name}, then check again"
            result.findings.append(Finding("warning", f"collection {name}", str(exc), "it was not checked", remedy))
        except (StorageError, ConflictError) as exc:
            result.findings.append(_describe_failure(name, exc))
        else:
            result.specs[name] = state.spec
            result.findings += [*_judge(name, state), *_check_embedder(name, state, settings)] or [
                _describe(name, state)
            ]
    return result


def find_foreign_files(folder: Path) -> list[Finding]:
    """Name the files in the data directory and its collections that are not from semsearch."""
    try:
        names = sorted(path.name for path in folder.iterdir())
        collections = list_collections(folder)
        others = [name for name in names if name not in collections and not is_library_file(name)]
        others += [f"{name}/{other}" for name in collections for other in list_foreign_files(folder / name)]
    except OSError:
        return []  # reported with the data directory
    if not others:
        return []
    more = f" and {len(others) - _MAX_NAMED} more" if len(others) > _MAX_NAMED else ""
    return [
        Finding(
            "warning",
            "other files",
            f"{folder} has files that are not from semsearch: {', '.join(others[:_MAX_NAMED])}{more}",
            "semsearch ignores them; a folder may be a collection that lost its catalog.db",
            "move them elsewhere, or restore what is missing from a copy",
        )
    ]


def _inspect(folder: Path, thresholds: tuple[int, int] | None) -> CollectionState:
    """Return the state of a collection; look a second time if it seems damaged: a process may just have changed it."""
    try:
        return inspect_collection(folder, thresholds)
    except UncheckedError:
        raise
    except StorageError:
        time.sleep(_SECOND_LOOK_SECONDS)
        return inspect_collection(folder, thresholds)


def _describe_failure(name: str, exc: StorageError | ConflictError) -> Finding:
    remedy = f"semsearch reindex --accept-loss -c {name}" if exc.remedy is not None else ""
    if isinstance(exc, ForeignJournalError):
        remedy = f"move it away; if another program was at work, restore the folder {name} from a copy"
    elif isinstance(exc, ConflictError):
        remedy = "update semsearch, or use the version that wrote it"
    elif not remedy:
        remedy = f"restore the folder {name} from a copy, or delete the collection and ingest its documents again"
    return Finding("problem", f"collection {name}", str(exc), "it cannot be opened, or not all of it be read", remedy)


def _judge(name: str, state: CollectionState) -> list[Finding]:
    check, findings = f"collection {name}", []
    reindex = f"semsearch reindex -c {shlex.quote(name)}"
    if state.has_old_analysis:
        what = "its words were analysed by another version of semsearch"
        findings.append(Finding("problem", check, what, "searches are refused", reindex))
    if state.index_damage is not None:
        why = "searches that need the file work without the index, exactly but slower, until it is built again"
        findings.append(Finding("problem", check, state.index_damage, why, reindex))
    elif state.index.state == "behind":
        what = f"its index lacks {state.index.pending_chunks:,} of {state.chunks:,} chunks"
        why = "these are searched one by one, which is slower, until the next write builds the index again"
        findings.append(Finding("warning", check, what, why, reindex))
    if state.unchecked is not None:
        why = "damage in the rest of its pages would not be seen here; reading a damaged document reports it"
        findings.append(Finding("warning", check, state.unchecked, why))
    return findings


def _describe(name: str, state: CollectionState) -> Finding:
    counts = f"documents: {state.documents:,}, chunks: {state.chunks:,}, not indexed: {state.index.pending_chunks:,}"
    return Finding("ok", f"collection {name}", f"{counts}, embedder: {state.spec}")


def _check_embedder(name: str, state: CollectionState, settings: Settings) -> list[Finding]:
    """Check an embedder on this machine; that of a model server is checked with the server."""
    try:
        check_available(StoredEmbedder(name, state.spec, state.space, state.dim), settings)
    except (UnavailableError, ConflictError, InvalidError, NotFoundError, StorageError) as exc:
        why = "nothing can be ingested, searched by meaning or answered"
        remedy = "put the model or the plugin back, or make another collection"
        return [Finding("problem", f"collection {name}", str(exc), why, remedy)]
    return []
