"""Find the files below given paths and give each a URI. Does not read documents; the loader opens each source.

The URI is `<root name>/<path below the root>` and does not depend on the working folder, so a file keeps its URI, and
with it its document in a collection.
"""

import errno
import os
import re
import shlex
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from ..core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    StorageError,
    UnsupportedMediaError,
)
from ..core.types.documents import Failure, Metadata, Skip, Source, SourceRoot
from .document_uris import MAX_URI_CHARACTERS, encode_path_part, make_file_uri, validate_uri
from .ignore_rules import IgnoreRules, find_outer_rules, load_rules
from .media_types import guess_media_type
from .regular_files import open_regular_file
from .selection import FileSelection, make_selection

FoundSource = Source | Failure | Skip
"""A source, one that could not be read, or one that is left out."""

SourceInput = str | os.PathLike[str] | FoundSource
"""What can be ingested: a path, or a source."""

_PATH_TYPES = (str, os.PathLike)
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://(?P<host>[^/?#]*)")


def text_source(uri: str, text: str, *, title: str | None = None, metadata: Metadata | None = None) -> Source:
    """Return a source that reads from the given text.

    >>> text_source("notes/lamp", "The lamp was mended.")
    Source('notes/lamp', text/plain; charset=utf-8)
    """
    data = text.encode(errors="replace")
    source = bytes_source(uri, data, "text/plain; charset=utf-8", title=title, metadata=metadata)
    return replace(source, is_text=True)


def bytes_source(
    uri: str, data: bytes, media_type: str, *, title: str | None = None, metadata: Metadata | None = None
) -> Source:
    """Return a source that reads from the given bytes.

    >>> bytes_source("notes/lamp.md", b"# Lamp", "text/markdown")
    Source('notes/lamp.md', text/markdown)
    """
    return Source(validate_uri(uri), media_type, partial(BytesIO, data), title=title, metadata=metadata or {})


def read_sources(
    inputs: SourceInput | Iterable[SourceInput], *, include: str | Sequence[str] = (), exclude: str | Sequence[str] = ()
) -> Iterable[FoundSource]:
    """Return the sources of a path or of several paths, or given sources unchanged.

    Raise InvalidError if paths and sources are mixed. Given sources are validated one by one as they are read.
    """
    if isinstance(inputs, _PATH_TYPES):
        return read(inputs, include=include, exclude=exclude)
    if isinstance(inputs, FoundSource) or not isinstance(inputs, Iterable):
        inputs = [inputs]
    items = iter(inputs)
    first = list(islice(items, 1))
    if first and isinstance(first[0], _PATH_TYPES):
        return read(*map(_validate_path, chain(first, items)), include=include, exclude=exclude)
    if include or exclude:
        raise InvalidError("include and exclude choose files below paths; pass them to semsearch.read(PATH...)")
    return map(validate_source, chain(first, items))


def _validate_path(path: SourceInput) -> str | os.PathLike[str]:
    if not isinstance(path, _PATH_TYPES):
        raise InvalidError(f"{path!r:.80} is not a path, but comes with paths; ingest paths or sources")
    return path


def validate_source(source: SourceInput) -> FoundSource:
    """Return `source` if it is a source with a valid uri; raise InvalidError for anything else, such as a path."""
    if not isinstance(source, FoundSource):
        raise InvalidError(f"{source!r:.80} is not a source; use semsearch.read(PATH...) to read files and folders")
    if isinstance(source, Source):
        validate_uri(source.uri)
    return source


def read(
    *paths: str | os.PathLike[str],
    root_name: str | None = None,
    uri: str | None = None,
    metadata: Metadata | None = None,
    include: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
) -> Iterator[FoundSource]:
    """Yield a source for each file at these paths; folders are walked in sorted order, without hidden entries.

    Files that are no documents, and those that `.gitignore` or `.semsearchignore` name, are yielded as Skips. `include`
    and `exclude` are globs in the syntax of gitignore, relative to the folder. An empty folder is yielded as a source
    itself. `root_name` names the only folder among the paths, `uri` the only file. Raises NotFoundError before the
    first source if a path does not exist.

    >>> list(read("docs/", metadata={"team": "hr"}))
    [Source('docs/leave.md', text/markdown)]
    """
    path_texts = [os.fspath(path) for path in paths]
    if not all(path_texts):
        raise InvalidError("a path is empty; use . for the current folder")
    _reject_urls(path_texts)
    path_list = list(map(Path, path_texts))
    folder_flags = [_is_folder(path) for path in path_list]
    _validate_paths(path_list, folder_flags, root_name, uri)
    selection = make_selection(include, exclude)
    return _iter_sources(path_list, folder_flags, root_name, uri, metadata or {}, selection)


def _reject_urls(paths: Sequence[str]) -> None:
    """Raise InvalidError with the remedy if a path is a URL."""
    for path in paths:
        if (url := _URL.match(path)) is None:
            continue
        remedy = "copy what it names into a folder, then ingest the folder"
        if url["scheme"].lower() in ("http", "https", "ftp"):
            remedy = (
                f"mirror the site first: wget --mirror --no-parent --convert-links {shlex.quote(path)}"
                f" (add --adjust-extension if its addresses do not end in .html), then ingest the folder {url['host']}"
            )
        raise InvalidError(f"{path} is no file, and semsearch reads files; {remedy}")


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise NotFoundError(f"{path} does not exist") from exc
    except OSError as exc:
        raise StorageError(f"{path} cannot be accessed: {exc.strerror}") from exc


def _validate_paths(
    paths: Sequence[Path], folder_flags: Sequence[bool], root_name: str | None, uri: str | None
) -> None:
    if uri is not None:
        validate_uri(uri)
        if len(paths) != 1 or folder_flags[0]:
            raise InvalidError("a uri names exactly one file; pass a single path that is not a folder")
    if root_name is not None and (sum(folder_flags) != 1 or root_name in ("", ".", "..") or "/" in root_name):
        raise InvalidError(
            "a root name must not be empty, . or .., or contain a slash, and needs exactly one folder among the paths"
        )
    files: dict[str, Path] = {}
    for path, is_folder in zip(paths, folder_flags, strict=True):
        first_path = path if is_folder else files.setdefault(path.name, path)
        if first_path.resolve() != path.resolve():
            raise ConflictError(
                f"{first_path} and {path} would both be named {path.name}; ingest a folder that contains both"
            )


def _iter_sources(
    paths: Sequence[Path],
    folder_flags: Sequence[bool],
    root_name: str | None,
    uri: str | None,
    metadata: Metadata,
    selection: FileSelection,
) -> Iterator[FoundSource]:
    named_paths = dict(_resolve_paths(paths, folder_flags))
    folders = [resolved for resolved, (_, is_folder) in named_paths.items() if is_folder]
    unvisited = set(named_paths)
    is_nested = {path: any(_is_visible_below(folder, path) for folder in folders) for path in named_paths}
    # nested paths come last: by then the walk has met most of them, and missed those in folders that it skips
    for resolved, (path, is_folder) in sorted(named_paths.items(), key=lambda item: is_nested[item[0]]):
        if is_nested[resolved] and resolved not in unvisited:
            continue
        if is_folder:
            yield from _Walk(_build_root(path, root_name), metadata, selection, set(named_paths), unvisited).run()
        else:
            yield _build_named_file(path, uri, metadata, selection)


def _resolve_paths(paths: Sequence[Path], folder_flags: Sequence[bool]) -> Iterator[tuple[Path, tuple[Path, bool]]]:
    """Yield the absolute form of each path, the path as given, and whether it is a folder. Links to files are kept."""
    for path, is_folder in zip(paths, folder_flags, strict=True):
        yield path.resolve() if is_folder else path.parent.resolve() / path.name, (path, is_folder)


def _build_named_file(path: Path, uri: str | None, metadata: Metadata, selection: FileSelection) -> FoundSource:
    file_uri = uri or make_file_uri(path)
    if skip := selection.skip_named_file(path.name, file_uri):
        return skip
    source = _build_file_source(path.resolve(), file_uri, None, metadata, path.parent.resolve() / path.name)
    return source if uri is None or isinstance(source, Failure) else replace(source, path=None)


def _is_visible_below(folder: Path, path: Path) -> bool:
    """Return whether walking the folder finds `path`: no part of the path below the folder is hidden."""
    return folder in path.parents and not any(part.startswith(".") for part in path.relative_to(folder).parts)


def _build_root(path: Path, name: str | None) -> SourceRoot:
    resolved, has_explicit_name = path.resolve(), name is not None
    name = name or (path.name if path.name not in ("", "..") else resolved.name)
    if not name:
        raise InvalidError(f"{path} has no name; give it one with --root NAME")
    return SourceRoot(encode_path_part(name), resolved, has_explicit_name)


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry below a root; `real_path` is the target if the entry is reached through a link."""

    path: Path
    uri: str
    real_path: Path
    rules: IgnoreRules | None
    """Rules of the ignore files in the folders above it."""
    is_below_link: bool = False
    """Whether one of its parent folders is a link."""


@dataclass(frozen=True, slots=True)
class _Walk:
    """One walk below a root, depth first. Uses its own stack: a deep tree must not raise RecursionError."""

    root: SourceRoot
    metadata: Metadata
    selection: FileSelection
    named_paths: set[Path]
    """Paths that the user named: they are subject to the flags only."""
    unvisited: set[Path]
    """Of these the ones that no walk has met."""
    _stack: list[_Entry] = field(default_factory=list)

    def run(self) -> Iterator[FoundSource]:
        """Yield the sources in the order of their URIs, and the root itself if it has none."""
        root, is_empty = self.root, True
        self._stack.append(_Entry(root.path, root.name, root.path, None))
        while self._stack:
            source = self._visit(self._stack.pop())
            is_empty = is_empty and not isinstance(source, Source)
            if source is not None:
                yield source
        if is_empty:
            yield Source(root.name, "inode/directory", partial(open_regular_file, root.path), root.path, root)

    def _visit(self, entry: _Entry) -> FoundSource | None:
        """Return the source of a file; put the entries of a folder on the stack."""
        self.unvisited.discard(entry.path)
        try:
            entry = _resolve_link(entry, self.root)
            if stat.S_ISDIR(entry.real_path.lstat().st_mode):
                return self._enter(entry)
            return self._skip_file(entry) or _build_file_source(
                entry.real_path, entry.uri, self.root, self.metadata, entry.path
            )
        except ForbiddenError as exc:
            return Failure(entry.uri, str(exc), exc.name)
        except OSError as exc:
            return _handle_unreadable_entry(entry, self.root, self.metadata, exc)

    def _enter(self, folder: _Entry) -> Skip | None:
        """Put the entries of a folder on the stack, or return its Skip."""
        names = os.listdir(folder.real_path)
        if folder.path not in self.named_paths:
            skip = self.selection.skip_folder(folder.path, names, self._get_path(folder), folder.uri, folder.rules)
            if skip:
                return skip
        rules = load_rules(folder.path, folder.real_path, names, self._get_outer_rules(folder))
        entries = (
            _Entry(
                folder.path / name,
                f"{folder.uri}/{encode_path_part(name)}",
                folder.real_path / name,
                rules,
                folder.is_below_link,
            )
            for name in names
        )
        self._stack.extend(sorted(filter(self._is_visible, entries), key=_get_sort_key, reverse=True))
        return None

    def _get_outer_rules(self, folder: _Entry) -> IgnoreRules | None:
        """Return the rules of the folders above it; none if they ignore it, because then the user named it."""
        if folder.path == self.root.path:
            return find_outer_rules(folder.path)
        decision = folder.rules.decide(folder.path, is_folder=True) if folder.rules else None
        return None if decision and decision.is_ignored else folder.rules

    def _is_visible(self, entry: _Entry) -> bool:
        """Return whether an entry is not hidden; a `.semsearchignore` can show it."""
        if not entry.path.name.startswith("."):
            return True
        decision = entry.rules.decide(entry.path, is_folder=entry.path.is_dir()) if entry.rules else None
        return decision is not None and not decision.is_ignored

    def _skip_file(self, entry: _Entry) -> Skip | None:
        if entry.path in self.named_paths:
            return self.selection.skip_named_file(self._get_path(entry), entry.uri)
        return self.selection.skip_file(entry.path, entry.real_path, self._get_path(entry), entry.uri, entry.rules)

    def _get_path(self, entry: _Entry) -> str:
        """Return the path below the root."""
        return entry.path.relative_to(self.root.path).as_posix()


def _handle_unreadable_entry(entry: _Entry, root: SourceRoot, metadata: Metadata, error: OSError) -> Source | Failure:
    """Return what stands for an entry that cannot be accessed.

    A broken link becomes a source that fails when it is opened: unlike a folder, it cannot hide other entries.
    """
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP) and entry.path.is_symlink():
        return Source(
            entry.uri, guess_media_type(entry.path.name), _open_broken_link, entry.path, root, metadata=metadata
        )
    return Failure(entry.uri, f"it cannot be accessed: {error.strerror}", StorageError.name)


def _resolve_link(entry: _Entry, root: SourceRoot) -> _Entry:
    """Follow a link to a target below the root. Linked folders do not nest: the number of paths would explode."""
    if entry.path == root.path or not entry.path.is_symlink():
        return entry
    target = Path(os.path.realpath(entry.path, strict=True))
    if not target.is_relative_to(root.path):
        raise ForbiddenError("it is a link to a target outside the ingested folder; ingest the target by its own path")
    if not target.is_dir():
        return replace(entry, real_path=target)
    if entry.is_below_link:
        raise ForbiddenError("it is a link to a folder inside a linked folder; only the outer link is followed")
    if entry.real_path.is_relative_to(target):
        raise ForbiddenError("it is a link to a folder that contains it: a loop")
    return replace(entry, real_path=target, is_below_link=True)


def _get_sort_key(entry: _Entry) -> str:
    """Return the key that sorts the whole tree by URI: a folder sorts as the prefix of its files."""
    return f"{entry.uri}/" if entry.path.is_dir() else entry.uri


def _build_file_source(
    real_path: Path, uri: str, root: SourceRoot | None, metadata: Metadata, path: Path
) -> Source | Failure:
    if len(uri) > MAX_URI_CHARACTERS:
        return Failure(uri[:MAX_URI_CHARACTERS], "its uri is too long; shorten its path", InvalidError.name)
    if not stat.S_ISREG(real_path.lstat().st_mode):
        return Failure(uri, "it is a pipe, a socket or a device, not a file", UnsupportedMediaError.name)
    return Source(
        uri, guess_media_type(path.name), partial(open_regular_file, real_path), path, root, metadata=metadata
    )


def _open_broken_link() -> BinaryIO:
    raise OSError(errno.ENOENT, "it is a broken link")
