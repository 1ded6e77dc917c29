"""Gives every file the name that it has in one collection. Does not look at the disk.

A folder is registered under its name when it is first ingested; from then on whatever lies below it belongs to it, also
when only a part of it, or a folder above it, is ingested later.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..core.errors import ConflictError, ForbiddenError, StorageError
from ..core.types.documents import Failure, Source, SourceRoot
from .sources import make_uri_below


class UriMapper:
    """The names of one run, and which of them were seen."""

    def __init__(self, registered_roots: Iterable[SourceRoot]) -> None:
        self.registered_roots = list(registered_roots)
        self.new_roots: list[SourceRoot] = []
        self._walked_folders: dict[Path, SourceRoot] = {}
        self._seen_uris: set[str] = set()
        self._unlisted_uris: list[str] = []

    def map_uris(self, sources: Iterable[Source | Failure]) -> Iterator[Source | Failure]:
        """Yield what was found, every source under its name in this collection."""
        for source in sources:
            if isinstance(source, Failure):
                if source.type == StorageError.name:
                    self._unlisted_uris.append(source.uri)
                yield source
                continue
            if source.root is not None:
                self._register_folder(source.root)
                if source.path == source.root.path:
                    continue  # there was nothing in it
            placed = self._assign_uri(source)
            self._seen_uris.add(placed.uri)
            yield placed

    def list_prune_prefixes(self) -> list[str]:
        """What the uris below the walked folders begin with; Forbidden if a part of these could not be seen."""
        if self._unlisted_uris:
            raise ForbiddenError(
                f"nothing was pruned, because these could not be listed: {', '.join(self._unlisted_uris[:5])}"
            )
        roots = [*self.registered_roots, *self.new_roots]
        inside = {
            f"{root.name}/" for root in roots for folder in self._walked_folders if root.path.is_relative_to(folder)
        }
        parts = {
            f"{make_uri_below(root, folder)}/"
            for folder in self._walked_folders
            if (root := _find_enclosing_root(roots, folder))
        }
        return sorted(inside | parts)

    def find_missing_uris(self, stored_uris: Iterable[str]) -> list[str]:
        """Those of the stored uris that were not seen."""
        return [uri for uri in stored_uris if uri not in self._seen_uris]

    def _assign_uri(self, source: Source) -> Source:
        home = (
            None
            if source.path is None
            else _find_enclosing_root([*self.registered_roots, *self.new_roots], source.path)
        )
        if source.path is None or home is None:
            return source
        return replace(source, uri=make_uri_below(home, source.path), root=home)

    def _register_folder(self, folder: SourceRoot) -> None:
        if folder.path in self._walked_folders:
            return
        self._walked_folders[folder.path] = folder
        home = _find_enclosing_root(self.registered_roots, folder.path)
        if home is None:
            self.new_roots.append(folder)
        elif folder.has_explicit_name and folder.name != (known := make_uri_below(home, folder.path)):
            raise ConflictError(
                f"the documents of this folder are named {known}/..., and cannot be named {folder.name}/... as well;"
                " leave --root out, or take another collection"
            )


def _find_enclosing_root(roots: Sequence[SourceRoot], path: Path) -> SourceRoot | None:
    """The innermost root that holds `path`."""
    holding = [root for root in roots if path.is_relative_to(root.path)]
    return max(holding, key=lambda root: len(root.path.parts), default=None)
