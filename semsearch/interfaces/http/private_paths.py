"""Remove absolute paths of this machine from messages for clients. The log of the service has them."""

import re

_START = r"(?<![\w.:/~%'\"-])"
"""What precedes a path: no part of an address, and no quote, which encloses a value of the request."""

_ABSOLUTE_PATH = re.compile(rf"{_START}/(?!v1/|problems/|view/)(?:[^\s/'\"`,;:()]+/)+([^\s/'\"`,;:()]*)")

_MODEL_FOLDER = re.compile(r"\b(onnx|static):(/[^\s'\"`,;()]*)")
"""Names of embedders have the folder of a model; over HTTP only its name is known."""


def hide_paths(text: str, data_folder: str | None = None) -> str:
    """Return a text with paths below the data directory relative to it, and only the last part of others.

    >>> hide_paths("/srv/data/hb/catalog.db: disk I/O error", "/srv/data")
    'hb/catalog.db: disk I/O error'
    >>> hide_paths("the data directory /srv/data cannot be listed; list them: GET /v1/collections", "/srv/data")
    'the data directory cannot be listed; list them: GET /v1/collections'
    """
    if "/" not in text:
        return text
    if data_folder is not None and data_folder in text:
        text = _hide_data_folder(text, re.escape(data_folder.rstrip("/")))
    text = _MODEL_FOLDER.sub(lambda match: f"{match[1]}:{match[2].rpartition('/')[2]}", text)
    return _ABSOLUTE_PATH.sub(lambda match: match[1] or "a folder", text)


def _hide_data_folder(text: str, folder: str) -> str:
    text = re.sub(rf"{_START}{folder}/(?=[\w.])", "", text)
    return re.sub(rf"(?:the data directory )?{_START}{folder}(?![\w/-])", "the data directory", text)
