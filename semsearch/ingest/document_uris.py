"""Uris of documents: validate one, or make that of a file. Reads no file."""

import os
import re
from pathlib import Path

from ..core.errors import InvalidError
from ..core.types.documents import SourceRoot

MAX_URI_CHARACTERS = 1024

_CONTROL_CHARACTER = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def validate_uri(uri: str) -> str:
    """Return `uri` if it is valid as a document's URI; raise InvalidError otherwise."""
    if not uri or uri.isspace():
        raise InvalidError("the uri of a document must not be empty")
    if uri in (".", ".."):
        raise InvalidError(
            f"the uri {uri!r} means a folder in addresses, and clients remove it from them; choose another one"
        )
    if len(uri) > MAX_URI_CHARACTERS:
        raise InvalidError(f"the uri {uri[:60]!r}... has {len(uri):,} characters, more than {MAX_URI_CHARACTERS:,}")
    if _CONTROL_CHARACTER.search(uri):
        raise InvalidError(f"the uri {uri[:60]!r} contains a control character; percent-encode it")
    return uri


def make_file_uri(path: Path) -> str:
    """Return the URI of a file that is not below a root."""
    return encode_path_part(path.name)


def make_uri_below(root: SourceRoot, path: Path) -> str:
    """Return the URI of a file below the root's path."""
    return "/".join([root.name, *map(encode_path_part, path.relative_to(root.path).parts)])


def encode_path_part(name: str) -> str:
    r"""Percent-encode one part of a path: `50%\n` becomes `50%25%0A`. Bytes that are not UTF-8 are encoded too."""
    text = os.fsencode(name).decode("utf-8", "surrogateescape")
    return "".join(map(_escape_character, text))


def _escape_character(character: str) -> str:
    if character.isprintable() and character != "%":
        return character
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))
