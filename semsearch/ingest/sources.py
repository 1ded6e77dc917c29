"""Finds what is to be read, and names it. Does not read a byte of it: a source is opened by whoever wants its bytes.

A file is named `<root name>/<path below the root>`, whatever folder the program was started in; so the same file keeps
its name, and with it its place in a collection.
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
    """Return a source of plain text that is already at hand."""
    data = text.encode(errors="replace")
    return bytes_source(uri, data, "text/plain; charset=utf-8", title=title, metadata=metadata)


def bytes_source(
    uri: str, data: bytes, media_type: str, *, title: str | None = None, metadata: Metadata | None = None
) -> Source:
    """Return a source of bytes that are already at hand."""
    return Source(validate_uri(uri), media_type, partial(BytesIO, data), title=title, metadata=metadata or {})


def read_sources(inputs: SourceInput | Iterable[SourceInput]) -> Iterable[Source | Failure]:
    """Return the sources of a path or of several paths, or given sources unchanged; Invalid if these are mixed.

    Given sources are validated one by one as they are read.
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
        raise InvalidError(f"{path!r:.80} is no path, but comes with paths; ingest paths or sources")
    return path


def validate_source(source: SourceInput) -> Source | Failure:
    """Return `source` if it is what can be ingested, else Invalid: a path is not."""
    if not isinstance(source, Source | Failure):
        raise InvalidError(f"{source!r:.80} is no source; semsearch.read(PATH...) gives those of files and folders")
    return source


def validate_uri(uri: str) -> str:
    """Return `uri` if a document may be named so, else Invalid."""
    if not uri or uri.isspace():
        raise InvalidError("a document needs a uri that is not empty")
    if len(uri) > MAX_URI_CHARACTERS:
        raise InvalidError(f"the uri {uri[:60]!r}... has {len(uri):,} characters, more than {MAX_URI_CHARACTERS:,}")
    if _CONTROL_CHARACTER.search(uri):
        raise InvalidError(f"the uri {uri[:60]!r} holds a control character; percent-encode it")
    return uri


def make_file_uri(path: Path) -> str:
    """Return the name of a file that lies below no root."""
    return _encode_path_part(path.name)


def make_uri_below(root: SourceRoot, path: Path) -> str:
    """Return the name of a file that lies below the root's path."""
    return "/".join([root.name, *map(_encode_path_part, path.relative_to(root.path).parts)])


def read(
    *paths: str | os.PathLike[str],
    root_name: str | None = None,
    uri: str | None = None,
    metadata: Metadata | None = None,
) -> Iterator[Source | Failure]:
    """Yield the files at these paths, and in folders all below them but what is hidden, unparsed and sorted.

    A folder in which nothing is found is yielded itself. A path that does not exist is NotFound, before anything is
    yielded. `root_name` names the one folder among the paths, `uri` the one file.
    """
    if not all(os.fspath(path) for path in paths):
        raise InvalidError("a path is empty; say . for the current folder")
    named = [Path(os.fspath(path)) for path in paths]
    folders = [_is_folder(path) for path in named]
    _validate_paths(named, folders, root_name, uri)
    return _iter_sources(named, folders, root_name, uri, metadata or {})


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise NotFoundError(f"{path} does not exist") from exc
    except OSError as exc:
        raise StorageError(f"{path} cannot be looked at: {exc.strerror}") from exc


def _validate_paths(paths: Sequence[Path], folders: Sequence[bool], root_name: str | None, uri: str | None) -> None:
    if uri is not None:
        validate_uri(uri)
        if len(paths) != 1 or folders[0]:
            raise InvalidError("a uri names exactly one file; give one path, and not a folder")
    if root_name is not None and (sum(folders) != 1 or not root_name or "/" in root_name):
        raise InvalidError("a root name is for exactly one folder, and is not empty and without a slash")
    files: dict[str, Path] = {}
    for path, folder in zip(paths, folders, strict=True):
        other = path if folder else files.setdefault(path.name, path)
        if other.resolve() != path.resolve():
            raise ConflictError(f"{other} and {path} would both be named {path.name}; ingest the folder above them")


def _iter_sources(
    paths: Sequence[Path], folders: Sequence[bool], root_name: str | None, uri: str | None, metadata: Metadata
) -> Iterator[Source | Failure]:
    for path, folder in _deduplicate_paths(paths, folders):
        if folder:
            yield from _walk_root(_build_root(path, root_name), metadata)
        else:
            found = _build_file_source(
                path.resolve(), uri or make_file_uri(path), None, metadata, path.parent.resolve() / path.name
            )
            yield found if uri is None or isinstance(found, Failure) else replace(found, path=None)


def _deduplicate_paths(paths: Sequence[Path], folders: Sequence[bool]) -> Iterator[tuple[Path, bool]]:
    """The paths, and whether they are folders, without those that come again or lie in another of these folders."""
    taken: set[Path] = set()
    walked = {path.resolve() for path, folder in zip(paths, folders, strict=True) if folder}
    for path, folder in zip(paths, folders, strict=True):
        place = path.resolve() if folder else path.parent.resolve() / path.name
        if place not in taken and not any(_is_visible_below(above, place) for above in walked):
            yield path, folder
        taken.add(place)


def _is_visible_below(folder: Path, path: Path) -> bool:
    """Whether `place` is met below the folder: nothing on the way to it is hidden."""
    return folder in path.parents and not any(part.startswith(".") for part in path.relative_to(folder).parts)


def _build_root(path: Path, name: str | None) -> SourceRoot:
    resolved, chosen = path.resolve(), name is not None
    name = name or (path.name if path.name not in ("", "..") else resolved.name)
    if not name:
        raise InvalidError(f"{path} has no name of its own; give one with --root NAME")
    return SourceRoot(_encode_path_part(name), resolved, chosen)


@dataclass(frozen=True, slots=True)
class _Entry:
    """Something found below a root, and where it really lies if a link led to it."""

    path: Path
    uri: str
    real_path: Path
    is_below_link: bool = False
    """Whether a linked folder is above it."""


def _walk_root(root: SourceRoot, metadata: Metadata) -> Iterator[Source | Failure]:
    """Walk depth first with a stack of our own: a deep tree must not end in a RecursionError."""
    empty = True
    todo = [_Entry(root.path, root.name, root.path)]
    while todo:
        entry = todo.pop()
        try:
            entry = _resolve_link(entry, root)
            if stat.S_ISDIR(entry.real_path.lstat().st_mode):
                todo += sorted(_list_entries(entry), key=_get_sort_key, reverse=True)
                continue
            found = _build_file_source(entry.real_path, entry.uri, root, metadata, entry.path)
        except ForbiddenError as exc:
            found = Failure(entry.uri, str(exc), exc.name)
        except OSError as exc:
            found = _handle_unreadable_entry(entry, root, metadata, exc)
        empty = empty and isinstance(found, Failure)
        yield found
    if empty:
        yield Source(root.name, "inode/directory", partial(_open_regular_file, root.path), root.path, root)


def _handle_unreadable_entry(entry: _Entry, root: SourceRoot, metadata: Metadata, error: OSError) -> Source | Failure:
    """What could not be looked at; a link that leads nowhere hides no others, and fails like a file, when opened."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP) and entry.path.is_symlink():
        return Source(
            entry.uri, guess_media_type(entry.path.name), _open_broken_link, entry.path, root, metadata=metadata
        )
    return Failure(entry.uri, f"it cannot be looked at: {error.strerror}", StorageError.name)


def _resolve_link(entry: _Entry, root: SourceRoot) -> _Entry:
    """Follow a link that stays below the root; folders once only, as links to each other would multiply."""
    if entry.path == root.path or not entry.path.is_symlink():
        return entry
    real = Path(os.path.realpath(entry.path, strict=True))
    if not real.is_relative_to(root.path):
        raise ForbiddenError("it is a link that leaves the folder it is in; ingest its target by its own path")
    if not real.is_dir():
        return replace(entry, real_path=real)
    if entry.is_below_link:
        raise ForbiddenError("it is a link to a folder inside a linked folder; such links are followed only once")
    if entry.real_path.is_relative_to(real):
        raise ForbiddenError("it is a link to a folder that it is in itself: a loop")
    return replace(entry, real_path=real, is_below_link=True)


def _list_entries(folder: _Entry) -> Iterator[_Entry]:
    for name in os.listdir(folder.real_path):
        if not name.startswith("."):
            uri = f"{folder.uri}/{_encode_path_part(name)}"
            yield _Entry(folder.path / name, uri, folder.real_path / name, folder.is_below_link)


def _get_sort_key(entry: _Entry) -> str:
    """By uri over the whole tree: a folder sorts as the prefix that it is."""
    return f"{entry.uri}/" if entry.path.is_dir() else entry.uri


def _build_file_source(
    real_path: Path, uri: str, root: SourceRoot | None, metadata: Metadata, path: Path
) -> Source | Failure:
    if len(uri) > MAX_URI_CHARACTERS:
        return Failure(uri[:MAX_URI_CHARACTERS], "its name is too long; shorten the path to it", InvalidError.name)
    if not stat.S_ISREG(real_path.lstat().st_mode):
        return Failure(uri, "it is a pipe, a socket or a device, not a file", UnsupportedMediaError.name)
    return Source(
        uri, guess_media_type(path.name), partial(_open_regular_file, real_path), path, root, metadata=metadata
    )


def _open_regular_file(path: Path) -> BinaryIO:
    """Open a regular file; whatever took its place since the walk neither blocks nor leads elsewhere."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "it is no longer a file", str(path))
    return os.fdopen(file, "rb")


def _open_broken_link() -> BinaryIO:
    raise OSError(errno.ENOENT, "it is a link that leads nowhere")


def _encode_path_part(name: str) -> str:
    """One part of a path as it stands in a uri: `50%\n` becomes `50%25%0A`, and so does a byte that is not UTF-8."""
    text = os.fsencode(name).decode("utf-8", "surrogateescape")
    return "".join(map(_escape_character, text))


def _escape_character(character: str) -> str:
    if character.isprintable() and character != "%":
        return character
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))
