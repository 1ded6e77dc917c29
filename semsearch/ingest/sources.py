"""Find the files below given paths and give each a URI. Does not read file contents; the loader opens each source.

The URI is `<root name>/<path below the root>` and does not depend on the working folder, so a file keeps its URI, and
with it its document in a collection.
"""

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
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
from ..core.types.documents import Failure, Metadata, Source, SourceRoot
from .media_types import guess_media_type

MAX_URI_CHARACTERS = 1024

SourceInput = str | os.PathLike[str] | Source | Failure
"""What can be ingested: a path, a source, or a source that could not be read."""

_PATH_TYPES = (str, os.PathLike)
_CONTROL_CHARACTER = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def text_source(uri: str, text: str, *, title: str | None = None, metadata: Metadata | None = None) -> Source:
    """Return a source that reads from the given text.

    >>> text_source("notes/lamp", "The lamp was mended.")
    Source('notes/lamp', text/plain; charset=utf-8)
    """
    data = text.encode(errors="replace")
    return bytes_source(uri, data, "text/plain; charset=utf-8", title=title, metadata=metadata)


def bytes_source(
    uri: str, data: bytes, media_type: str, *, title: str | None = None, metadata: Metadata | None = None
) -> Source:
    """Return a source that reads from the given bytes.

    >>> bytes_source("notes/lamp.md", b"# Lamp", "text/markdown")
    Source('notes/lamp.md', text/markdown)
    """
    return Source(validate_uri(uri), media_type, partial(BytesIO, data), title=title, metadata=metadata or {})


def read_sources(inputs: SourceInput | Iterable[SourceInput]) -> Iterable[Source | Failure]:
    """Return the sources of a path or of several paths, or given sources unchanged.

    Raise InvalidError if paths and sources are mixed. Given sources are validated one by one as they are read.
    """
    if isinstance(inputs, _PATH_TYPES):
        return read(inputs)
    if isinstance(inputs, Source | Failure) or not isinstance(inputs, Iterable):
        return [validate_source(inputs)]
    items = iter(inputs)
    first = list(islice(items, 1))
    if not first or not isinstance(first[0], _PATH_TYPES):
        return map(validate_source, chain(first, items))
    return read(*map(_validate_path, chain(first, items)))


def _validate_path(path: SourceInput) -> str | os.PathLike[str]:
    if not isinstance(path, _PATH_TYPES):
        raise InvalidError(f"{path!r:.80} is not a path, but comes with paths; ingest paths or sources")
    return path


def validate_source(source: SourceInput) -> Source | Failure:
    """Return `source` if it is a Source or a Failure; raise InvalidError for anything else, such as a path."""
    if not isinstance(source, Source | Failure):
        raise InvalidError(f"{source!r:.80} is not a source; use semsearch.read(PATH...) to read files and folders")
    return source


def validate_uri(uri: str) -> str:
    """Return `uri` if it is valid as a document's URI; raise InvalidError otherwise."""
    if not uri or uri.isspace():
        raise InvalidError("the uri of a document must not be empty")
    if len(uri) > MAX_URI_CHARACTERS:
        raise InvalidError(f"the uri {uri[:60]!r}... has {len(uri):,} characters, more than {MAX_URI_CHARACTERS:,}")
    if _CONTROL_CHARACTER.search(uri):
        raise InvalidError(f"the uri {uri[:60]!r} contains a control character; percent-encode it")
    return uri


def make_file_uri(path: Path) -> str:
    """Return the URI of a file that is not below a root."""
    return _encode_path_part(path.name)


def make_uri_below(root: SourceRoot, path: Path) -> str:
    """Return the URI of a file below the root's path."""
    return "/".join([root.name, *map(_encode_path_part, path.relative_to(root.path).parts)])


def read(
    *paths: str | os.PathLike[str],
    root_name: str | None = None,
    uri: str | None = None,
    metadata: Metadata | None = None,
) -> Iterator[Source | Failure]:
    """Yield a source for each file at these paths; folders are walked in sorted order, without hidden entries.

    An empty folder is yielded as a source itself. `root_name` names the only folder among the paths, `uri` the only
    file. Raises NotFoundError before the first source if a path does not exist.

    >>> list(read("docs/", metadata={"team": "hr"}))
    [Source('docs/leave.md', text/markdown)]
    """
    if not all(os.fspath(path) for path in paths):
        raise InvalidError("a path is empty; use . for the current folder")
    path_list = [Path(os.fspath(path)) for path in paths]
    folder_flags = [_is_folder(path) for path in path_list]
    _validate_paths(path_list, folder_flags, root_name, uri)
    return _iter_sources(path_list, folder_flags, root_name, uri, metadata or {})


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
    if root_name is not None and (sum(folder_flags) != 1 or not root_name or "/" in root_name):
        raise InvalidError(
            "a root name must not be empty or contain a slash, and needs exactly one folder among the paths"
        )
    files: dict[str, Path] = {}
    for path, is_folder in zip(paths, folder_flags, strict=True):
        first_path = path if is_folder else files.setdefault(path.name, path)
        if first_path.resolve() != path.resolve():
            raise ConflictError(
                f"{first_path} and {path} would both be named {path.name}; ingest a folder that contains both"
            )


def _iter_sources(
    paths: Sequence[Path], folder_flags: Sequence[bool], root_name: str | None, uri: str | None, metadata: Metadata
) -> Iterator[Source | Failure]:
    for path, is_folder in _deduplicate_paths(paths, folder_flags):
        if is_folder:
            yield from _walk_root(_build_root(path, root_name), metadata)
        else:
            source = _build_file_source(
                path.resolve(), uri or make_file_uri(path), None, metadata, path.parent.resolve() / path.name
            )
            yield source if uri is None or isinstance(source, Failure) else replace(source, path=None)


def _deduplicate_paths(paths: Sequence[Path], folder_flags: Sequence[bool]) -> Iterator[tuple[Path, bool]]:
    """Yield each path and whether it is a folder, without duplicates and without paths inside another folder."""
    seen_paths: set[Path] = set()
    walked_folders = {path.resolve() for path, is_folder in zip(paths, folder_flags, strict=True) if is_folder}
    for path, is_folder in zip(paths, folder_flags, strict=True):
        resolved = path.resolve() if is_folder else path.parent.resolve() / path.name
        if resolved not in seen_paths and not any(_is_visible_below(folder, resolved) for folder in walked_folders):
            yield path, is_folder
        seen_paths.add(resolved)


def _is_visible_below(folder: Path, path: Path) -> bool:
    """Return whether walking the folder finds `path`: no part of the path below the folder is hidden."""
    return folder in path.parents and not any(part.startswith(".") for part in path.relative_to(folder).parts)


def _build_root(path: Path, name: str | None) -> SourceRoot:
    resolved, has_explicit_name = path.resolve(), name is not None
    name = name or (path.name if path.name not in ("", "..") else resolved.name)
    if not name:
        raise InvalidError(f"{path} has no name; give it one with --root NAME")
    return SourceRoot(_encode_path_part(name), resolved, has_explicit_name)


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry below a root; `real_path` is the target if the entry is reached through a link."""

    path: Path
    uri: str
    real_path: Path
    is_below_link: bool = False
    """Whether one of its parent folders is a link."""


def _walk_root(root: SourceRoot, metadata: Metadata) -> Iterator[Source | Failure]:
    """Yield the sources below a root, depth first. Uses its own stack: a deep tree must not raise RecursionError."""
    is_empty = True
    stack = [_Entry(root.path, root.name, root.path)]
    while stack:
        entry = stack.pop()
        try:
            entry = _resolve_link(entry, root)
            if stat.S_ISDIR(entry.real_path.lstat().st_mode):
                stack += sorted(_list_entries(entry), key=_get_sort_key, reverse=True)
                continue
            source = _build_file_source(entry.real_path, entry.uri, root, metadata, entry.path)
        except ForbiddenError as exc:
            source = Failure(entry.uri, str(exc), exc.name)
        except OSError as exc:
            source = _handle_unreadable_entry(entry, root, metadata, exc)
        is_empty = is_empty and isinstance(source, Failure)
        yield source
    if is_empty:
        yield Source(root.name, "inode/directory", partial(_open_regular_file, root.path), root.path, root)


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


def _list_entries(folder: _Entry) -> Iterator[_Entry]:
    for name in os.listdir(folder.real_path):
        if not name.startswith("."):
            uri = f"{folder.uri}/{_encode_path_part(name)}"
            yield _Entry(folder.path / name, uri, folder.real_path / name, folder.is_below_link)


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
        uri, guess_media_type(path.name), partial(_open_regular_file, real_path), path, root, metadata=metadata
    )


def _open_regular_file(path: Path) -> BinaryIO:
    """Open a regular file. A pipe or link that replaced it since the walk neither blocks nor is followed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no longer a file", str(path))
    return os.fdopen(descriptor, "rb")


def _open_broken_link() -> BinaryIO:
    raise OSError(errno.ENOENT, "it is a broken link")


def _encode_path_part(name: str) -> str:
    r"""Percent-encode one part of a path: `50%\n` becomes `50%25%0A`. Bytes that are not UTF-8 are encoded too."""
    text = os.fsencode(name).decode("utf-8", "surrogateescape")
    return "".join(map(_escape_character, text))


def _escape_character(character: str) -> str:
    if character.isprintable() and character != "%":
        return character
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))
