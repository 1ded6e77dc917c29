"""Finds what is to be read, and names it. Does not read a byte of it: a source is opened by whoever wants its bytes.

A file is named `<root name>/<path below the root>`, whatever folder the program was started in; so the same file keeps
its name, and with it its place in a collection.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from ..core.errors import Conflict, Forbidden, Invalid, NotFound, Storage, UnsupportedMedia
from ..core.types.documents import Failure, Metadata, Root, Source
from .media_types import media_type_of

MAX_URI_CHARACTERS = 1024


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def text_source(uri: str, text: str, *, title: str | None = None, metadata: Metadata | None = None) -> Source:
    """Return a source of plain text that is already at hand."""
    data = text.encode(errors="replace")
    return bytes_source(uri, data, "text/plain; charset=utf-8", title=title, metadata=metadata)


def bytes_source(
    uri: str, data: bytes, media_type: str, *, title: str | None = None, metadata: Metadata | None = None
) -> Source:
    """Return a source of bytes that are already at hand."""
    return Source(checked_uri(uri), media_type, partial(BytesIO, data), title=title, metadata=metadata or {})


def checked_source(source: Source | Failure) -> Source | Failure:
    """Return `source` if it is what can be ingested, else Invalid: a path is not."""
    if not isinstance(source, Source | Failure):
        raise Invalid(f"{source!r:.80} is no source; semsearch.read(PATH...) gives those of files and folders")
    return source


def checked_uri(uri: str) -> str:
    """Return `uri` if a document may be named so, else Invalid."""
    if not uri or uri.isspace():
        raise Invalid("a document needs a uri that is not empty")
    if len(uri) > MAX_URI_CHARACTERS:
        raise Invalid(f"the uri {uri[:60]!r}... has {len(uri):,} characters, more than {MAX_URI_CHARACTERS:,}")
    if _CONTROL.search(uri):
        raise Invalid(f"the uri {uri[:60]!r} holds a control character; percent-encode it")
    return uri


def file_uri(path: Path) -> str:
    """Return the name of a file that lies below no root."""
    return _encoded(path.name)


def uri_below(root: Root, path: Path) -> str:
    """Return the name of a file that lies below the root's path."""
    return "/".join([root.name, *map(_encoded, path.relative_to(root.path).parts)])


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
        raise Invalid("a path is empty; say . for the current folder")
    named = [Path(os.fspath(path)) for path in paths]
    folders = [_is_folder(path) for path in named]
    _check(named, folders, root_name, uri)
    return _all(named, folders, root_name, uri, metadata or {})


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise NotFound(f"{path} does not exist") from exc
    except OSError as exc:
        raise Storage(f"{path} cannot be looked at: {exc.strerror}") from exc


def _check(paths: Sequence[Path], folders: Sequence[bool], root_name: str | None, uri: str | None) -> None:
    if uri is not None:
        checked_uri(uri)
        if len(paths) != 1 or folders[0]:
            raise Invalid("a uri names exactly one file; give one path, and not a folder")
    if root_name is not None and (sum(folders) != 1 or not root_name or "/" in root_name):
        raise Invalid("a root name is for exactly one folder, and is not empty and without a slash")
    files: dict[str, Path] = {}
    for path, folder in zip(paths, folders, strict=True):
        other = path if folder else files.setdefault(path.name, path)
        if other.resolve() != path.resolve():
            raise Conflict(f"{other} and {path} would both be named {path.name}; ingest the folder above them")


def _all(
    paths: Sequence[Path], folders: Sequence[bool], root_name: str | None, uri: str | None, metadata: Metadata
) -> Iterator[Source | Failure]:
    for path, folder in _once(paths, folders):
        if folder:
            yield from _below(_root(path, root_name), metadata)
        else:
            found = _file(path.resolve(), uri or file_uri(path), None, metadata, path.parent.resolve() / path.name)
            yield found if uri is None or isinstance(found, Failure) else replace(found, path=None)


def _once(paths: Sequence[Path], folders: Sequence[bool]) -> Iterator[tuple[Path, bool]]:
    """The paths, and whether they are folders, without those that come again or lie in another of these folders."""
    taken: set[Path] = set()
    walked = {path.resolve() for path, folder in zip(paths, folders, strict=True) if folder}
    for path, folder in zip(paths, folders, strict=True):
        place = path.resolve() if folder else path.parent.resolve() / path.name
        if place not in taken and not any(_shows(above, place) for above in walked):
            yield path, folder
        taken.add(place)


def _shows(folder: Path, place: Path) -> bool:
    """Whether `place` is met below the folder: nothing on the way to it is hidden."""
    return folder in place.parents and not any(part.startswith(".") for part in place.relative_to(folder).parts)


def _root(path: Path, name: str | None) -> Root:
    resolved, chosen = path.resolve(), name is not None
    name = name or (path.name if path.name not in ("", "..") else resolved.name)
    if not name:
        raise Invalid(f"{path} has no name of its own; give one with --root NAME")
    return Root(_encoded(name), resolved, chosen)


@dataclass(frozen=True, slots=True)
class _Entry:
    """Something found below a root, and where it really lies if a link led to it."""

    path: Path
    uri: str
    real: Path
    linked: bool = False
    """Whether a linked folder is above it."""


def _below(root: Root, metadata: Metadata) -> Iterator[Source | Failure]:
    """Walk depth first with a stack of our own: a deep tree must not end in a RecursionError."""
    empty = True
    todo = [_Entry(root.path, root.name, root.path)]
    while todo:
        entry = todo.pop()
        try:
            entry = _followed(entry, root)
            if stat.S_ISDIR(entry.real.lstat().st_mode):
                todo += sorted(_children(entry), key=_order, reverse=True)
                continue
            found = _file(entry.real, entry.uri, root, metadata, entry.path)
        except Forbidden as exc:
            found = Failure(entry.uri, str(exc), exc.name)
        except OSError as exc:
            found = _unseen(entry, root, metadata, exc)
        empty = empty and isinstance(found, Failure)
        yield found
    if empty:
        yield Source(root.name, "inode/directory", partial(_open, root.path), root.path, root)


def _unseen(entry: _Entry, root: Root, metadata: Metadata, why: OSError) -> Source | Failure:
    """What could not be looked at; a link that leads nowhere hides no others, and fails like a file, when opened."""
    if why.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP) and entry.path.is_symlink():
        return Source(entry.uri, media_type_of(entry.path.name), _lost, entry.path, root, metadata=metadata)
    return Failure(entry.uri, f"it cannot be looked at: {why.strerror}", Storage.name)


def _followed(entry: _Entry, root: Root) -> _Entry:
    """Follow a link that stays below the root; folders once only, as links to each other would multiply."""
    if entry.path == root.path or not entry.path.is_symlink():
        return entry
    real = Path(os.path.realpath(entry.path, strict=True))
    if not real.is_relative_to(root.path):
        raise Forbidden("it is a link that leaves the folder it is in; ingest its target by its own path")
    if not real.is_dir():
        return replace(entry, real=real)
    if entry.linked:
        raise Forbidden("it is a link to a folder inside a linked folder; such links are followed only once")
    if entry.real.is_relative_to(real):
        raise Forbidden("it is a link to a folder that it is in itself: a loop")
    return replace(entry, real=real, linked=True)


def _children(folder: _Entry) -> Iterator[_Entry]:
    for name in os.listdir(folder.real):
        if not name.startswith("."):
            uri = f"{folder.uri}/{_encoded(name)}"
            yield _Entry(folder.path / name, uri, folder.real / name, folder.linked)


def _order(entry: _Entry) -> str:
    """By uri over the whole tree: a folder sorts as the prefix that it is."""
    return f"{entry.uri}/" if entry.path.is_dir() else entry.uri


def _file(real: Path, uri: str, root: Root | None, metadata: Metadata, path: Path) -> Source | Failure:
    if len(uri) > MAX_URI_CHARACTERS:
        return Failure(uri[:MAX_URI_CHARACTERS], "its name is too long; shorten the path to it", Invalid.name)
    if not stat.S_ISREG(real.lstat().st_mode):
        return Failure(uri, "it is a pipe, a socket or a device, not a file", UnsupportedMedia.name)
    return Source(uri, media_type_of(path.name), partial(_open, real), path, root, metadata=metadata)


def _open(path: Path) -> BinaryIO:
    """Open a regular file; whatever took its place since the walk neither blocks nor leads elsewhere."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "it is no longer a file", str(path))
    return os.fdopen(file, "rb")


def _lost() -> BinaryIO:
    raise OSError(errno.ENOENT, "it is a link that leads nowhere")


def _encoded(name: str) -> str:
    """One part of a path as it stands in a uri: `50%\n` becomes `50%25%0A`, and so does a byte that is not UTF-8."""
    text = os.fsencode(name).decode("utf-8", "surrogateescape")
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character.isprintable() and character != "%":
        return character
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))
