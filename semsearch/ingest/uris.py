"""Gives every file the name that it has in one collection. Does not look at the disk.

A folder is registered under its name when it is first ingested; from then on whatever lies below it belongs to it, also
when only a part of it, or a folder above it, is ingested later.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..core.errors import Conflict, Forbidden, Storage
from ..core.types.documents import Failure, Root, Source
from .sources import uri_below


class Placing:
    """The names of one run, and which of them were seen."""

    def __init__(self, registered: Iterable[Root]) -> None:
        self.registered = list(registered)
        self.new: list[Root] = []
        self._walked: dict[Path, Root] = {}
        self._seen: set[str] = set()
        self._unlisted: list[str] = []

    def each(self, found: Iterable[Source | Failure]) -> Iterator[Source | Failure]:
        """Yield what was found, every source under its name in this collection."""
        for source in found:
            if isinstance(source, Failure):
                if source.type == Storage.name:
                    self._unlisted.append(source.uri)
                yield source
                continue
            if source.root is not None:
                self._walk(source.root)
                if source.path == source.root.path:
                    continue  # there was nothing in it
            placed = self._place(source)
            self._seen.add(placed.uri)
            yield placed

    def prefixes(self) -> list[str]:
        """What the uris below the walked folders begin with; Forbidden if a part of these could not be seen."""
        if self._unlisted:
            raise Forbidden(f"nothing was pruned, because these could not be listed: {', '.join(self._unlisted[:5])}")
        roots = [*self.registered, *self.new]
        inside = {f"{root.name}/" for root in roots for folder in self._walked if root.path.is_relative_to(folder)}
        parts = {f"{uri_below(root, folder)}/" for folder in self._walked if (root := _around(roots, folder))}
        return sorted(inside | parts)

    def gone(self, stored: Iterable[str]) -> list[str]:
        """Those of the stored uris that were not seen."""
        return [uri for uri in stored if uri not in self._seen]

    def _place(self, source: Source) -> Source:
        home = None if source.path is None else _around([*self.registered, *self.new], source.path)
        if source.path is None or home is None:
            return source
        return replace(source, uri=uri_below(home, source.path), root=home)

    def _walk(self, folder: Root) -> None:
        if folder.path in self._walked:
            return
        self._walked[folder.path] = folder
        home = _around(self.registered, folder.path)
        if home is None:
            self.new.append(folder)
        elif folder.chosen and folder.name != (known := uri_below(home, folder.path)):
            raise Conflict(
                f"the documents of this folder are named {known}/..., and cannot be named {folder.name}/... as well;"
                " leave --root out, or take another collection"
            )


def _around(roots: Sequence[Root], path: Path) -> Root | None:
    """The innermost root that holds `path`."""
    holding = [root for root in roots if path.is_relative_to(root.path)]
    return max(holding, key=lambda root: len(root.path.parts), default=None)
