"""Guess the media type of a file from its name. Reads no file."""

from pathlib import PurePosixPath

from .reader_plugins import guess_plugin_type

CODE_MEDIA_TYPES = {
    "bash": "text/x-shellscript",
    "bat": "text/x-bat",
    "c": "text/x-c",
    "cc": "text/x-c++",
    "cfg": "text/x-ini",
    "conf": "text/x-ini",
    "cpp": "text/x-c++",
    "cs": "text/x-csharp",
    "css": "text/css",
    "go": "text/x-go",
    "h": "text/x-c",
    "hpp": "text/x-c++",
    "ini": "text/x-ini",
    "java": "text/x-java",
    "js": "text/javascript",
    "jsx": "text/javascript",
    "kt": "text/x-kotlin",
    "lua": "text/x-lua",
    "mjs": "text/javascript",
    "php": "text/x-php",
    "pl": "text/x-perl",
    "properties": "text/x-ini",
    "proto": "text/x-protobuf",
    "ps1": "text/x-powershell",
    "py": "text/x-python",
    "pyi": "text/x-python",
    "r": "text/x-r",
    "rb": "text/x-ruby",
    "rs": "text/x-rust",
    "scala": "text/x-scala",
    "sh": "text/x-shellscript",
    "sql": "application/sql",
    "swift": "text/x-swift",
    "toml": "application/toml",
    "ts": "text/x-typescript",
    "tsx": "text/x-typescript",
    "yaml": "application/yaml",
    "yml": "application/yaml",
}
"""Extensions of source code and configuration files; one reader reads them all."""

MEDIA_TYPES = {
    **CODE_MEDIA_TYPES,
    "adoc": "text/asciidoc",
    "asciidoc": "text/asciidoc",
    "atom": "application/atom+xml",
    "csv": "text/csv",
    "docm": "application/vnd.ms-word.document.macroenabled.12",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "eml": "message/rfc822",
    "epub": "application/epub+zip",
    "htm": "text/html",
    "html": "text/html",
    "ipynb": "application/x-ipynb+json",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "log": "text/plain",
    "markdown": "text/markdown",
    "md": "text/markdown",
    "mdx": "text/markdown",
    "msg": "application/vnd.ms-outlook",
    "ndjson": "application/jsonl",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "pdf": "application/pdf",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "rss": "application/rss+xml",
    "rst": "text/x-rst",
    "srt": "application/x-subrip",
    "text": "text/plain",
    "tsv": "text/tab-separated-values",
    "txt": "text/plain",
    "vtt": "text/vtt",
    "xhtml": "application/xhtml+xml",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xml": "application/xml",
}
"""File extension to media type; types without a reader are listed so that their error can name them."""

_MEDIA_TYPES_BY_NAME = dict.fromkeys(
    ("authors", "changelog", "copying", "license", "notice", "readme"), "text/plain"
) | {
    "dockerfile": "text/x-shellscript",
    "makefile": "text/x-shellscript",
}


def guess_media_type(name: str) -> str:
    """Return the media type of a file by its name, first by plugins; "application/octet-stream" if it is unknown."""
    path = PurePosixPath(name.lower())
    if path.suffix:
        media_type = guess_plugin_type(path.suffix) or MEDIA_TYPES.get(path.suffix[1:])
    else:
        media_type = _MEDIA_TYPES_BY_NAME.get(path.name)
    return media_type or "application/octet-stream"
