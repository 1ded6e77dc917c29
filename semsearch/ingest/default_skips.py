"""Recognise files and folders that are not documents: images, archives, caches, generated search indexes.

Only names are looked at, except for search indexes: another file can have the name of one, so its first bytes decide.
"""

import re
from collections.abc import Callable, Collection

from ..core.types.documents import SkipKind
from .media_types import guess_media_type

HEAD_BYTES = 16 << 10
"""Number of bytes at the start of a file that show whether it is a search index."""

_EXTENSIONS: dict[SkipKind, str] = {
    "image": "apng avif bmp cur dds drawio eps gif heic heif icns ico jfif jp2 jpe jpeg jpg jxl png psd svg svgz tga"
    " tif tiff webp xcf",
    "font": "eot otf pfb ttc ttf woff woff2",
    "archive": "7z apk br bz2 cab conda crx deb dmg egg gem gz img iso jar lz lz4 lzma msi nupkg rar rpm tar tbz tgz"
    " txz vsix war whl xpi xz z zip zst",
    "audio": "aac aif aiff flac m4a mid midi mp3 oga ogg opus wav weba wma",
    "video": "avi flv m2ts m4v mkv mov mp4 mpeg mpg ogv webm wmv",
    "compiled": "a beam class dex dll dylib elc elf exe gch ko lib mo o obj pch pdb pyc pyd pyo rlib rmeta so swc wasm",
    "lock_file": "lock lockb",
    "minified": "map",
    "system_file": "ds_store lnk part swo swp tmp",
}
_KINDS_BY_EXTENSION: dict[str, SkipKind] = {
    extension: kind for kind, extensions in _EXTENSIONS.items() for extension in extensions.split()
}
_KINDS_BY_NAME: dict[str, SkipKind] = {
    "conda-lock.yml": "lock_file",
    "deno.lock.json": "lock_file",
    "go.sum": "lock_file",
    "npm-shrinkwrap.json": "lock_file",
    "package-lock.json": "lock_file",
    "packages.lock.json": "lock_file",
    "pnpm-lock.yaml": "lock_file",
    ".ds_store": "system_file",
    "desktop.ini": "system_file",
    "thumbs.db": "system_file",
}
_MINIFIED_ENDINGS = (".min.js", ".min.mjs", ".min.css")

_FOLDER_KINDS: dict[str, SkipKind] = {
    **dict.fromkeys(("bower_components", "jspm_packages", "node_modules"), "dependencies"),
    **dict.fromkeys((".git", ".hg", ".svn", ".bzr", ".jj", "_darcs", "CVS"), "version_control"),
    **dict.fromkeys(("__pycache__", "__pypackages__", "__MACOSX", ".cache", ".tox", ".nox"), "cache"),
}
_FOLDER_MARKERS: list[tuple[frozenset[str], SkipKind]] = [
    (frozenset({"pyvenv.cfg"}), "virtual_environment"),
    (frozenset({"CACHEDIR.TAG"}), "cache"),
    (frozenset({"ledger.db", "ledger.lock"}), "data_directory"),
    (frozenset({"catalog.db", "commit.seq"}), "data_directory"),
]
"""File names that, together in one folder, show its kind."""

_INDEX_NAME = re.compile(r"(search|lunr|index).*\.(js|mjs|json)", re.IGNORECASE)
_INDEX_SHAPE = re.compile(
    rb"\bsearch\.setIndex\("  # Sphinx
    rb"|\"(fieldVectors|invertedIndex|documentStore|documentCount|doc_urls)\"\s*:"  # lunr, elasticlunr, MiniSearch
    rb"|\b(searchIndex|searchData|[a-z]+SearchIndex)\s*="  # rustdoc, Doxygen, TypeDoc, Javadoc
    rb"|\bwindow\.search\s*=",  # mdBook
    re.IGNORECASE,
)
_PAGE_LIST_NAME = re.compile(
    r"([\w.-]*[-_.])?search([-_.]?(index|data|db|docs|content))?([-_.]?[0-9a-f]{4,})?\.(js|json)", re.IGNORECASE
)
_PAGE_LIST_SHAPE = re.compile(
    rb"\"(location|uri|url|relUrl|href|permalink)\"\s*:\s*\"[^\"]*\"\s*,\s*\"(text|title|content|body|summary)\"\s*:"
    rb"|\"(text|title|content|body|summary)\"\s*:\s*\"(\\.|[^\"\\])*\"\s*,\s*\"(location|uri|url|relUrl|href)\"\s*:"
)
"""Records of pages with address and text, as MkDocs and Jekyll write them; with another name they may be data."""


def classify_file(name: str) -> SkipKind | None:
    """Return why a file of this name cannot be a document; None if there may be a reader for it."""
    if guess_media_type(name) != "application/octet-stream":
        return None
    lowered = name.lower()
    extension = lowered.rpartition(".")[2] if "." in lowered else ""
    return _KINDS_BY_NAME.get(lowered) or _KINDS_BY_EXTENSION.get(extension, "unknown_type")


def classify_generated_file(name: str, read_head: Callable[[], bytes]) -> SkipKind | None:
    """Return the kind of a generated file that a reader could read; None for any other."""
    lowered = name.lower()
    if lowered in _KINDS_BY_NAME:
        return _KINDS_BY_NAME[lowered]
    if lowered.endswith(_MINIFIED_ENDINGS):
        return "minified"
    return "search_index" if _is_search_index(name, read_head) else None


def _is_search_index(name: str, read_head: Callable[[], bytes]) -> bool:
    if not _INDEX_NAME.search(name):
        return False
    head = read_head()
    is_page_list = _PAGE_LIST_NAME.fullmatch(name) is not None and _PAGE_LIST_SHAPE.search(head) is not None
    return is_page_list or _INDEX_SHAPE.search(head) is not None


def classify_folder(name: str, entries: Collection[str]) -> SkipKind | None:
    """Return why a folder with this name and these entries holds no documents of its own; None if it may."""
    if name in _FOLDER_KINDS:
        return _FOLDER_KINDS[name]
    return next((kind for markers, kind in _FOLDER_MARKERS if markers <= set(entries)), None)
