"""Choose the reader plugin of a media type or of a file. Imports no plugin: a reader process does.

A plugin is named by a media type or by the suffix of files, such as `.acme`. Files of that suffix get a media type of
their own, so that a plugin for `.mdx` does not take the `.md` files of the same type.
"""

import re

from ..core.plugins import Plugin, find_plugin, find_plugins

SUFFIX_TYPE_PREFIX = "application/x-semsearch+"

_READER_NAME = re.compile(r"\.[^\s./;]+|[^\s/;]+/[^\s/;]+")


def is_reader_name(name: str) -> bool:
    """Return whether files can have what a plugin is named by: a media type, or a suffix such as `.acme`."""
    return _READER_NAME.fullmatch(name) is not None


def guess_plugin_type(suffix: str) -> str | None:
    """Return the media type of files with a suffix in lower case, such as `.acme`, if a plugin declares the suffix."""
    return f"{SUFFIX_TYPE_PREFIX}{suffix[1:]}" if suffix in find_plugins("semsearch.readers") else None


def find_reader_plugin(media_type: str) -> Plugin | None:
    """Return the plugin that reads a media type without parameters; ConflictError if several declare it."""
    if media_type.startswith(SUFFIX_TYPE_PREFIX):
        return find_plugin("semsearch.readers", f".{media_type.removeprefix(SUFFIX_TYPE_PREFIX)}")
    return find_plugin("semsearch.readers", media_type)
