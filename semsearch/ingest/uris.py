"""Map sources to their URIs in one collection. Does not access the disk.

The first ingestion of a folder registers it as a root. From then on its files keep the URIs of that root, even when
only a subfolder, or a parent folder, is ingested later.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..core.errors import ConflictError, ForbiddenError, StorageError
from ..core.types.documents import Failure, Skip, Source, SourceRoot
from .document_uris import make_uri_below
from .sources import FoundSource


class UriMapper:
    """Map the sources of one run to URIs, and record which URIs it has seen."""

    def __init__(self, registered_roots: Iterable[SourceRoot]) -> None:
        self.registered_roots = list(registered_roots)
        self.new_roots: list[SourceRoot] = []
        self._walked_folders: dict[Path, SourceRoot] = {}
        self._seen_uris: set[str] = set()
        self._unlisted_uris: list[str] = []

    def map_uris(self, sources: Iterable[FoundSource]) -> Iterator[FoundSource]:
        """Yield the sources with their URIs in this collection; failures and skips pass through."""
        for source in sources:
            if isinstance(source, Skip):
                yield source
                continue
            if isinstance(source, Failure):
                if source.type == StorageError.name:
                    self._unlisted_uris.append(source.uri)
                yield source
                continue
            if source.root is not None:
                self._register_folder(source.root)
                if source.path == source.root.path:
                    continue  # an empty folder
            mapped = self._assign_uri(source)
            self._seen_uris.add(mapped.uri)
            yield mapped

    def list_prune_prefixes(self) -> list[str]:
        """Return the URI prefixes of the walked folders; raise ForbiddenError if part of them could not be listed."""
        if self._unlisted_uris:
            raise ForbiddenError(
                f"nothing was pruned, because these could not be listed: {', '.join(self._unlisted_uris[:5])}"
            )
        roots = [*self.registered_roots, *self.new_roots]
        root_prefixes = {
            f"{root.name}/" for root in roots for folder in self._walked_folders if root.path.is_relative_to(folder)
        }
        subfolder_prefixes = {
            f"{make_uri_below(root, folder)}/"
            for folder in self._walked_folders
            if (root := _find_enclosing_root(roots, folder))
        }
        return sorted(root_prefixes | subfolder_prefixes)

    def find_missing_uris(self, stored_uris: Iterable[str]) -> list[str]:
        """Return the stored URIs that this run has not seen."""
        return [uri for uri in stored_uris if uri not in self._seen_uris]

    def _assign_uri(self, source: Source) -> Source:
        enclosing_root = (
            None
            if source.path is None
            else _find_enclosing_root([*self.registered_roots, *self.new_roots], source.path)
        )
        if source.path is None or enclosing_root is None:
            return source
        return replace(source, uri=make_uri_below(enclosing_root, source.path), root=enclosing_root)

    def _register_folder(self, folder: SourceRoot) -> None:
        if folder.path in self._walked_folders:
            return
        self._walked_folders[folder.path] = folder
        enclosing_root = _find_enclosing_root(self.registered_roots, folder.path)
        if enclosing_root is None:
            self.new_roots.append(folder)
        elif folder.has_explicit_name and folder.name != (existing_uri := make_uri_below(enclosing_root, folder.path)):
            raise ConflictError(
                f"the documents of this folder are named {existing_uri}/... and cannot also be named {folder.name}/...;"
                " leave --root out, or use another collection"
            )


def _find_enclosing_root(roots: Sequence[SourceRoot], path: Path) -> SourceRoot | None:
    """Return the innermost root that contains `path`."""
    enclosing_roots = [root for root in roots if path.is_relative_to(root.path)]
    return max(enclosing_roots, key=lambda root: len(root.path.parts), default=None)
