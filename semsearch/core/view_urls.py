"""Addresses of documents and passages on the page of a service."""

from functools import lru_cache
from urllib.parse import quote

_MAX_CACHED_URIS = 4096


def make_view_url(base_url: str, collection: str, uri: str, start: int | None = None, end: int | None = None) -> str:
    """Return the address of a document, or of a span of it; `base_url` has no slash at its end.

    >>> make_view_url("https://search.example.org", "handbook", "docs/leave.md", 7, 46)
    'https://search.example.org/view/handbook/docs%2Fleave.md?start=7&end=46'
    """
    span = "" if start is None else f"?start={start}&end={end}"
    return f"{base_url}/view/{collection}/{_encode_uri(uri)}{span}"


@lru_cache(_MAX_CACHED_URIS)
def _encode_uri(uri: str) -> str:
    """Return a uri as one percent-encoded value of a path."""
    return quote(uri, safe="")
